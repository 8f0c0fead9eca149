//! Whether the second recording copies more than the first.
//!
//! Copies are divided by the work: by the bytes that were sent or received over the network, or, if a command was
//! recorded twice, by nothing. They are not divided by what was moved: a copy in a pipe moves bytes too, so with it
//! copies per moved byte stay as they were.

use serde::{Deserialize, Serialize};

use crate::{
    claims::{self, Circumstances, Claim, Effect, MIN_BYTES, Outcome, Reason, Verdict, ZERO_COPY},
    ledger::{Snapshot, TargetKind},
    report::recorded::Document,
    text::bytes,
};

/// What `--max-increase` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MostIncrease {
    /// The part by which copies may increase: 0.05 is 5 %.
    pub part: f64,
    /// Whether what was inferred, not measured, may decide.
    pub accept_inferred: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The part by which copies may increase.
    pub max_increase: f64,
    /// PASS where they do not increase more, FAIL where they do.
    pub verdict: Verdict,
    /// What was compared.
    pub measures: Vec<Measure>,
    /// What stands against a PASS.
    pub reasons: Vec<Against>,
}

/// Copies of both recordings over the same work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// `copies_per_sent_byte`, `copies_per_received_byte` or `copied`.
    pub measure: String,
    /// The copies that were seen before.
    pub before: f64,
    /// The same if every unexplained byte was copied.
    pub before_at_most: f64,
    /// The copies that were seen after.
    pub after: f64,
    /// The same if every unexplained byte was copied.
    pub after_at_most: f64,
    /// The most that `after_at_most` may be for a PASS.
    pub limit: f64,
    /// Whether it is within the limit.
    pub outcome: Outcome,
}

/// Something that stands against a PASS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// `before`, `after` or `both`.
    pub recording: String,
    /// The reason of `check`, for `zctrace explain`; absent where it is about two recordings.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// What was seen.
    pub evidence: String,
    /// What to change.
    pub remedy: String,
}

/// The names of two measures.
const SENT: &str = "copies_per_sent_byte";
const RECEIVED: &str = "copies_per_received_byte";

/// The numbers of a recording that are compared.
struct Side<'a> {
    stat: &'a Snapshot,
    sent: u64,
    received: u64,
}

impl<'a> Side<'a> {
    fn new(document: &'a Document) -> Self {
        let (sent, received) = document.stat.over_the_network();
        Self {
            stat: &document.stat,
            sent,
            received,
        }
    }

    /// Copies that were seen over `work`, and those that there may have been.
    fn over(&self, work: u64) -> (f64, f64) {
        let copied = self.stat.total.copies();
        let at_most = copied.saturating_add(self.stat.total.unexplained);
        (copied as f64 / work as f64, at_most as f64 / work as f64)
    }

    fn is_command(&self) -> bool {
        self.stat.target.kind == TargetKind::Command
    }
}

pub(super) fn judge(before: &Document, after: &Document, limit: MostIncrease) -> Judged {
    let (a, b) = (Side::new(before), Side::new(after));
    let mut measures = Vec::new();
    for (name, x, y) in [(SENT, a.sent, b.sent), (RECEIVED, a.received, b.received)] {
        if x.min(y) >= MIN_BYTES && (a.stat.total.is_fair(x) || b.stat.total.is_fair(y)) {
            measures.push(measure(name, a.over(x), b.over(y), limit.part, ZERO_COPY));
        }
    }
    if measures.is_empty() && a.is_command() && b.is_command() {
        let slack = MIN_BYTES as f64;
        measures.push(measure("copied", a.over(1), b.over(1), limit.part, slack));
    }
    let mut reasons = Vec::new();
    if measures.is_empty() {
        reasons.push(Against {
            recording: "both".into(),
            code: None,
            evidence: format!(
                "copies have nothing to be divided by: neither are both recordings of a command, nor did both send or \
                 receive {} and a fair part of what they moved over the network",
                bytes::bytes(MIN_BYTES)
            ),
            remedy: "record a command that does the same work, or a server under load".into(),
        });
    }
    if before.stat.backend != after.stat.backend {
        reasons.push(Against {
            recording: "both".into(),
            code: None,
            evidence: format!(
                "one was recorded by {}, the other by {}, which do not see the same copies",
                before.stat.backend, after.stat.backend
            ),
            remedy: "record both on the same kernel with the same privileges".into(),
        });
    }
    // Copies that went unseen before only make an increase smaller.
    reasons.extend(against("before", before, limit.accept_inferred, None));
    let rooms = measures.iter().map(|one| one.room(&b));
    let room = rooms.min();
    reasons.extend(against("after", after, limit.accept_inferred, room));
    // What was lost before was copied perhaps, and then no more is copied now.
    let is_whole = before.damage.is_none() && before.stat.loss.lost() == 0;
    let is = |outcome| measures.iter().any(|one: &Measure| one.outcome == outcome);
    let verdict = if is(Outcome::Broken) && is_whole && before.stat.backend == after.stat.backend {
        Verdict::Fail
    } else if is(Outcome::Broken) || is(Outcome::Open) || !reasons.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    };
    Judged {
        max_increase: limit.part,
        verdict,
        measures,
        reasons,
    }
}

fn measure(
    name: &str,
    (before, before_at_most): (f64, f64),
    (after, after_at_most): (f64, f64),
    part: f64,
    slack: f64,
) -> Measure {
    let limit_of = |before: f64| before + (before * part).max(slack);
    let outcome = if after > limit_of(before_at_most) {
        Outcome::Broken
    } else if after_at_most > limit_of(before) {
        Outcome::Open
    } else {
        Outcome::Holds
    };
    Measure {
        measure: name.into(),
        before,
        before_at_most,
        after,
        after_at_most,
        limit: limit_of(before),
        outcome,
    }
}

impl Measure {
    /// How many bytes more could have been copied without breaking the limit.
    fn room(&self, side: &Side<'_>) -> u64 {
        let work = match self.measure.as_str() {
            SENT => side.sent,
            RECEIVED => side.received,
            _ => 1,
        };
        ((self.limit - self.after_at_most).max(0.0) * work as f64) as u64
    }
}

/// What stands against a PASS of a claim about a recording: what `check` says of one that so many more bytes would break,
/// if they had been copied; or nothing would, without a number.
fn against(
    recording: &str,
    document: &Document,
    accept_inferred: bool,
    room: Option<u64>,
) -> Vec<Against> {
    if let Some(damage) = &document.damage {
        return vec![Against {
            recording: recording.into(),
            code: None,
            evidence: format!("the recording is incomplete: {damage}"),
            remedy: "record again".into(),
        }];
    }
    let claim = Claim {
        max_copies_per_byte: Some(f64::MAX),
        accept_inferred,
        allow_encryption: true,
        ..Claim::named(recording)
    };
    let circumstances = Circumstances::recorded(&document.stat);
    let mut reasons = claims::judge(&claim, &document.stat, circumstances).reasons;
    if let Some(room) = room {
        for doubt in claims::doubts(&claim, &document.stat, circumstances, room) {
            if reasons.iter().all(|reason| reason.code != doubt.code) {
                reasons.push(doubt);
            }
        }
    }
    let forbids = |reason: &Reason| reason.effect == Effect::Forbids;
    let reasons = reasons.into_iter().filter(forbids);
    reasons
        .map(|reason| Against {
            recording: recording.into(),
            code: Some(reason.code),
            evidence: reason.evidence,
            remedy: reason.remedy,
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        ledger::{
            ExitStatus, Loss, Path, Process, Target, Totals,
            samples::{self, from_user, path, spliced, to_user},
        },
        report::recorded,
    };

    const MIB: u64 = 1 << 20;
    const LIMIT: MostIncrease = MostIncrease {
        part: 0.05,
        accept_inferred: false,
    };

    pub(in crate::report::compared) fn document(stat: Snapshot) -> Document {
        Document {
            schema: recorded::SCHEMA.into(),
            stat,
            intervals: Vec::new(),
            findings: Vec::new(),
            stacks: Vec::new(),
            stack_bytes: 0,
            stack_bytes_lost: 0,
            stack_bytes_truncated: 0,
            requests: Vec::new(),
            damage: None,
        }
    }

    fn server(paths: Vec<Path>) -> Document {
        let process = Process::from_paths(7, 1, "server".into(), "/".into(), paths);
        document(samples::with(vec![process]))
    }

    fn command(paths: Vec<Path>) -> Document {
        let mut document = server(paths);
        document.stat.target = Target {
            kind: TargetKind::Command,
            value: "./benchmark".into(),
        };
        document.stat.exit_status = Some(ExitStatus {
            code: Some(0),
            signal: None,
        });
        document
    }

    fn by_sendfile() -> Document {
        server(vec![path("sendfile", "file:ext4->tcp", spliced(64 * MIB))])
    }

    fn by_write() -> Document {
        server(vec![
            path("read", "file:ext4", to_user(64 * MIB)),
            path("write", "tcp", from_user(64 * MIB)),
        ])
    }

    #[test]
    fn a_server_that_loses_sendfile_fails_and_the_way_back_passes() {
        let judged = judge(&by_sendfile(), &by_write(), LIMIT);
        assert_eq!(judged.verdict, Verdict::Fail, "{judged:?}");
        assert_eq!(judged.measures[0].measure, "copies_per_sent_byte");
        assert_eq!(
            (judged.measures[0].before, judged.measures[0].after),
            (0.0, 2.0)
        );
        let back = judge(&by_write(), &by_sendfile(), LIMIT);
        assert_eq!(back.verdict, Verdict::Pass, "{back:?}");
    }

    /// A copy through a pipe moves bytes too: over those, nothing would have changed.
    #[test]
    fn a_copy_that_moves_bytes_itself_fails() {
        let plain = || {
            vec![
                path("read", "file:ext4", to_user(64 * MIB)),
                path("write", "file:ext4", from_user(64 * MIB)),
            ]
        };
        let mut paths = plain();
        paths.push(path("write", "pipe", from_user(16 * MIB)));
        paths.push(path("read", "pipe", to_user(16 * MIB)));
        let (before, after) = (command(plain()), command(paths));
        let per_byte = |document: &Document| document.stat.total.copies_per_byte;
        assert_eq!(per_byte(&before), per_byte(&after));
        let judged = judge(&before, &after, LIMIT);
        assert_eq!(judged.measures[0].measure, "copied");
        assert_eq!(judged.verdict, Verdict::Fail, "{judged:?}");
        assert_eq!(judge(&before, &before, LIMIT).verdict, Verdict::Pass);
    }

    #[test]
    fn twice_the_work_is_not_more_copies_for_it() {
        let twice = server(vec![
            path("read", "file:ext4", to_user(128 * MIB)),
            path("write", "tcp", from_user(128 * MIB)),
        ]);
        assert_eq!(judge(&by_write(), &twice, LIMIT).verdict, Verdict::Pass);
        assert_eq!(judge(&twice, &by_write(), LIMIT).verdict, Verdict::Pass);
    }

    #[test]
    fn the_limit_is_a_part_of_what_was_copied_before() {
        let with = |more: u64| {
            server(vec![
                path("read", "file:ext4", to_user(100 * MIB + more * MIB)),
                path("write", "tcp", from_user(100 * MIB)),
            ])
        };
        assert_eq!(judge(&with(0), &with(9), LIMIT).verdict, Verdict::Pass);
        assert_eq!(judge(&with(0), &with(11), LIMIT).verdict, Verdict::Fail);
    }

    #[test]
    fn bytes_that_nobody_saw_decide_nothing() {
        let unseen = server(vec![path(
            "sendfile",
            "file:ext4->tcp",
            Totals {
                ops: 1,
                moved: 64 * MIB,
                unexplained: 64 * MIB,
                ..Totals::default()
            },
        )]);
        let judged = judge(&by_sendfile(), &unseen, LIMIT);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
        // Nor are they taken for copies that there were before.
        let judged = judge(&unseen, &by_write(), LIMIT);
        assert_eq!(
            judged.measures[0].outcome,
            Outcome::Broken,
            "2 is more than 1"
        );
        let once = server(vec![path("write", "tcp", from_user(64 * MIB))]);
        let judged = judge(&unseen, &once, LIMIT);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
    }

    #[test]
    fn copies_that_nobody_counted_are_no_answer_where_they_would_be_too_many() {
        // A process that sends nothing may have copied.
        let doubtful = |writes: u64| {
            let mut pages = path("fault.write", "unknown", Totals::default());
            pages.totals.ops = writes;
            let paths = by_sendfile().stat.processes[0].paths.clone();
            let server = Process::from_paths(7, 1, "server".into(), "/".into(), paths);
            let other = Process::from_paths(8, 1, "other".into(), "/".into(), vec![pages]);
            document(samples::with(vec![server, other]))
        };
        for (writes, wanted) in [
            (0, Verdict::Pass),
            (16, Verdict::Pass),
            (16 << 10, Verdict::Inconclusive),
        ] {
            let judged = judge(&by_sendfile(), &doubtful(writes), LIMIT);
            assert_eq!(judged.verdict, wanted, "{judged:?}");
        }
        let mut begun = by_sendfile();
        begun.stat.loss.unfollowed_calls.begun = 1;
        begun.stat.loss.unfollowed_calls.begun_bytes = 64 * MIB;
        let judged = judge(&by_sendfile(), &begun, LIMIT);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
    }

    #[test]
    fn what_was_lost_or_cut_is_no_answer() {
        let mut lost = by_sendfile();
        lost.stat.loss = Loss {
            map_full: 1,
            ..Loss::default()
        };
        for (before, after) in [
            (lost.clone(), by_write()),
            (by_sendfile(), lost),
            (
                Document {
                    damage: Some("cut".into()),
                    ..by_sendfile()
                },
                by_write(),
            ),
            (
                by_sendfile(),
                Document {
                    damage: Some("cut".into()),
                    ..by_sendfile()
                },
            ),
        ] {
            let judged = judge(&before, &after, LIMIT);
            assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
            assert!(!judged.reasons.is_empty());
        }
    }

    #[test]
    fn a_command_that_failed_is_no_answer() {
        let ran = || command(vec![path("read", "file:ext4", to_user(64 * MIB))]);
        let mut failed = ran();
        failed.stat.exit_status = Some(ExitStatus {
            code: Some(1),
            signal: None,
        });
        let judged = judge(&ran(), &failed, LIMIT);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
    }

    #[test]
    fn without_work_in_common_there_is_no_answer() {
        let local = server(vec![path("read", "file:ext4", to_user(64 * MIB))]);
        let judged = judge(&local, &local, LIMIT);
        assert_eq!(judged.verdict, Verdict::Inconclusive);
        assert!(judged.measures.is_empty());
        assert!(judged.reasons[0].evidence.contains("divided by"));
    }

    #[test]
    fn two_backends_are_no_comparison() {
        let mut other = by_write();
        other.stat.backend = "tracepoints".into();
        let judged = judge(&by_sendfile(), &other, LIMIT);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
    }

    #[test]
    fn what_was_inferred_passes_only_if_it_is_accepted() {
        let inferred = || {
            let mut document = by_sendfile();
            for path in &mut document.stat.processes[0].paths {
                path.evidence = "inferred".into();
            }
            document
        };
        let judged = judge(&inferred(), &inferred(), LIMIT);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{judged:?}");
        let accepting = MostIncrease {
            accept_inferred: true,
            ..LIMIT
        };
        let judged = judge(&inferred(), &inferred(), accepting);
        assert_eq!(judged.verdict, Verdict::Pass, "{judged:?}");
    }
}
