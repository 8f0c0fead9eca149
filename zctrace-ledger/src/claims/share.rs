//! Which share of its bytes a process moved in the way that was expected.
//!
//! Bytes taken from a kind of place, such as files, are one kind of work, bytes given to it another.
//! The share is that of all bytes of one kind of work, so nobody has to guess which bytes were the
//! payload. What is not known about a row makes the share an interval, and what can have gone by
//! unseen opens it on one side: an answer needs the whole interval on one side of the limit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zctrace_common::Op;

use super::{
    Circumstances, Claim, Outcome,
    expect::{Expectation, Flow, Way, Work},
    job::{Job, Place, ends, job},
    portion::Row,
    reason::{Effect, Reason},
    rules::{self, Matter, Rule, Seen, Sight, State},
    ways::amount,
};
use crate::{
    catalog::{self, Family},
    ledger::{Path, Process, Snapshot, ratio},
    text::{bytes::bytes, escape::printable},
};

/// What became of an expectation in one kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Met {
    /// The expectation.
    pub expectation: String,
    /// Whose bytes, for people.
    pub what: String,
    /// How many.
    pub bytes: u64,
    /// How many of them went the expected way for certain.
    pub went: u64,
    /// How many may have.
    pub may_have_gone: u64,
    /// `went` over `bytes`.
    pub share: Option<f64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// The answer to an expectation.
pub(super) struct Answer {
    pub(super) met: Vec<Met>,
    pub(super) reasons: Vec<Reason>,
    /// It holds only because conclusions were accepted.
    pub(super) rests_on_inferred: bool,
}

/// Answers an expectation.
pub(super) fn answer(
    expectation: &Expectation,
    claim: &Claim,
    snapshot: &Snapshot,
    circumstances: Circumstances,
) -> Answer {
    let mut jury = Jury {
        expectation,
        claim,
        snapshot,
        circumstances,
        answer: Answer {
            met: Vec::new(),
            reasons: Vec::new(),
            rests_on_inferred: false,
        },
    };
    jury.hear();
    jury.answer
}

/// Rows of one kind of work: a process's, or those of small processes together.
#[derive(Default)]
struct Group<'a> {
    rows: Vec<Row<'a>>,
    bytes: u64,
    went: u64,
    may_have_gone: u64,
    /// Some of what went the expected way, or did not, was concluded.
    is_inferred: bool,
}

struct Jury<'a> {
    expectation: &'a Expectation,
    claim: &'a Claim,
    snapshot: &'a Snapshot,
    circumstances: Circumstances,
    answer: Answer,
}

impl<'a> Jury<'a> {
    fn hear(&mut self) {
        let all = self.groups();
        let mut outcomes: BTreeMap<Work, Outcome> = BTreeMap::new();
        for (work, group) in &all {
            let outcome = self.outcome(group, *work);
            // One process that does otherwise is enough.
            let worst = outcomes.entry(*work).or_insert(outcome);
            *worst = (*worst).min(outcome);
            self.record(group, *work, outcome);
        }
        let has = |outcome| outcomes.values().any(|other| *other == outcome);
        if all.is_empty() {
            self.too_few();
        } else if has(Outcome::Broken) && !has(Outcome::Holds) && !has(Outcome::Open) {
            for (work, group) in &all {
                if self.outcome(group, *work) == Outcome::Broken {
                    self.missed(group, *work);
                }
            }
        } else if has(Outcome::Broken) {
            self.depends(&outcomes);
        } else {
            for (work, group) in &all {
                match self.outcome(group, *work) {
                    Outcome::Open => self.open(group, *work),
                    _ => self.answer.rests_on_inferred |= group.is_inferred,
                }
            }
        }
    }

    /// What is judged, each with enough bytes.
    fn groups(&self) -> Vec<(Work, Group<'a>)> {
        let mut works = self.expectation.works();
        let weighs = |group: &Group<'_>| group.bytes >= self.claim.min_bytes;
        let enough = |works: &[Work]| {
            works
                .iter()
                .any(|work| self.groups_of(*work).iter().any(weighs))
        };
        if let Some(is_natural) = self.expectation.natural() {
            let natural: Vec<_> = works
                .iter()
                .copied()
                .filter(|(_, place)| is_natural(*place))
                .collect();
            // Where the operation itself worked elsewhere, that is meant too.
            let elsewhere = works.iter().any(|work| {
                !natural.contains(work) && self.groups_of(*work).iter().any(|group| group.went > 0)
            });
            if enough(&natural) && !elsewhere {
                works = natural;
            }
        }
        // What goes through a pipe comes out of it again, and is counted there.
        let is_pipe = |work: &Work| work.1 == Place::Pipe;
        let others: Vec<_> = works
            .iter()
            .copied()
            .filter(|work| !is_pipe(work))
            .collect();
        if self.pipes_are_internal() && enough(&others) {
            works = others;
        }
        works
            .into_iter()
            .flat_map(|work| {
                let groups = self.groups_of(work).into_iter();
                groups.filter(weighs).map(move |group| (work, group))
            })
            .collect()
    }

    fn pipes_are_internal(&self) -> bool {
        let sum = |flow| {
            let groups = self.groups_of((flow, Place::Pipe));
            groups
                .iter()
                .fold(0_u64, |sum, group| sum.saturating_add(group.bytes))
        };
        let (taken, given) = (sum(Flow::Taken), sum(Flow::Given));
        taken.min(given) >= taken.max(given) / 2 && taken > 0
    }

    /// The processes that do this work; the small ones are one group.
    fn groups_of(&self, work: Work) -> Vec<Group<'a>> {
        let mut groups = Vec::new();
        let mut small = Group::default();
        for process in &self.snapshot.processes {
            let rows = process
                .paths
                .iter()
                .map(|path| Row { process, path })
                .filter(|row| self.does(row.path, work));
            let group = self.group(rows.collect());
            if group.bytes >= self.claim.min_bytes {
                groups.push(group);
            } else {
                small.rows.extend(group.rows);
            }
        }
        groups.push(self.group(small.rows));
        groups
    }

    fn does(&self, path: &Path, (flow, place): Work) -> bool {
        if path.op == Op::FaultMap && !self.expectation.counts_faults() {
            return false;
        }
        let Some((source, sink)) = ends(path) else {
            return false;
        };
        let end = match flow {
            Flow::Taken => source,
            Flow::Given => sink,
        };
        end == Some(place)
    }

    fn group(&self, rows: Vec<Row<'a>>) -> Group<'a> {
        let mut group = Group::default();
        let way = self.expectation.way;
        for row in &rows {
            let all = self.size(row.path);
            group.bytes = group.bytes.saturating_add(all);
            if !self.expectation.is_about(row.path.op.as_str()) {
                continue;
            }
            let (went, may) = match way {
                None => (all, all),
                Some(way) => self.went(way, row, all),
            };
            group.is_inferred |= way.is_some() && row.is_inferred() && all > 0;
            group.went = group.went.saturating_add(went);
            group.may_have_gone = group.may_have_gone.saturating_add(may);
        }
        if way == Some(Way::Spliced) {
            // Any of them may be a copy of these bytes.
            let copied = self
                .snapshot
                .unattributed
                .iter()
                .fold(0_u64, |sum, work| sum.saturating_add(work.totals.copies()));
            group.went = group.went.saturating_sub(copied);
        }
        group.rows = rows;
        group
    }

    fn size(&self, path: &Path) -> u64 {
        if path.op == Op::FaultMap && self.expectation.counts_faults() {
            path.totals.moved
        } else {
            amount(path)
        }
    }

    /// How many bytes of a row went this way for certain, and how many may have.
    fn went(&self, way: Way, row: &Row<'_>, all: u64) -> (u64, u64) {
        let totals = row.totals();
        let mut went = way.bytes(totals).min(all);
        let mut may = went.saturating_add(totals.unexplained).min(all);
        match way {
            Way::Spliced => {
                went = went
                    .saturating_sub(row.notified().bytes)
                    .saturating_sub(row.process.pending.min(row.path.can_be_pending()));
            }
            // Nobody looked at what the cipher did.
            Way::Encrypted if !row.is_inferred() && self.is_without_ciphers() => may = all,
            _ => {}
        }
        (went, may)
    }

    fn is_without_ciphers(&self) -> bool {
        self.snapshot.coverage.refused.iter().any(|refused| {
            let family = catalog::find(&refused.probe).map(|probe| probe.family);
            !refused.absent && family == Some(Family::Tls)
        })
    }

    fn outcome(&self, group: &Group<'_>, work: Work) -> Outcome {
        let Expectation {
            is_least, share, ..
        } = *self.expectation;
        // A quotient, because that is rounded as the limit was when it was read.
        let of_all = |part| ratio(part, group.bytes).unwrap_or_default();
        let (went, may) = (of_all(group.went), of_all(group.may_have_gone));
        let (holds, breaks) = if is_least {
            (went >= share, may < share)
        } else {
            (may <= share, went > share)
        };
        let accepted = !group.is_inferred || self.claim.accept_inferred;
        if holds && accepted && self.unseen(work, !is_least).is_none() {
            Outcome::Holds
        } else if breaks && self.unseen(work, is_least).is_none() {
            Outcome::Broken
        } else {
            Outcome::Open
        }
    }

    /// Why operations may have gone by unseen that do this work: the expected ones, or the others.
    fn unseen(&self, work: Work, expected: bool) -> Option<(&'static Rule, Seen)> {
        Op::ALL
            .iter()
            .filter(|op| self.expectation.is_about(op.name()) == expected)
            .filter(|op| does(**op, work))
            .filter(|op| **op != Op::FaultMap || self.expectation.counts_faults())
            .find_map(|op| {
                let about = Claim {
                    path: Some(op.name().to_owned()),
                    ..self.claim.clone()
                };
                rules::unseen(&State {
                    claim: &about,
                    snapshot: self.snapshot,
                    circumstances: self.circumstances,
                })
            })
    }

    fn say(&mut self, rule: &Rule, effect: Effect, row: Option<&Row<'_>>, seen: Seen) {
        let matter = Matter {
            claim: self.claim,
            snapshot: self.snapshot,
        };
        let reason = rule.reason(matter, effect, row, seen);
        if !self.answer.reasons.contains(&reason) {
            self.answer.reasons.push(reason);
        }
    }

    fn record(&mut self, group: &Group<'_>, work: Work, outcome: Outcome) {
        self.answer.met.push(Met {
            expectation: self.expectation.to_string(),
            what: what(group, work),
            bytes: group.bytes,
            went: group.went,
            may_have_gone: group.may_have_gone,
            share: ratio(group.went, group.bytes),
            outcome,
        });
    }

    /// The share as it was found, and as it was expected.
    fn found(&self, group: &Group<'_>, work: Work) -> String {
        let share = ratio(group.went, group.bytes).unwrap_or_default();
        let more = match group.may_have_gone.saturating_sub(group.went) {
            0 => String::new(),
            more => format!(", possibly {} more", bytes(more)),
        };
        format!(
            "{} by {}{more} of {}: a share of {share:.4}, expected {}",
            bytes(group.went),
            self.expectation.subject(),
            what(group, work),
            self.limit(),
        )
    }

    fn limit(&self) -> String {
        let word = if self.expectation.is_least {
            "at least"
        } else {
            "at most"
        };
        format!("{word} {}", self.expectation.share)
    }

    fn missed(&mut self, group: &Group<'a>, work: Work) {
        let instead = self.instead(group);
        let failed = self.failed(group);
        let refused = failed
            .as_ref()
            .map_or_else(String::new, |seen| format!("; {}", seen.text));
        let seen = Seen {
            bytes: group.bytes,
            text: format!("{}{instead}{refused}", self.found(group, work)),
        };
        self.say(&rules::EXPECTATION_MISSED, Effect::Refutes, None, seen);
        if let Some(seen) = failed {
            self.say(&rules::REFUSED, Effect::Explains, None, seen);
        }
        // Where it was tried, the rules know why it did not go that way.
        for row in &group.rows {
            if self.expectation.way.is_none() || !self.expectation.is_about(row.path.op.as_str()) {
                continue;
            }
            let sight = Sight {
                row,
                snapshot: self.snapshot,
            };
            for (rule, seen) in rules::copies(&sight) {
                self.say(rule, Effect::Explains, Some(row), seen);
            }
        }
    }

    /// The rows that went another way, or, where too many went this one, those.
    fn instead(&self, group: &Group<'_>) -> String {
        let Expectation { way, is_least, .. } = *self.expectation;
        let other = |row: &Row<'_>| {
            let all = self.size(row.path);
            let went = match (self.expectation.is_about(row.path.op.as_str()), way) {
                (false, _) => 0,
                (true, None) => all,
                (true, Some(way)) => self.went(way, row, all).1,
            };
            if is_least { all - went } else { went }
        };
        // Small processes have rows of the same name.
        let mut ways: BTreeMap<(String, &str), u64> = BTreeMap::new();
        for row in &group.rows {
            let count = other(row);
            if count > 0 {
                let name = format!("{} {}", row.path.op, printable(row.path.object.as_str()));
                let sum = ways.entry((name, self.class(row.path))).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let names: Vec<_> = ways
            .iter()
            .take(3)
            .map(|((name, class), count)| format!("{} by `{name}` ({class})", bytes(*count)))
            .collect();
        if names.is_empty() {
            return String::new();
        }
        let word = if is_least { "instead" } else { "that is" };
        format!("; {word} {}", names.join(", "))
    }

    /// How most of the bytes of a row moved that did not go the expected way, or that did where too many went.
    fn class(&self, path: &Path) -> &'static str {
        let Expectation { way, is_least, .. } = *self.expectation;
        let expected = way
            .filter(|_| self.expectation.is_about(path.op.as_str()))
            .map(Way::name);
        let most = path
            .totals
            .classes()
            .into_iter()
            .filter(|(class, count)| {
                *count > 0 && (expected.is_none() || !is_least || expected != Some(*class))
            })
            .max_by_key(|(class, count)| (!is_least && expected == Some(*class), *count));
        match most {
            Some((class, _)) => class,
            // By reference, as expected; but that was not the end of it.
            None => "copied later",
        }
    }

    /// How many calls failed of those that were expected, in the processes of this group.
    fn failed(&self, group: &Group<'_>) -> Option<Seen> {
        let path = self.expectation.path()?;
        let mine = |process: &&Process| {
            let mut rows = group.rows.iter();
            rows.any(|row| row.process.pid == process.pid)
        };
        let (mut calls, mut errors) = (0_u64, 0_u64);
        let mut paths = Vec::new();
        for process in self.snapshot.processes.iter().filter(mine) {
            let rows = process.paths.iter();
            for row in rows.filter(|row| self.expectation.is_about(row.op.as_str())) {
                calls = calls.saturating_add(row.totals.ops);
                errors = errors.saturating_add(row.totals.errors);
                paths.push(row);
            }
        }
        let words = rules::refused_words(errors, calls, paths);
        (errors > 0).then(|| Seen {
            bytes: 0,
            text: format!("{path}: {words}"),
        })
    }

    /// It holds in one kind of work and not in another.
    fn depends(&mut self, outcomes: &BTreeMap<Work, Outcome>) {
        let which = |wanted| {
            let works = outcomes.iter().filter(|(_, outcome)| **outcome == wanted);
            let words: Vec<_> = works.map(|(work, _)| words(*work)).collect();
            words.join(" and ")
        };
        let otherwise = match which(Outcome::Holds) {
            holds if holds.is_empty() => format!("undecided for bytes {}", which(Outcome::Open)),
            holds => format!("met for bytes {holds}"),
        };
        let seen = Seen {
            bytes: 0,
            text: format!(
                "{}: missed for bytes {}, {otherwise}",
                self.expectation,
                which(Outcome::Broken)
            ),
        };
        self.say(&rules::EXPECTATION_UNCLEAR, Effect::Forbids, None, seen);
    }

    fn open(&mut self, group: &Group<'a>, work: Work) {
        let is_least = self.expectation.is_least;
        let found = self.found(group, work);
        for expected in [is_least, !is_least] {
            if let Some((rule, seen)) = self.unseen(work, expected) {
                let text = format!("{}; {found}", seen.text);
                return self.say(rule, Effect::Forbids, None, Seen { text, ..seen });
            }
        }
        let unknown = group.may_have_gone.saturating_sub(group.went);
        let (rule, bytes) = match unknown {
            0 => (&rules::INFERRED, group.bytes),
            unknown => (&rules::UNEXPLAINED, unknown),
        };
        self.say(rule, Effect::Forbids, None, Seen { bytes, text: found });
    }

    /// The most bytes of this kind of work that are judged as one.
    fn most(&self, work: Work) -> u64 {
        let groups = self.groups_of(work);
        groups
            .iter()
            .map(|group| group.bytes)
            .max()
            .unwrap_or_default()
    }

    fn place_of_most(&self, works: &[Work]) -> Option<Work> {
        let most = works.iter().max_by_key(|work| self.most(**work));
        most.copied().filter(|work| self.most(*work) > 0)
    }

    fn too_few(&mut self) {
        let works = self.expectation.works();
        let most = works.iter().map(|work| self.most(*work)).max();
        let most = most.unwrap_or_default();
        let everybody = Group {
            rows: self
                .snapshot
                .processes
                .iter()
                .flat_map(|process| process.paths.iter().map(move |path| Row { process, path }))
                .collect(),
            ..Group::default()
        };
        if let Some(seen) = self.failed(&everybody).filter(|_| most == 0) {
            return self.say(&rules::REFUSED, Effect::Forbids, None, seen);
        }
        let least = bytes(self.claim.min_bytes);
        let most_text = bytes(most);
        let text = match self.place_of_most(&works) {
            Some(work) => format!("{most_text} were {}, but {least} are needed", words(work)),
            None => format!(
                "nothing was moved that {} is about",
                self.expectation.subject()
            ),
        };
        let unseen = works.iter().find_map(|work| self.unseen(*work, true));
        if let Some((rule, seen)) = unseen {
            self.say(rule, Effect::Forbids, None, seen);
        }
        let seen = Seen { bytes: most, text };
        self.say(&rules::TOO_FEW_BYTES, Effect::Forbids, None, seen);
    }
}

/// Whether an operation can do this work.
fn does(op: Op, (flow, place): Work) -> bool {
    match (job(op), flow) {
        (Some(Job::Take(is) | Job::Pass(is, _)), Flow::Taken) => is(place),
        (Some(Job::Give(is) | Job::Pass(_, is)), Flow::Given) => is(place),
        _ => false,
    }
}

fn words((flow, place): Work) -> String {
    match flow {
        Flow::Taken => format!("taken from {}", place.words()),
        Flow::Given => format!("given to {}", place.words()),
    }
}

fn what(group: &Group<'_>, work: Work) -> String {
    let mut pids: Vec<_> = group.rows.iter().map(|row| row.process.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let who = match (&pids[..], group.rows.first()) {
        ([pid], Some(row)) => format!("{} ({pid})", printable(&row.process.comm)),
        _ => format!("{} small processes", pids.len()),
    };
    let verb = match work.0 {
        Flow::Taken => "took from",
        Flow::Given => "gave to",
    };
    format!(
        "{} that {who} {verb} {}",
        bytes(group.bytes),
        work.1.words()
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Verdict, judge,
            rules::made_up::{claim, path, process},
        },
        *,
    };
    use crate::ledger::{Errno, Refused, Unattributed, samples};

    const MIB: u64 = 1 << 20;
    const M: &str = "measured";

    fn expected(text: &str) -> Claim {
        Claim {
            max_copies_per_byte: None,
            expect: vec![Expectation::parse(text).expect(text)],
            ..claim()
        }
    }

    fn judged(text: &str, snapshot: &Snapshot) -> (Verdict, Vec<Reason>) {
        let claim = expected(text);
        claim.check().expect(text);
        let judgement = judge(&claim, snapshot, Circumstances::default());
        (judgement.verdict, judgement.reasons)
    }

    fn of(paths: Vec<Path>) -> Snapshot {
        samples::with(vec![process(paths, &[], None)])
    }

    fn row(op: &str, object: &str, class: &str, mib: u64) -> Path {
        path(op, object, M, &[(class, mib * MIB)])
    }

    fn read_and_sent(mib: u64) -> Vec<Path> {
        vec![
            row("read", "file:ext4", "copied_to_user", mib),
            row("send", "tcp", "copied_from_user", mib),
        ]
    }

    /// For each way: who takes it passes, and who takes another fails, with that one named.
    #[test]
    fn a_way_that_was_not_taken_is_a_fail_with_what_was_done_instead() {
        let in_kernel = |op, object, class| vec![row(op, object, class, 16)];
        let cases: Vec<(&str, Vec<Path>, Vec<Path>, &str)> = vec![
            (
                "sendfile>=0.95",
                in_kernel("sendfile", "file:ext4->tcp", "spliced"),
                read_and_sent(16),
                "16.0 MiB by `send tcp` (copied_from_user)",
            ),
            (
                "sendfile,file>=0.95",
                in_kernel("sendfile", "file:ext4->file:ext4", "copied_in_kernel"),
                in_kernel(
                    "copy_file_range",
                    "file:ext4->file:ext4",
                    "copied_in_kernel",
                ),
                "`copy_file_range file:ext4->file:ext4`",
            ),
            (
                "splice>=0.95",
                vec![
                    row("splice", "tcp->pipe", "spliced", 16),
                    row("splice", "pipe->tcp", "spliced", 16),
                ],
                vec![
                    row("recv", "tcp", "copied_to_user", 16),
                    row("send", "tcp", "copied_from_user", 16),
                ],
                "`send tcp`",
            ),
            (
                "copy_file_range>=0.95",
                in_kernel("copy_file_range", "file:xfs->file:xfs", "cloned"),
                vec![
                    row("read", "file:xfs", "copied_to_user", 16),
                    row("write", "file:xfs", "copied_from_user", 16),
                ],
                "`write file:xfs`",
            ),
            (
                "clone>=0.95",
                in_kernel("clone", "file:xfs->file:xfs", "cloned"),
                in_kernel("copy_file_range", "file:xfs->file:xfs", "copied_in_kernel"),
                "`copy_file_range file:xfs->file:xfs`",
            ),
            (
                "copy_file_range,cloned>=0.95",
                in_kernel("copy_file_range", "file:xfs->file:xfs", "cloned"),
                in_kernel(
                    "copy_file_range",
                    "file:ext4->file:ext4",
                    "copied_in_kernel",
                ),
                "(copied_in_kernel)",
            ),
            (
                "read,direct>=0.99",
                in_kernel("read", "file:ext4", "direct"),
                in_kernel("read", "file:ext4", "copied_to_user"),
                "`read file:ext4` (copied_to_user)",
            ),
            (
                "direct>=0.99",
                in_kernel("uring.read", "block", "direct"),
                in_kernel("uring.read", "block", "copied_to_user"),
                "`uring.read block`",
            ),
            (
                "uring.*>=0.99",
                vec![
                    row("uring.recv", "tcp", "copied_to_user", 16),
                    row("uring.send", "tcp", "copied_from_user", 16),
                ],
                vec![
                    row("recv", "tcp", "copied_to_user", 16),
                    row("send", "tcp", "copied_from_user", 16),
                ],
                "`recv tcp`",
            ),
            (
                "aio.read>=0.99",
                in_kernel("aio.read", "file:ext4", "direct"),
                in_kernel("read", "file:ext4", "direct"),
                "`read file:ext4`",
            ),
            (
                "encrypted>=0.99",
                vec![path(
                    "sendfile",
                    "file:ext4->tcp",
                    M,
                    &[("spliced", 16 * MIB), ("encrypted", 16 * MIB)],
                )],
                read_and_sent(16),
                "`send tcp`",
            ),
            (
                "send.zerocopy>=0.99",
                in_kernel("send.zerocopy", "tcp", "spliced"),
                in_kernel("send", "tcp", "copied_from_user"),
                "`send tcp`",
            ),
            (
                "send.zerocopy,spliced>=0.99",
                in_kernel("send.zerocopy", "tcp", "spliced"),
                in_kernel("send.zerocopy", "tcp", "copied_from_user"),
                "`send.zerocopy tcp` (copied_from_user)",
            ),
            (
                "uring.send_zc>=0.99",
                in_kernel("uring.send_zc", "tcp", "spliced"),
                in_kernel("uring.send", "tcp", "copied_from_user"),
                "`uring.send tcp`",
            ),
            (
                "fault.map>=0.9",
                in_kernel("fault.map", "file:ext4", "mapped"),
                in_kernel("read", "file:ext4", "copied_to_user"),
                "`read file:ext4`",
            ),
            (
                "vmsplice>=0.99",
                vec![
                    row("vmsplice", "pipe", "spliced", 16),
                    row("splice", "pipe->tcp", "spliced", 16),
                ],
                vec![
                    row("write", "pipe", "copied_from_user", 16),
                    row("splice", "pipe->tcp", "spliced", 16),
                ],
                "`write pipe`",
            ),
            (
                "write<=0.1",
                in_kernel("sendfile", "file:ext4->tcp", "spliced"),
                in_kernel("write", "tcp", "copied_from_user"),
                "that is 16.0 MiB by `write tcp`",
            ),
        ];
        for (text, sound, planted, instead) in cases {
            let (verdict, reasons) = judged(text, &of(sound));
            assert_eq!((verdict, reasons), (Verdict::Pass, vec![]), "{text}");
            let (verdict, reasons) = judged(text, &of(planted));
            assert_eq!(verdict, Verdict::Fail, "{text}: {reasons:?}");
            let missed = &reasons[0];
            assert_eq!(missed.code, "expectation-missed", "{text}");
            assert!(missed.evidence.contains(instead), "{}", missed.evidence);
        }
    }

    /// The limit itself is enough, a byte less is not.
    #[test]
    fn a_share_is_held_against_its_limit() {
        let share = |text: &str, by_sendfile| {
            let mut paths = read_and_sent(100 - by_sendfile);
            paths.push(row("sendfile", "file:ext4->tcp", "spliced", by_sendfile));
            judged(text, &of(paths)).0
        };
        assert_eq!(share("sendfile>=0.95", 95), Verdict::Pass);
        assert_eq!(share("sendfile>=0.95", 94), Verdict::Fail);
        assert_eq!(share("sendfile<=0.05", 5), Verdict::Pass);
        assert_eq!(share("sendfile<=0.05", 6), Verdict::Fail);
        assert_eq!(share("sendfile>=1", 100), Verdict::Pass);
        assert_eq!(share("sendfile>=1", 99), Verdict::Fail);
    }

    /// Ten gigabytes of one process do not hide that another fell back.
    #[test]
    fn each_process_is_judged_by_itself_and_small_ones_together() {
        let by = |pid, paths| {
            let mut process = process(paths, &[], None);
            process.pid = pid;
            process
        };
        let sendfile = |mib| vec![row("sendfile", "file:ext4->tcp", "spliced", mib)];
        let all = samples::with(vec![by(1, sendfile(10 << 10)), by(2, read_and_sent(2))]);
        let (verdict, reasons) = judged("sendfile>=0.95", &all);
        assert_eq!(verdict, Verdict::Fail);
        assert!(reasons[0].evidence.contains("(2)"), "{reasons:?}");
        let small = |pid| {
            by(
                pid,
                vec![path("send", "tcp", M, &[("copied_from_user", MIB / 4)])],
            )
        };
        let mut many: Vec<_> = (2..7).map(small).collect();
        many.push(by(1, sendfile(64)));
        let (verdict, reasons) = judged("sendfile>=0.95", &samples::with(many));
        assert_eq!(verdict, Verdict::Fail);
        let text = &reasons[0].evidence;
        assert!(text.contains("5 small processes"), "{text}");
        let few = samples::with(vec![by(1, sendfile(64)), small(2)]);
        assert_eq!(judged("sendfile>=0.95", &few).0, Verdict::Pass);
        let (verdict, reasons) = judged("sendfile>=0.95", &samples::with(vec![small(2)]));
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(reasons[0].code, "too-few-bytes");
    }

    /// Log files beside a server's sockets, libraries beside a reader's file.
    #[test]
    fn what_is_another_kind_of_work_does_not_count() {
        let mut server = vec![row("sendfile", "file:ext4->tcp", "spliced", 64)];
        server.push(row("write", "file:ext4", "copied_from_user", 64));
        server.push(row("read", "file:ext4", "copied_to_user", 64));
        assert_eq!(judged("sendfile>=0.95", &of(server)).0, Verdict::Pass);
        let mut reader = vec![row("read", "file:ext4", "direct", 64)];
        reader.push(row("fault.map", "file:ext4", "mapped", 64));
        reader.push(row("read", "char:mem", "synthetic", 64));
        assert_eq!(judged("read,direct>=0.99", &of(reader)).0, Verdict::Pass);
    }

    /// The class that is named is that of the bytes that are missing, not of those that are there.
    #[test]
    fn what_was_done_instead_is_not_what_was_expected() {
        let evidence = |text, paths| judged(text, &of(paths)).1[0].evidence.clone();
        let half = |op, object, numbers: &[(&str, u64)]| vec![path(op, object, M, numbers)];
        let direct = half(
            "read",
            "file:ext4",
            &[("direct", 9 * MIB), ("copied_to_user", 7 * MIB)],
        );
        let text = evidence("read,direct>=0.99", direct.clone());
        assert!(
            text.ends_with("instead 7.00 MiB by `read file:ext4` (copied_to_user)"),
            "{text}"
        );
        let text = evidence("direct<=0.1", direct);
        assert!(
            text.ends_with("that is 9.00 MiB by `read file:ext4` (direct)"),
            "{text}"
        );
        let later = half(
            "send.zerocopy",
            "tcp",
            &[("spliced", 16 * MIB), ("deferred", 16 * MIB)],
        );
        let text = evidence("spliced,network>=0.95", later);
        assert!(
            text.ends_with("instead 16.0 MiB by `send.zerocopy tcp` (copied later)"),
            "{text}"
        );
    }

    #[test]
    fn small_processes_are_named_once() {
        let worker = |pid| {
            let mut process = process(
                vec![path("write", "tcp", M, &[("copied_from_user", MIB / 2)])],
                &[],
                None,
            );
            process.pid = pid;
            process
        };
        let ledger = samples::with((1..=8).map(worker).collect());
        let (_, reasons) = judged("sendfile>=0.95", &ledger);
        assert!(
            reasons[0]
                .evidence
                .ends_with("instead 4.00 MiB by `write tcp` (copied_from_user)"),
            "{}",
            reasons[0].evidence
        );
    }

    /// Where the place was named, the remedy is not to name it.
    #[test]
    fn an_expectation_with_a_place_can_still_be_about_both_directions() {
        let ledger = of(vec![
            row("sendfile", "file:tmpfs->unix", "spliced", 16),
            row("read", "unix", "copied_to_user", 16),
        ]);
        let (verdict, reasons) = judged("spliced,unix>=0.9", &ledger);
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(reasons[0].code, "expectation-unclear");
        assert!(
            reasons[0].remedy.contains("one direction") && !reasons[0].remedy.contains("place"),
            "{}",
            reasons[0].remedy
        );
    }

    /// Where it holds for sockets and not for files, nobody can tell what was meant.
    #[test]
    fn the_place_that_is_meant_can_be_named() {
        let ledger = of(vec![
            row("uring.send", "tcp", "copied_from_user", 16),
            row("write", "file:ext4", "copied_from_user", 16),
        ]);
        let (verdict, reasons) = judged("uring.*>=0.9", &ledger);
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(reasons[0].code, "expectation-unclear");
        assert_eq!(
            reasons[0].evidence,
            "uring.*>=0.9: missed for bytes given to files, met for bytes given to the network"
        );
        assert_eq!(judged("uring.*,network>=0.9", &ledger).0, Verdict::Pass);
        assert_eq!(judged("uring.*,file>=0.9", &ledger).0, Verdict::Fail);
        // A copier that also talks: sendfile is expected where it was used.
        let copier = of(vec![
            row("sendfile", "file:ext4->file:ext4", "copied_in_kernel", 64),
            row("send", "tcp", "copied_from_user", 2),
        ]);
        assert_eq!(judged("sendfile>=0.9", &copier).0, Verdict::Inconclusive);
        assert_eq!(judged("sendfile,file>=0.9", &copier).0, Verdict::Pass);
    }

    /// What nobody saw may have gone either way.
    #[test]
    fn unexplained_bytes_open_what_they_could_change() {
        let reads = |direct, unexplained| {
            let copied = 100 - direct - unexplained;
            let numbers = [
                ("direct", direct * MIB),
                ("unexplained", unexplained * MIB),
                ("copied_to_user", copied * MIB),
            ];
            of(vec![path("read", "file:btrfs", M, &numbers)])
        };
        let (verdict, reasons) = judged("read,direct>=0.9", &reads(50, 50));
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(reasons[0].code, "too-much-unexplained");
        assert_eq!(judged("read,direct>=0.9", &reads(95, 5)).0, Verdict::Pass);
        assert_eq!(judged("read,direct<=0.5", &reads(10, 20)).0, Verdict::Pass);
        assert_eq!(
            judged("read,direct<=0.5", &reads(40, 20)).0,
            Verdict::Inconclusive
        );
        // By which operation they went is known.
        assert_eq!(judged("read>=0.9", &reads(0, 100)).0, Verdict::Pass);
        assert_eq!(judged("uring.read>=0.9", &reads(0, 100)).0, Verdict::Fail);
    }

    #[test]
    fn what_was_only_concluded_has_to_be_accepted() {
        let ledger = |class: &str| {
            of(vec![path(
                "read",
                "file:ext4",
                "inferred",
                &[(class, 16 * MIB)],
            )])
        };
        let (verdict, reasons) = judged("read,direct>=0.9", &ledger("direct"));
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(reasons[0].code, "only-inferred");
        let accepting = Claim {
            accept_inferred: true,
            ..expected("read,direct>=0.9")
        };
        let judgement = judge(&accepting, &ledger("direct"), Circumstances::default());
        assert_eq!(judgement.verdict, Verdict::Pass);
        assert!(judgement.rests_on_inferred);
        let fallen = ledger("copied_to_user");
        assert_eq!(judged("read,direct>=0.9", &fallen).0, Verdict::Fail);
        // Nobody has to conclude which call it was.
        assert_eq!(judged("read>=0.9", &fallen).0, Verdict::Pass);
    }

    /// Calls that go by unseen decide for as long as they could be on the other side.
    #[test]
    fn calls_that_may_be_unseen_open_what_they_could_change() {
        let buffered = || of(vec![row("read", "file:ext4", "copied_to_user", 16)]);
        let mut submits = buffered();
        submits.loss.unfollowed_calls.io_submit = 1;
        for (text, wanted) in [
            ("aio.read>=0.9", Verdict::Inconclusive),
            // More bytes by others make its share no larger.
            ("uring.read>=0.9", Verdict::Fail),
            ("read>=0.9", Verdict::Inconclusive),
            ("read<=0.1", Verdict::Inconclusive),
            ("uring.read<=0.1", Verdict::Pass),
            ("aio.read<=0.1", Verdict::Inconclusive),
        ] {
            let (verdict, reasons) = judged(text, &submits);
            assert_eq!(verdict, wanted, "{text}: {reasons:?}");
            let opened = verdict == Verdict::Inconclusive;
            assert!(!opened || reasons[0].code == "unfollowed-calls");
        }
        let mut lossy = buffered();
        lossy.loss.miss("vfs_read", 1);
        for text in ["aio.read>=0.9", "read>=0.9"] {
            assert_eq!(judged(text, &lossy).0, Verdict::Inconclusive);
        }
        let mut open = buffered();
        open.processes[0].in_flight = 1;
        assert_eq!(judged("aio.read>=0.9", &open).0, Verdict::Inconclusive);
        // Without the site of page faults a mapping may have been read.
        let mut unseen = buffered();
        unseen.coverage.refused.push(Refused {
            probe: "file_fault_enter".into(),
            reason: String::new(),
            lost: String::new(),
            absent: false,
        });
        assert_eq!(judged("fault.map>=0.9", &unseen).0, Verdict::Inconclusive);
        assert_eq!(judged("uring.read>=0.9", &unseen).0, Verdict::Fail);
    }

    #[test]
    fn what_was_copied_later_was_not_spliced() {
        let sends = |deferred| {
            let mut row = path(
                "send.zerocopy",
                "tcp",
                M,
                &[("spliced", 16 * MIB), ("deferred", deferred * MIB)],
            );
            row.totals.moved = 16 * MIB;
            of(vec![row])
        };
        let text = "send.zerocopy,spliced>=0.9";
        assert_eq!(judged(text, &sends(0)).0, Verdict::Pass);
        assert_eq!(judged(text, &sends(16)).0, Verdict::Fail);
        let mut pending = sends(0);
        pending.processes[0].pending = 16 * MIB;
        assert_eq!(judged(text, &pending).0, Verdict::Inconclusive);
        let mut elsewhere = sends(0);
        elsewhere.unattributed = vec![Unattributed {
            thread: "ksoftirqd/0".into(),
            totals: sends(16).processes[0].total,
        }];
        assert_eq!(judged(text, &elsewhere).0, Verdict::Inconclusive);
        // The operation was used all the same.
        assert_eq!(judged("send.zerocopy>=0.9", &sends(16)).0, Verdict::Pass);
    }

    #[test]
    fn calls_that_failed_are_named() {
        let mut tried = path("splice", "pipe->file:ext4", M, &[]);
        tried.totals.errors = 16;
        tried.errnos = [(Errno::new(libc::EINVAL.unsigned_abs()), 16)]
            .into_iter()
            .collect();
        let mut paths = vec![
            row("read", "pipe", "copied_to_user", 16),
            row("write", "file:ext4", "copied_from_user", 16),
        ];
        let (verdict, reasons) = judged("splice,file>=0.9", &of(vec![tried.clone()]));
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(reasons[0].code, "refused");
        paths.push(tried);
        let (verdict, reasons) = judged("splice,file>=0.9", &of(paths));
        assert_eq!(verdict, Verdict::Fail);
        let text = &reasons[0].evidence;
        assert!(
            text.contains("splice: 16 of 16 calls failed with EINVAL"),
            "{text}"
        );
    }

    /// An errno without a text of its own is not sent to one, and what other calls met is no remedy for this one.
    #[test]
    fn the_remedy_is_for_the_calls_that_were_expected() {
        let refused = |op, object, errno: libc::c_int| {
            let mut tried = path(op, object, M, &[]);
            tried.totals.errors = 1;
            tried.errnos = [(Errno::new(errno.unsigned_abs()), 1)]
                .into_iter()
                .collect();
            tried
        };
        let remedy = |errno| {
            let mut paths = vec![
                row("write", "pipe", "copied_from_user", 16),
                refused("copy_file_range", "file:ext4->file:tmpfs", libc::EXDEV),
            ];
            paths.push(refused("vmsplice", "pipe", errno));
            let (_, reasons) = judged("vmsplice>=0.9", &of(paths));
            let found = reasons.into_iter().find(|reason| reason.code == "refused");
            found.expect("a refusal").remedy
        };
        assert_eq!(
            remedy(libc::EFAULT),
            "see what the call needs: `zctrace explain vmsplice`"
        );
        assert!(!remedy(libc::EAGAIN).contains("EXDEV"));
    }

    #[test]
    fn an_expectation_says_in_a_sentence_what_was_found() {
        let claim = expected("sendfile>=0.95");
        let snapshot = of(vec![row("sendfile", "file:ext4->tcp", "spliced", 16)]);
        let sentence = judge(&claim, &snapshot, Circumstances::default()).sentence(&snapshot);
        assert!(
            sentence.starts_with(
                "PASS: check: sendfile>=0.95: a share of 1.0000 of 16.0 MiB that server (1) gave \
                 to the network (zctrace"
            ),
            "{sentence}"
        );
        let snapshot = of(read_and_sent(16));
        let sentence = judge(&claim, &snapshot, Circumstances::default()).sentence(&snapshot);
        assert!(
            sentence.starts_with(
                "FAIL: check: sendfile>=0.95: expectation-missed (0 B by sendfile of 16.0 MiB that \
                 server (1) gave to the network: a share of 0.0000, expected at least 0.95; instead \
                 16.0 MiB by `send tcp` (copied_from_user))"
            ),
            "{sentence}"
        );
    }
}
