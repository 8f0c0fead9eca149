//! Whether zero-copy sends were notified in time, as far as a claim limits that.

use std::time::Duration;

use super::{
    Claim,
    portion::Row,
    reason::{Effect, Reason},
    rules::{self, Matter, Seen},
};
use crate::{
    ledger::{Notified, Snapshot},
    text::bytes::{bytes, duration},
};

/// Thousandths of the sends that must be notified within the limit.
const MOST: u64 = 990;

/// What stands against the claim: sends that waited for longer than it allows, or too few whose time is known.
pub(super) fn answer(claim: &Claim, snapshot: &Snapshot) -> Vec<Reason> {
    let Some(limit) = claim.longest_notification() else {
        return Vec::new();
    };
    let matter = Matter { claim, snapshot };
    let mut reasons = Vec::new();
    let mut judge = |row: Option<&Row<'_>>, notified: &Notified| {
        if let Some(time) = notified.within(MOST).filter(|time| *time > limit) {
            let seen = Seen {
                bytes: notified.bytes,
                text: format!(
                    "99% of {} sends were notified within {}, which is more than {}",
                    notified.sends,
                    duration(time),
                    duration(limit)
                ),
            };
            reasons.push(rules::SLOW_NOTIFICATION.reason(matter, Effect::Refutes, row, seen));
        }
    };
    // As with copies: a row with many bytes is judged by itself, and the others together.
    let mut small = Notified::default();
    let (mut known, mut pending, mut unseen) = (0_u64, 0_u64, 0_u64);
    for process in &snapshot.processes {
        let mut waits = false;
        for path in &process.paths {
            if !claim.is_about(path.op.as_str()) || !path.waits_for_notifications() {
                continue;
            }
            waits = true;
            if path.is_without_notifications() {
                unseen = unseen.saturating_add(path.totals.moved.max(1));
            }
            known = known.saturating_add(path.notified.bytes);
            if path.notified.bytes < claim.min_bytes {
                small.add(&path.notified);
            } else {
                judge(Some(&Row { process, path }), &path.notified);
            }
        }
        if waits {
            pending = pending.saturating_add(process.pending);
        }
    }
    if small.bytes >= claim.min_bytes {
        judge(None, &small);
    }
    let text = if unseen > 0 {
        "only calls are seen here, and no notifications".to_owned()
    } else if known < claim.min_bytes {
        let least = bytes(claim.min_bytes);
        format!("{} were notified, but {least} are needed", bytes(known))
    } else if pending > known / 100 {
        format!(
            "{} were not notified yet, beside {}",
            bytes(pending),
            bytes(known)
        )
    } else {
        return reasons;
    };
    let seen = Seen {
        bytes: unseen.max(pending),
        text,
    };
    reasons.push(rules::NOTIFICATION_UNKNOWN.reason(matter, Effect::Forbids, None, seen));
    reasons
}

impl Claim {
    /// The time within which sends must be notified, if that is limited.
    fn longest_notification(&self) -> Option<Duration> {
        let seconds = self.max_notification_ms? / 1e3;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        claims::{Circumstances, Verdict, judge, rules::made_up},
        ledger::{Path, samples},
    };

    const MIB: u64 = 1 << 20;

    fn claim(limit: f64) -> Claim {
        Claim {
            max_notification_ms: Some(limit),
            path: Some("send.zerocopy".into()),
            ..Claim::named("check")
        }
    }

    /// Sends of a MiB together, of which each waited for so many milliseconds.
    fn sends(evidence: &str, milliseconds: &[u64]) -> Path {
        let mut path = made_up::path("send.zerocopy", "tcp", evidence, &[("spliced", MIB)]);
        for &ms in milliseconds {
            let ns = ms * 1_000_000;
            let place = zctrace_common::Notified::place(ns);
            let class = zctrace_common::Notified::least(place);
            *path.notified.histogram.entry(class).or_default() += 1;
            path.notified.sends += 1;
            path.notified.ns += ns;
            path.notified.bytes = MIB;
        }
        path
    }

    fn judged(claim: &Claim, paths: Vec<Path>, pending: u64) -> (Verdict, Vec<String>) {
        let mut process = made_up::process(paths, &[], None);
        process.pending = pending;
        let snapshot = samples::with(vec![process]);
        let judgement = judge(claim, &snapshot, Circumstances::default());
        let codes = judgement.reasons.into_iter().map(|reason| reason.code);
        (judgement.verdict, codes.collect())
    }

    #[test]
    fn a_limit_of_the_time_to_the_notification_is_judged() {
        let (slow, unknown) = ("zerocopy-slow-notification", "notification-not-measured");
        let quick = || sends("measured", &[2; 100]);
        let half = |ms| {
            let mut row = sends("measured", &[ms; 10]);
            row.notified.bytes = MIB / 2;
            row
        };
        for (what, paths, pending, verdict, code) in [
            ("quick", vec![quick()], 0, Verdict::Pass, None),
            (
                "slow",
                vec![sends("measured", &[50; 100])],
                0,
                Verdict::Fail,
                Some(slow),
            ),
            (
                "a twentieth is slow",
                vec![sends("measured", &[&[2; 95][..], &[50; 5]].concat())],
                0,
                Verdict::Fail,
                Some(slow),
            ),
            (
                "one in 200 is slow",
                vec![sends("measured", &[&[2; 199][..], &[50]].concat())],
                0,
                Verdict::Pass,
                None,
            ),
            (
                "slow beside quick",
                vec![quick(), sends("measured", &[50; 9])],
                0,
                Verdict::Fail,
                Some(slow),
            ),
            (
                "two small rows",
                vec![half(2), half(50)],
                0,
                Verdict::Fail,
                Some(slow),
            ),
            (
                "one small row",
                vec![half(50)],
                0,
                Verdict::Inconclusive,
                Some(unknown),
            ),
            (
                "none",
                vec![sends("measured", &[])],
                0,
                Verdict::Inconclusive,
                Some(unknown),
            ),
            (
                "not seen",
                vec![quick(), sends("inferred", &[])],
                0,
                Verdict::Inconclusive,
                Some(unknown),
            ),
            (
                "not yet",
                vec![quick()],
                MIB,
                Verdict::Inconclusive,
                Some(unknown),
            ),
        ] {
            let (found, codes) = judged(&claim(10.0), paths, pending);
            assert_eq!(found, verdict, "{what}: {codes:?}");
            assert_eq!(codes.first().map(String::as_str), code, "{what}");
        }
        // Another path, and no limit.
        let other = Claim {
            path: Some("sendfile".into()),
            ..claim(10.0)
        };
        assert_eq!(judged(&other, vec![quick()], 0).0, Verdict::Inconclusive);
        let copies = made_up::claim();
        assert_eq!(
            judged(&copies, vec![sends("measured", &[50; 9])], 0).0,
            Verdict::Pass
        );
    }

    #[test]
    fn such_a_claim_needs_no_other_limit() {
        assert_eq!(claim(10.0).check(), Ok(()));
        assert_eq!(
            claim(10.0).words(),
            "at most 10 ms to the notification of send.zerocopy"
        );
        for limit in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(claim(limit).check().is_err(), "{limit}");
        }
        assert_eq!(claim(f64::MAX).longest_notification(), Some(Duration::MAX));
    }
}
