//! The judging: numbers against limits, and what follows.

use serde::{Deserialize, Serialize};
use zctrace_common::Place;

use super::{
    Circumstances, Claim, Expectation, Measure, Met, Outcome, Verdict,
    portion::{Kind, Portion, Row, carried, copied, not_carried, portions, sent_again, within},
    reason::{Effect, Reason, RowName},
    rules::{self, Matter, Rule, Seen, Sight, State},
    share, standing, waiting,
    ways::Instead,
};
use crate::{
    ledger::{Direction, Path, PerByte, Snapshot, Spills, Unseen, ratio, set_apart},
    text::{bytes::bytes, escape::printable},
};

/// A row, or rows that were judged as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The row; `None` for more than one.
    pub row: Option<RowName>,
    /// What it is, for people.
    pub what: String,
    /// What was compared.
    pub measure: Measure,
    /// With what.
    pub limit: f64,
    /// Bytes that copies were counted over.
    pub bytes: u64,
    /// Copies that were seen, passes of a cipher included where the claim does not allow them.
    pub copied: u64,
    /// Bytes that may have been copied.
    pub unexplained: u64,
    /// Of `copied` what was seen in calls that are no operation: a part of what was copied there. Absent without any.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub seen_in_part: u64,
    /// Bytes that may have come out of the same memory, and that the kernel sent from where the process
    /// had written as many, or the other way round. Absent without any.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub passed_on: u64,
    /// Both over `bytes`, so the most that can have been copied of each; `None` where that is 0.
    pub ratio: Option<f64>,
    /// Whether any of it is inferred.
    pub inferred: bool,
    /// What became of it.
    pub outcome: Outcome,
}

impl Judged {
    /// The copies that were seen, over the bytes, as people are told of them. Bytes that may have been copied are no
    /// part of the number: they give it its mark.
    #[must_use]
    pub fn per_byte(&self) -> PerByte {
        let unseen = Unseen {
            unexplained: self.unexplained,
            in_part: self.seen_in_part,
        };
        PerByte::new(self.copied, self.bytes, unseen)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The answer about one claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
    /// The answer.
    pub verdict: Verdict,
    /// It holds only because conclusions were accepted.
    pub rests_on_inferred: bool,
    /// What was judged, the worst first.
    pub judged: Vec<Judged>,
    /// What became of the expectations. Absent without any.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub met: Vec<Met>,
    /// Why, the weightiest first.
    #[serde(skip)]
    pub reasons: Vec<Reason>,
}

/// Judges a claim.
#[must_use]
pub fn judge(claim: &Claim, snapshot: &Snapshot, circumstances: Circumstances) -> Judgement {
    let (snapshot, spills) = set_apart(snapshot);
    let snapshot = &*snapshot;
    let mut court = Court::new(claim, snapshot, &spills);
    court.unused(circumstances);
    for (measure, limit) in claim.limits() {
        court.hear(measure, limit);
    }
    for expectation in &claim.expect {
        court.ask(expectation, circumstances);
    }
    court.reasons.extend(waiting::answer(claim, snapshot));
    let against = standing::against(claim, snapshot, circumstances);
    let failed = circumstances.command_failed(snapshot);
    court.reasons.extend(against);
    if claim.has_limits() {
        court.accepted(circumstances);
    }
    let broken = court.has(Effect::Refutes);
    let open = court.has(Effect::Forbids) || !court.enough;
    let verdict = match (failed, broken, open) {
        (true, ..) | (false, false, true) => Verdict::Inconclusive,
        (false, true, _) => Verdict::Fail,
        (false, false, false) => Verdict::Pass,
    };
    let Court {
        mut reasons,
        mut judged,
        mut met,
        rests_on_inferred,
        ..
    } = court;
    reasons.sort_by(|a, b| {
        // That probes are missing says least.
        let last = |reason: &Reason| reason.code == rules::PROBES_MISSING;
        (a.effect, last(a), b.bytes, &a.code, &a.row).cmp(&(
            b.effect,
            last(b),
            a.bytes,
            &b.code,
            &b.row,
        ))
    });
    reasons.dedup();
    judged.sort_by(|a, b| {
        let worth = |judged: &Judged| judged.copied.saturating_add(judged.unexplained);
        (a.outcome, worth(b), b.bytes).cmp(&(b.outcome, worth(a), a.bytes))
    });
    met.sort_by(|a, b| (a.outcome, b.bytes).cmp(&(b.outcome, a.bytes)));
    Judgement {
        claim: claim.clone(),
        verdict,
        rests_on_inferred: rests_on_inferred && verdict == Verdict::Pass,
        judged,
        met,
        reasons,
    }
}

/// What stands against a claim about all copies together that would not hold if `room` more bytes had been copied. The
/// claim's own limits do not count.
#[must_use]
pub fn doubts(
    claim: &Claim,
    snapshot: &Snapshot,
    circumstances: Circumstances,
    room: u64,
) -> Vec<Reason> {
    let one = snapshot.clone().as_one();
    let paths = || one.processes.iter().flat_map(|process| &process.paths);
    let sum = |of: &dyn Fn(&Path) -> u64| paths().map(of).fold(0, u64::saturating_add);
    let charge = sum(&|path| rules::may_have_copied(&path.totals, claim));
    let limit = ratio(charge.saturating_add(room), sum(&carried));
    let claim = Claim {
        max_copies_per_byte: limit.or(Some(0.0)),
        ..claim.clone()
    };
    let spills = Spills::default();
    let mut court = Court::new(&claim, &one, &spills);
    court.reasons = standing::against(&claim, &one, circumstances);
    let state = State {
        claim: &claim,
        snapshot: &one,
        circumstances,
    };
    let again = sent_again(paths(), rules::sent_again(&one));
    let unattributed = rules::unattributed(&state).saturating_add(again);
    if unattributed > room {
        court.unattributed(unattributed);
    }
    let pending = one.processes.iter().map(|process| process.pending);
    let pending = pending.fold(0, u64::saturating_add);
    if pending > room {
        let seen = Seen {
            bytes: pending,
            text: rules::pending(&one),
        };
        court.say(&rules::PENDING, Effect::Forbids, None, seen);
    }
    court.reasons
}

/// What is collected on the way to a verdict.
struct Court<'a> {
    claim: &'a Claim,
    snapshot: &'a Snapshot,
    spills: &'a Spills,
    reasons: Vec<Reason>,
    judged: Vec<Judged>,
    met: Vec<Met>,
    /// Something of substance held, for every limit so far.
    enough: bool,
    rests_on_inferred: bool,
}

impl<'a> Court<'a> {
    const fn new(claim: &'a Claim, snapshot: &'a Snapshot, spills: &'a Spills) -> Self {
        Self {
            claim,
            snapshot,
            spills,
            reasons: Vec::new(),
            judged: Vec::new(),
            met: Vec::new(),
            enough: true,
            rests_on_inferred: false,
        }
    }

    fn has(&self, effect: Effect) -> bool {
        self.reasons.iter().any(|reason| reason.effect == effect)
    }

    fn matter(&self) -> Matter<'a> {
        Matter {
            claim: self.claim,
            snapshot: self.snapshot,
        }
    }

    fn say(&mut self, rule: &Rule, effect: Effect, portion: Option<&Portion<'_>>, seen: Seen) {
        let row = portion.and_then(|portion| match &portion.rows[..] {
            [row] => Some(row),
            _ => None,
        });
        self.reasons
            .push(rule.reason(self.matter(), effect, row, seen));
    }

    /// Whether as many bytes went one way as was expected.
    fn ask(&mut self, expectation: &Expectation, circumstances: Circumstances) {
        let answer = share::answer(expectation, self.claim, self.snapshot, circumstances);
        self.met.extend(answer.met);
        self.reasons.extend(answer.reasons);
        self.rests_on_inferred |= answer.rests_on_inferred;
    }

    /// Judges everything by one limit.
    fn hear(&mut self, measure: Measure, limit: f64) {
        let snapshot = self.snapshot;
        let all = portions(&snapshot.processes, self.spills, self.claim, measure, limit);
        let unattributed = rules::unattributed(&State {
            claim: self.claim,
            snapshot,
            circumstances: Circumstances::default(),
        });
        let sent_again = rules::sent_again(snapshot);
        let mut broken = false;
        let mut substance = false;
        let heavy = |portion: &&Portion<'_>| portion.is_weighty(self.claim.min_bytes);
        let weighty: Vec<_> = all.iter().filter(heavy).collect();
        // What unattributed copies could be at most where they could overturn.
        let mut overturned = 0;
        let mut pending = 0;
        for portion in &weighty {
            let outcome = match (portion.copies_may_hold(), portion.holds_with(0)) {
                (false, _) => Outcome::Broken,
                (true, false) => Outcome::Open,
                (true, true) => Outcome::Holds,
            };
            self.record(portion, outcome);
            match outcome {
                Outcome::Broken => {
                    broken = true;
                    self.broken(portion);
                }
                Outcome::Open => self.open(portion),
                Outcome::Holds => {
                    substance |= portion.substance() >= self.claim.min_bytes;
                    let unattributed = unattributed.saturating_add(portion.sent_again(sent_again));
                    if !portion.holds_with(unattributed) {
                        overturned = overturned.max(unattributed);
                    }
                    let later = portion.pending();
                    if later > 0 && !portion.holds_with(later.saturating_add(unattributed)) {
                        pending = pending.max(later);
                    }
                    self.holds(portion);
                }
            }
        }
        if broken {
            self.dilution(measure, limit);
        }
        self.only_copies();
        if !substance {
            self.not_enough(measure);
        }
        if pending > 0 {
            let text = rules::pending(snapshot);
            let seen = Seen {
                bytes: pending,
                text,
            };
            self.say(&rules::PENDING, Effect::Forbids, None, seen);
        }
        if overturned > 0 {
            self.unattributed(overturned);
        }
    }

    /// Copies that nobody is known to have caused: those of bounce buffers, and others.
    fn unattributed(&mut self, all: u64) {
        let snapshot = self.snapshot;
        let bounced = snapshot
            .unattributed
            .iter()
            .filter(|work| work.thread == Place::Bounce.name())
            .fold(0, |sum: u64, work| sum.saturating_add(work.totals.deferred));
        if bounced > 0 {
            let text = format!("{} through bounce buffers, for any process", bytes(bounced));
            let seen = Seen {
                bytes: bounced,
                text,
            };
            self.say(&rules::BOUNCED, Effect::Forbids, None, seen);
        }
        let threads: Vec<_> = snapshot
            .unattributed
            .iter()
            .filter(|work| {
                work.thread != Place::Bounce.name()
                    && rules::may_have_copied(&work.totals, self.claim) > 0
            })
            .map(|work| printable(&work.thread))
            .take(3)
            .collect();
        let bytes = all.saturating_sub(bounced);
        if bytes > 0
            && let Some(rule) = rules::find("unattributed-copies")
        {
            let text = format!("in {}", threads.join(", "));
            self.say(rule, Effect::Forbids, None, Seen { bytes, text });
        }
    }

    /// The claim fails if its path was not taken while the same work was done in another way. If the path may have been
    /// taken unseen, nobody can know.
    fn unused(&mut self, circumstances: Circumstances) {
        let claim = self.claim;
        let state = State {
            claim,
            snapshot: self.snapshot,
            circumstances,
        };
        let used = self.sum(|path| {
            path.totals
                .moved
                .saturating_add(copied(&path.totals, claim))
        });
        if used > 0 || rules::unseen(&state).is_some() {
            return;
        }
        let Some(instead) =
            Instead::of(claim, self.snapshot).filter(|instead| instead.bytes >= claim.min_bytes)
        else {
            return;
        };
        let path = claim.path.as_deref().unwrap_or_default();
        let failed = self.failed();
        let refused = failed
            .as_ref()
            .map_or_else(String::new, |seen| format!(" ({})", seen.text));
        let seen = Seen {
            bytes: instead.bytes,
            text: format!(
                "{} moved no bytes{refused}; {}",
                printable(path),
                instead.words()
            ),
        };
        self.say(&rules::PATH_NOT_USED, Effect::Refutes, None, seen);
        if let Some(seen) = failed {
            self.say(&rules::REFUSED, Effect::Explains, None, seen);
        }
    }

    /// How many calls failed of a path that moved nothing.
    fn failed(&self) -> Option<Seen> {
        let errors = self.sum(|path| path.totals.errors);
        let calls = self.sum(|path| path.totals.ops);
        if errors == 0 || self.sum(|path| path.totals.moved) > 0 {
            return None;
        }
        Some(Seen {
            bytes: 0,
            text: rules::refused_words(errors, calls, self.paths()),
        })
    }

    /// Says which probes were missing, if that was accepted.
    fn accepted(&mut self, circumstances: Circumstances) {
        let state = State {
            claim: self.claim,
            snapshot: self.snapshot,
            circumstances,
        };
        if let Some(rule) = rules::find(rules::PROBES_MISSING)
            && let Some(seen) = rules::accepted(&state)
        {
            self.rests_on_inferred = true;
            self.say(rule, Effect::Explains, None, seen);
        }
    }

    fn record(&mut self, portion: &Portion<'_>, outcome: Outcome) {
        let row = match (&portion.rows[..], portion.kind) {
            ([row], Kind::Row) => Some(RowName::from(row)),
            _ => None,
        };
        self.judged.push(Judged {
            row,
            what: self.name(portion),
            measure: portion.measure,
            limit: portion.limit,
            bytes: portion.carried,
            copied: portion.copied,
            unexplained: portion.unexplained,
            seen_in_part: portion.seen_in_part(),
            passed_on: portion.passed,
            ratio: ratio(portion.charge(), portion.carried),
            inferred: portion.is_inferred(),
            outcome,
        });
    }

    fn name(&self, portion: &Portion<'_>) -> String {
        let Some(first) = portion.rows.first() else {
            return "nothing".into();
        };
        let path = || format!("{} {}", first.path.op, first.path.object);
        let process = || format!("{} ({})", printable(&first.process.comm), first.process.pid);
        let small = bytes(self.claim.min_bytes);
        match portion.kind {
            Kind::Row => format!("{} of {}", path(), process()),
            Kind::Alike => match portion.pids().len() {
                1 => format!("{} of {}, {} rows", path(), process(), portion.rows.len()),
                processes => format!("{} of {processes} processes", path()),
            },
            Kind::Rest => format!("all paths of less than {small} together"),
            Kind::Shared => match portion.rows.len() {
                1 => format!("extents shared by {} of {}", path(), process()),
                rows => format!("extents shared by {rows} paths together"),
            },
            Kind::Process => format!("all paths of {}", process()),
            Kind::ThroughUser => format!("bytes through the memory of {}", self.of(portion)),
            Kind::InKernel => format!("bytes by splice and sendfile in {}", self.of(portion)),
            Kind::SmallProcesses => format!("all processes of less than {small} together"),
        }
    }

    /// Which rows, if the reason does not name one.
    fn place(&self, portion: &Portion<'_>) -> String {
        if portion.rows.len() == 1 {
            "no probe saw how".to_owned()
        } else {
            format!("in {}", self.name(portion))
        }
    }

    fn of(&self, portion: &Portion<'_>) -> String {
        let pids = portion.pids();
        match (pids.len(), portion.rows.first()) {
            (1, Some(row)) => {
                format!("{} ({})", printable(&row.process.comm), row.process.pid)
            }
            _ => format!("{} small processes", pids.len()),
        }
    }

    /// Copies that were seen are above the limit: the rules say how they came about.
    fn broken(&mut self, portion: &Portion<'_>) {
        let copied_rows = portion
            .rows
            .iter()
            .filter(|row| copied(row.totals(), self.claim) > 0 || row.notified().bytes > 0);
        for row in copied_rows {
            let sight = Sight {
                row,
                snapshot: self.snapshot,
            };
            let mut told = 0_u64;
            for (rule, seen) in rules::copies(&sight) {
                if rule.code == rules::KTLS && self.claim.allow_encryption {
                    continue;
                }
                told = told.saturating_add(seen.bytes);
                let reason = rule.reason(self.matter(), Effect::Refutes, Some(row), seen);
                self.reasons.push(reason);
            }
            for (rule, seen) in rules::notes(&sight) {
                let reason = rule.reason(self.matter(), Effect::Explains, Some(row), seen);
                self.reasons.push(reason);
            }
            let copies = copied(row.totals(), self.claim);
            if told < copies {
                let seen = Seen {
                    bytes: copies - told,
                    text: in_words(row),
                };
                let reason =
                    rules::ABOVE_LIMIT.reason(self.matter(), Effect::Refutes, Some(row), seen);
                self.reasons.push(reason);
            }
        }
        if portion.carried == 0 {
            let seen = Seen {
                bytes: portion.copied,
                text: format!(
                    "{}: copies, but no bytes to divide them by",
                    self.name(portion)
                ),
            };
            self.say(
                &rules::COPIES_WITHOUT_MOVES,
                Effect::Refutes,
                Some(portion),
                seen,
            );
        }
    }

    fn open(&mut self, portion: &Portion<'_>) {
        for row in &portion.rows {
            let sight = Sight {
                row,
                snapshot: self.snapshot,
            };
            let about = rules::notes(&sight).into_iter().filter(|(rule, _)| {
                matches!(rule.code, rules::ROUTE_COPIES | rules::LEFT_TO_SERVER)
            });
            for (rule, seen) in about {
                let reason = rule.reason(self.matter(), Effect::Forbids, Some(row), seen);
                self.reasons.push(reason);
            }
        }
        if !portion.copies_hold() {
            let seen = Seen {
                bytes: portion.passed,
                text: format!(
                    "{} may have been copied before they were passed on, in addition to {} in {}",
                    bytes(portion.passed),
                    bytes(portion.carried),
                    self.name(portion)
                ),
            };
            self.say(&rules::PASSED_ON, Effect::Forbids, None, seen);
        }
        if portion.unexplained == 0 {
            return;
        }
        let seen = Seen {
            bytes: portion.unexplained,
            text: self.place(portion),
        };
        self.say(&rules::UNEXPLAINED, Effect::Forbids, Some(portion), seen);
    }

    /// A path without copies says little if the bytes were copied to the place from which it takes them.
    fn source(&mut self, row: &Row<'_>, limit: f64) {
        let Some((source, _)) = row.path.object.joined() else {
            return;
        };
        if self.claim.path.is_none() {
            return;
        }
        let writes: Vec<_> = row
            .process
            .paths
            .iter()
            .filter(|path| path.goes_out() == Some(true) && path.object.is(source))
            .filter(|path| !self.claim.is_about(path.op.as_str()))
            .collect();
        let written = writes.iter().fold(0_u64, |sum, path| {
            sum.saturating_add(copied(&path.totals, self.claim))
        });
        if within(written, carried(row.path), limit) {
            return;
        }
        let names: Vec<_> = writes
            .iter()
            .take(3)
            .map(|path| format!("`{} {}`", path.op, printable(path.object.as_str())))
            .collect();
        let seen = Seen {
            bytes: written,
            text: format!(
                "{} were copied by {} in the same process, which may be the bytes that were passed on",
                bytes(written),
                names.join(" and ")
            ),
        };
        let reason = rules::SOURCE_COPIED.reason(self.matter(), Effect::Explains, Some(row), seen);
        self.reasons.push(reason);
    }

    fn holds(&mut self, portion: &Portion<'_>) {
        let mut inferred = 0_u64;
        for row in &portion.rows {
            self.source(row, portion.limit);
            let sight = Sight {
                row,
                snapshot: self.snapshot,
            };
            for (rule, seen) in rules::notes(&sight) {
                // Nobody can accept a device on which a CPU may copy.
                let effect = if rule.code == rules::DEVICE_UNKNOWN {
                    Effect::Forbids
                } else {
                    Effect::Explains
                };
                self.reasons
                    .push(rule.reason(self.matter(), effect, Some(row), seen));
            }
            if row.is_inferred() {
                inferred = inferred.saturating_add(row.totals().moved.max(1));
            }
        }
        if inferred == 0 {
            return;
        }
        self.rests_on_inferred = true;
        let effect = if self.claim.accept_inferred {
            Effect::Explains
        } else {
            Effect::Forbids
        };
        let seen = Seen {
            bytes: inferred,
            text: self.place(portion),
        };
        self.say(&rules::INFERRED, effect, Some(portion), seen);
    }

    /// The total would have passed, because some parts hold by themselves.
    fn dilution(&mut self, measure: Measure, limit: f64) {
        let holds = |judged: &Judged| judged.measure == measure && judged.outcome == Outcome::Holds;
        if !self.judged.iter().any(holds) {
            return;
        }
        let claim = self.claim;
        let unseen = self.sum(|path| path.totals.unexplained);
        let copies = self
            .sum(|path| copied(&path.totals, claim))
            .saturating_add(unseen);
        let over = match measure {
            Measure::CopiesPerByte => self.sum(|path| path.totals.moved),
            Measure::CopiesPerSentByte => self.crossed(Direction::Sent),
            Measure::CopiesPerReceivedByte => self.crossed(Direction::Received),
        };
        let Some(total) = ratio(copies, over).filter(|total| *total <= limit) else {
            return;
        };
        let most = if unseen > 0 { " at most" } else { "" };
        let seen = Seen {
            bytes: over,
            text: format!("the total is {total:.4}{most}, but a path is above {limit}"),
        };
        self.say(&rules::DILUTED, Effect::Explains, None, seen);
    }

    /// Nothing of substance was seen to hold. If copies are the reason, or bytes that may have been copied, another
    /// reason has said so.
    fn not_enough(&mut self, measure: Measure) {
        self.enough = false;
        let told = |judged: &Judged| judged.measure == measure && judged.outcome != Outcome::Holds;
        if self.has(Effect::Refutes) || self.judged.iter().any(told) {
            return;
        }
        let (carried, what) = match measure {
            Measure::CopiesPerByte => (self.sum(carried), "carried"),
            Measure::CopiesPerSentByte => (self.crossed(Direction::Sent), "sent"),
            Measure::CopiesPerReceivedByte => (self.crossed(Direction::Received), "received"),
        };
        let least = bytes(self.claim.min_bytes);
        let idle = self.sum(not_carried);
        if carried < self.claim.min_bytes && idle >= self.claim.min_bytes {
            let seen = Seen {
                bytes: idle,
                text: format!(
                    "{} were generated, dropped or only mapped{}, and {} were {what}",
                    bytes(idle),
                    self.idle_at(),
                    bytes(carried)
                ),
            };
            self.say(&rules::NOTHING_CARRIED, Effect::Forbids, None, seen);
            return;
        }
        if let Some(seen) = self.failed() {
            self.say(&rules::REFUSED, Effect::Forbids, None, seen);
            return;
        }
        let text = match self.sum(|path| path.totals.moved) {
            0 => "nothing was moved".to_owned(),
            _ if carried < self.claim.min_bytes => {
                format!("{} were {what}, but {least} are needed", bytes(carried))
            }
            _ => format!(
                "{} were {what}, but no path has {least} by itself",
                bytes(carried)
            ),
        };
        // Perhaps another path is meant, or this one should have been taken.
        let instead = Instead::of(self.claim, self.snapshot)
            .filter(|instead| instead.bytes >= self.claim.min_bytes)
            .map_or_else(String::new, |instead| format!("; {}", instead.words()));
        let seen = Seen {
            bytes: carried,
            text: text + &instead,
        };
        self.say(&rules::TOO_FEW_BYTES, Effect::Forbids, None, seen);
    }

    /// Where most of the bytes were that were not carried.
    fn idle_at(&self) -> String {
        let paths = self.snapshot.processes.iter().flat_map(|p| &p.paths);
        paths
            .filter(|path| self.claim.is_about(path.op.as_str()))
            .max_by_key(|path| not_carried(path))
            .map_or_else(String::new, |path| {
                format!(" (`{} {}`)", path.op, printable(path.object.as_str()))
            })
    }

    /// If a target carried nothing at all, copies are all that it did, however few they are.
    fn only_copies(&mut self) {
        let claim = self.claim;
        let copies = self.sum(|path| copied(&path.totals, claim));
        if copies > 0 && self.sum(carried) == 0 {
            let seen = Seen {
                bytes: copies,
                text: "there were copies, but nothing was carried at all".to_owned(),
            };
            self.say(&rules::COPIES_WITHOUT_MOVES, Effect::Refutes, None, seen);
        }
    }

    /// The rows that the claim is about.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.snapshot
            .processes
            .iter()
            .flat_map(|process| &process.paths)
            .filter(|path| self.claim.is_about(path.op.as_str()))
    }

    fn sum(&self, number: impl Fn(&Path) -> u64) -> u64 {
        self.paths()
            .fold(0, |sum: u64, path| sum.saturating_add(number(path)))
    }

    fn crossed(&self, direction: Direction) -> u64 {
        self.sum(|path| {
            if path.direction() == Some(direction) {
                carried(path)
            } else {
                0
            }
        })
    }
}

/// The copies of a row, by class.
fn in_words(row: &Row<'_>) -> String {
    let totals = row.totals();
    let copies: Vec<_> = totals
        .classes()
        .into_iter()
        .chain(totals.extras())
        .filter(|(name, count)| {
            *count > 0
                && (name.starts_with("copied")
                    || matches!(*name, "recopied" | "wasted" | "deferred" | "cow"))
        })
        .map(|(name, count)| format!("{name} {}", bytes(count)))
        .collect();
    copies.join(", ")
}
