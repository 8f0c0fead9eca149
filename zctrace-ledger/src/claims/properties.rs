//! A PASS implies every condition for one, whatever the ledger says.

use proptest::prelude::*;

use super::{Circumstances, Claim, Effect, Judgement, MIN_BYTES, Outcome, Verdict, judge};
use crate::ledger::{
    Claimed, Errnos, ExitStatus, Notified, Path, Process, Refused, Snapshot, Totals, Unattributed,
    Unfollowed, samples,
};

const MIB: u64 = 1 << 20;

const OPS: [&str; 10] = [
    "read",
    "write",
    "send",
    "recv",
    "sendfile",
    "splice",
    "copy_file_range",
    "fault.map",
    "fault.cow",
    "vmsplice",
];
const OBJECTS: [&str; 8] = [
    "file:ext4",
    "tcp",
    "pipe",
    "anon",
    "file:ext4->tcp",
    "tcp->pipe",
    "pipe->tcp",
    "file:btrfs->file:btrfs",
];

/// Often nothing, often around the limits.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => Just(0),
        1 => 0..MIB / 8,
        1 => MIB - 3..MIB + 3,
        1 => MIB..64 * MIB,
        1 => Just(u64::MAX / 4),
    ]
}

prop_compose! {
    fn totals()(n in proptest::array::uniform14(amount())) -> Totals {
        let mut totals = Totals::default();
        let classes = n[..9].iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
        totals.add(&Totals {
            ops: 1,
            moved: classes,
            copied_to_user: n[0], copied_from_user: n[1], copied_in_kernel: n[2],
            spliced: n[3], direct: n[4], cloned: n[5], mapped: n[6], synthetic: n[7],
            unexplained: n[8], deferred: n[9], recopied: n[10], wasted: n[11], cow: n[12],
            encrypted: n[13],
            ..Totals::default()
        });
        totals
    }
}

/// What a target without copies does.
fn clean() -> impl Strategy<Value = Totals> {
    (0..3_usize, MIB / 4..32 * MIB).prop_map(|(class, bytes)| {
        let mut totals = Totals {
            ops: 1,
            moved: bytes,
            ..Totals::default()
        };
        match class {
            0 => totals.spliced = bytes,
            1 => totals.direct = bytes,
            _ => totals.cloned = bytes,
        }
        totals
    })
}

fn path() -> impl Strategy<Value = Path> {
    (
        proptest::sample::select(&OPS[..]),
        proptest::sample::select(&OBJECTS[..]),
        prop_oneof![5 => Just("measured"), 1 => Just("inferred")],
        prop_oneof![1 => totals(), 4 => clean()],
    )
        .prop_map(|(op, object, evidence, totals)| samples::row(op, object, evidence, totals))
}

fn rarely(amount: impl Strategy<Value = u64>) -> impl Strategy<Value = u64> {
    (prop_oneof![7 => Just(0_u64), 1 => Just(1)], amount).prop_map(|(some, amount)| some * amount)
}

/// A target that copies nothing, measured in full.
fn calm() -> impl Strategy<Value = Snapshot> {
    let path = (
        proptest::sample::select(&OPS[..]),
        proptest::sample::select(&OBJECTS[..]),
        clean(),
    )
        .prop_map(|(op, object, totals)| samples::path(op, object, totals));
    proptest::collection::vec(proptest::collection::vec(path, 1..5), 1..4).prop_map(|processes| {
        let processes = (1..)
            .zip(processes)
            .map(|(pid, paths)| Process::from_paths(pid, 1, "calm".into(), "/".into(), paths));
        samples::with(processes.collect())
    })
}

/// Anything, and what nearly passes.
fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    prop_oneof![
        snapshot(),
        calm(),
        (calm(), snapshot()).prop_map(|(mut calm, other)| {
            calm.processes.extend(other.processes);
            calm
        }),
    ]
}

prop_compose! {
    fn process()(
        pid in 1..9_u32,
        paths in proptest::collection::vec(path(), 0..5),
        pending in rarely(0..9_u64),
        in_flight in rarely(0..3_u64),
    ) -> Process {
        let mut process = Process::from_paths(pid, 1, "x".into(), "/".into(), paths);
        (process.pending, process.in_flight) = (pending, in_flight);
        process
    }
}

prop_compose! {
    fn snapshot()(
        processes in proptest::collection::vec(process(), 0..4),
        map_full in rarely(0..2_u64),
        missed_runs in rarely(0..2_u64),
        io_submit in rarely(0..2_u64),
        compat in rarely(0..2_u64),
        rings in rarely(0..2_u64),
        lost_deferred in rarely(amount()),
        refused in proptest::option::weighted(0.2, proptest::sample::select(
            vec!["filemap_read", "wp_page_enter", "tcp_sendmsg_locked", "vfs_read", "no_such_probe"])),
        absent in any::<bool>(),
        exit in proptest::option::weighted(0.3, 0..3_i32),
    ) -> Snapshot {
        let mut snapshot = samples::with(processes);
        snapshot.loss.map_full = map_full;
        snapshot.loss.missed_runs = missed_runs;
        snapshot.loss.unfollowed_calls = Unfollowed { io_submit, compat, rings, ..Unfollowed::default() };
        if lost_deferred > 0 {
            let totals = Totals { deferred: lost_deferred, ..Totals::default() };
            snapshot.unattributed = vec![Unattributed { thread: "ksoftirqd/0".into(), totals }];
        }
        snapshot.coverage.refused = refused.into_iter().map(|probe| Refused {
            probe: probe.into(),
            reason: String::new(),
            lost: String::new(),
            absent,
        }).collect();
        snapshot.exit_status = exit.map(|code| ExitStatus { code: Some(code), signal: None });
        snapshot
    }
}

fn limit() -> impl Strategy<Value = f64> {
    proptest::sample::select(vec![0.0, 0.02, 0.5, 1.0, 2.0])
}

prop_compose! {
    fn claim()(
        mut limits in proptest::array::uniform3(proptest::option::of(limit())),
        first in limit(),
        min_bytes in proptest::sample::select(vec![1, 4096, MIN_BYTES]),
        path in proptest::option::weighted(0.3, proptest::sample::select(&OPS[..])),
        accept_inferred in any::<bool>(),
        allow_encryption in any::<bool>(),
    ) -> Claim {
        if limits.iter().all(Option::is_none) {
            limits[0] = Some(first);
        }
        Claim { max_copies_per_byte: limits[0], max_copies_per_sent_byte: limits[1], max_copies_per_received_byte: limits[2], min_bytes, path: path.map(str::to_owned), accept_inferred, allow_encryption, ..Claim::named("claim") }
    }
}

fn verdict(claim: &Claim, snapshot: &Snapshot) -> Judgement {
    judge(claim, snapshot, Circumstances::default())
}

#[expect(clippy::cast_precision_loss, reason = "as in the ledger's ratios")]
fn above(copies: u64, bytes: u64, limit: f64) -> bool {
    copies as f64 > limit * bytes as f64
}

/// Copies and what may be one, written down anew.
fn charge(totals: &Totals, claim: &Claim) -> u64 {
    [
        totals.copied_to_user,
        totals.copied_from_user,
        totals.copied_in_kernel,
        totals.deferred,
        totals.recopied,
        totals.wasted,
        totals.cow,
        totals.unexplained,
        if claim.allow_encryption {
            0
        } else {
            totals.encrypted
        },
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

/// Bytes that something carried, written down anew: not extents that were shared, bytes that were made up, or pages
/// that became visible.
fn carried(path: &Path) -> u64 {
    let Totals {
        moved,
        cloned,
        synthetic,
        mapped,
        ..
    } = path.totals;
    let visible = if path.op.as_str() == "fault.map" {
        mapped
    } else {
        0
    };
    moved
        .saturating_sub(cloned)
        .saturating_sub(synthetic)
        .saturating_sub(visible)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 200_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pass_implies_every_condition(claim in claim(), snapshot in any_snapshot()) {
        let judgement = verdict(&claim, &snapshot);
        prop_assert!(judgement.verdict == Verdict::Pass || !judgement.reasons.is_empty());
        if judgement.verdict != Verdict::Pass {
            return Ok(());
        }
        let loss = &snapshot.loss;
        prop_assert_eq!((loss.lost(), loss.unfollowed_calls.compat), (0, 0));
        let about_aio = claim.path.as_deref().is_none_or(|path| path.starts_with("aio."));
        prop_assert!(!about_aio || loss.unfollowed_calls.io_submit == 0);
        let about_rings = claim.path.as_deref().is_none_or(|path| matches!(path, "recv" | "send"));
        prop_assert!(!about_rings || loss.unfollowed_calls.rings == 0);
        prop_assert!(snapshot.processes.iter().all(|p| p.in_flight == 0));
        if let Some(limit) = claim.max_copies_per_byte {
            let heavy = snapshot.processes.iter().flat_map(|process| {
                process.paths.iter().map(move |path| (process.pending, path))
            }).filter(|(_, path)| claim.is_about(path.op.as_str()) && carried(path) >= claim.min_bytes);
            for (pending, path) in heavy {
                let worst = charge(&path.totals, &claim).saturating_add(pending.min(path.can_be_pending()));
                prop_assert!(!above(worst, carried(path), limit), "{path:?}");
            }
        }
        prop_assert!(snapshot.exit_status.is_none_or(|status| status.code == Some(0)));
        let rows: Vec<_> = snapshot.processes.iter().flat_map(|p| &p.paths)
            .filter(|path| claim.path.as_deref().is_none_or(|op| path.op == op))
            .collect();
        if let Some(limit) = claim.max_copies_per_byte {
            let (mut small, mut small_charge) = (0_u64, 0_u64);
            for path in &rows {
                let charge = charge(&path.totals, &claim);
                let carried = carried(path);
                let with_extents = carried.saturating_add(path.totals.cloned);
                let is_heavy = carried.max(charge) >= claim.min_bytes;
                if is_heavy {
                    prop_assert!(!above(charge, carried, limit), "{path:?}");
                } else {
                    small = small.saturating_add(carried);
                    small_charge = small_charge.saturating_add(charge);
                }
                if is_heavy || path.totals.cloned >= claim.min_bytes {
                    prop_assert!(!above(charge, with_extents, limit), "{path:?}");
                    prop_assert!(claim.accept_inferred || path.evidence == "measured");
                    prop_assert!(path.evidence == "measured" || path.totals.direct == 0);
                }
            }
            if small.max(small_charge) >= claim.min_bytes {
                prop_assert!(!above(small_charge, small, limit));
            }
            prop_assert!(rows.iter().fold(0_u64, |sum, path| sum.saturating_add(path.totals.moved)) >= claim.min_bytes);
        }
        for (limit, sent) in [
            (claim.max_copies_per_sent_byte, true),
            (claim.max_copies_per_received_byte, false),
        ] {
            let Some(limit) = limit else { continue };
            let mut crossed_in_all = 0_u64;
            for process in &snapshot.processes {
                let mine: Vec<_> = process.paths.iter()
                    .filter(|path| claim.path.as_deref().is_none_or(|op| path.op == op))
                    .collect();
                let crossed = mine.iter()
                    .filter(|path| path.direction() == Some(if sent {
                        crate::ledger::Direction::Sent
                    } else {
                        crate::ledger::Direction::Received
                    }))
                    .fold(0_u64, |sum, path| sum.saturating_add(carried(path)));
                let charge = mine.iter()
                    .fold(0_u64, |sum, path| sum.saturating_add(charge(&path.totals, &claim)));
                crossed_in_all = crossed_in_all.saturating_add(crossed);
                if crossed.max(charge) >= claim.min_bytes && charge < u64::MAX {
                    prop_assert!(!above(charge, crossed, limit), "{process:?}");
                }
            }
            prop_assert!(crossed_in_all >= claim.min_bytes);
        }
        for refused in snapshot.coverage.refused.iter().filter(|refused| !refused.absent) {
            // Who knows what goes by unseen without a probe that nobody knows?
            prop_assert!(refused.probe != "no_such_probe");
            let accepted = claim.accept_inferred && refused.probe != "vfs_read";
            prop_assert!(accepted || claim.path.is_some());
        }
    }

    /// Extents shared, libraries mapped, bytes made up, pages handed on: none makes up for a copy.
    #[test]
    fn what_copies_nothing_turns_no_fail_into_a_pass(
        claim in claim(),
        snapshot in any_snapshot(),
        bytes in MIB..1 << 50,
        way in 0..4_usize,
        split in 1..9_u64,
        into in 0..3_usize,
    ) {
        let before = verdict(&claim, &snapshot);
        prop_assume!(before.verdict == Verdict::Fail);
        // A path that was not used is one that can be used.
        prop_assume!(before.reasons.iter().all(|reason| reason.code != "path-not-used"));
        // Copies of a target that carried nothing are all that it did, until it carries something.
        let broken = before.judged.iter().any(|judged| judged.outcome == Outcome::Broken);
        prop_assume!(way != 3 || broken);
        let (op, object, class): (_, _, fn(&mut Totals) -> &mut u64) = [
            ("copy_file_range", "file:xfs->file:xfs", (|t| &mut t.cloned) as fn(&mut Totals) -> &mut u64),
            ("fault.map", "file:ext4", |t| &mut t.mapped),
            ("read", "char:mem", |t| &mut t.synthetic),
            ("splice", "pipe->pipe", |t| &mut t.spliced),
        ][way];
        // Pages handed on do carry bytes, so only a path of enough of them stands alone.
        let split = if way == 3 { 1 } else { split };
        let bytes = bytes.max(claim.min_bytes);
        let extra: Vec<_> = (0..split).map(|_| {
            let mut totals = Totals { ops: 1, moved: bytes / split, ..Totals::default() };
            *class(&mut totals) = bytes / split;
            Path { op: op.into(), object: object.into(), evidence: "measured".into(), by: None, errnos: Errnos::default(), notified: Notified::default(), totals }
        }).collect();
        let mut diluted = snapshot;
        for (index, path) in extra.into_iter().enumerate() {
            if into < diluted.processes.len() && split == 1 && way != 0 {
                let process = &mut diluted.processes[into];
                process.paths.push(path);
            } else {
                let pid = 100 + u32::try_from(index).unwrap();
                diluted.processes.push(Process::from_paths(pid, 1, "y".into(), "/".into(), vec![path]));
            }
        }
        prop_assert_eq!(verdict(&claim, &diluted).verdict, Verdict::Fail);
    }

    /// Submissions to Linux AIO concern claims about its operations or about all of them, and no others.
    #[test]
    fn calls_that_are_not_followed_forbid_a_pass_of_what_they_concern(claim in claim(), snapshot in calm()) {
        prop_assume!(verdict(&claim, &snapshot).verdict == Verdict::Pass);
        let mut unfollowed = snapshot;
        unfollowed.loss.unfollowed_calls.io_submit = 256;
        let judgement = verdict(&claim, &unfollowed);
        let concerned = claim.path.as_deref().is_none_or(|path| path.starts_with("aio."));
        prop_assert_eq!(judgement.verdict == Verdict::Inconclusive, concerned);
        if concerned {
            prop_assert_eq!(&judgement.reasons[0].code, "unfollowed-calls");
            prop_assert_eq!(&judgement.reasons[0].evidence, "Linux AIO, 256 calls of io_submit");
        }
    }

    /// More copies never help, and neither does knowing less.
    #[test]
    fn nothing_bad_turns_into_a_pass(claim in claim(), snapshot in calm(), what in 0..9_usize) {
        prop_assume!(verdict(&claim, &snapshot).verdict == Verdict::Pass);
        let mut worse = snapshot;
        let op = claim.path.clone().unwrap_or_else(|| "write".into());
        match what {
            0 => worse.loss.miss("vfs_read", 1),
            8 => worse.loss.unfollowed_calls.compat = 1,
            1 => {
                // The last row that counts, all of it still on its way.
                prop_assume!(claim.max_copies_per_byte.is_some_and(|limit| limit < 1.0));
                let totals = Totals { ops: 1, moved: 64 * MIB, spliced: 64 * MIB, ..Totals::default() };
                let path = Path { op: op.as_str().into(), object: "tcp".into(), evidence: "measured".into(), by: None, errnos: Errnos::default(), notified: Notified::default(), totals };
                // One that receives has nothing on its way.
                prop_assume!(path.can_be_pending() > 0);
                let mut process = Process::from_paths(77, 1, "z".into(), "/".into(), vec![path]);
                process.pending = 64 * MIB;
                worse.processes.push(process);
            }
            2 => worse.processes[0].in_flight = 1,
            7 => {
                let part = Claimed {
                    op: op.as_str().into(),
                    object: "socket:mptcp".into(),
                    evidence: "inferred".into(),
                    claims: vec!["copied_notification".into()],
                    device: None,
                    notifications: 1,
                    totals: Totals::default(),
                };
                worse.processes[0].claims.push(part);
            }
            3 => worse.exit_status = Some(ExitStatus { code: None, signal: Some(11) }),
            4 => {
                let totals = Totals { deferred: 1 << 62, ..Totals::default() };
                worse.unattributed = vec![Unattributed { thread: "kworker/0".into(), totals }];
            }
            _ => {
                let totals = Totals { ops: 1, moved: 64 * MIB, copied_from_user: 64 * MIB, cow: 1 << 60, ..Totals::default() };
                let path = Path { op: op.as_str().into(), object: "tcp".into(), evidence: "inferred".into(), by: None, errnos: Errnos::default(), notified: Notified::default(), totals };
                worse.processes.push(Process::from_paths(77, 1, "z".into(), "/".into(), vec![path]));
            }
        }
        let judgement = verdict(&claim, &worse);
        let wanted = if (5..7).contains(&what) { Verdict::Fail } else { Verdict::Inconclusive };
        prop_assert_eq!(judgement.verdict, wanted);
        let weighty = judgement.reasons.iter().any(|reason| reason.effect != Effect::Explains);
        prop_assert!(weighty);
    }
}

/// What a server still has on the way at the end says little about a long run, and all about a short one.
#[test]
fn bytes_on_their_way_count_as_copied() {
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("sendfile".into()),
        ..Claim::named("files")
    };
    let of = |pending: u64, spliced: u64| {
        let totals = Totals {
            ops: 1,
            moved: spliced,
            spliced,
            ..Totals::default()
        };
        let path = Path {
            op: "sendfile".into(),
            object: "file:ext4->tcp".into(),
            evidence: "measured".into(),
            by: None,
            errnos: Errnos::default(),
            notified: Notified::default(),
            totals,
        };
        let mut process = Process::from_paths(1, 1, "server".into(), "/".into(), vec![path]);
        process.pending = pending;
        let judgement = verdict(&claim, &samples::with(vec![process]));
        let codes: Vec<_> = judgement
            .reasons
            .into_iter()
            .map(|reason| reason.code)
            .collect();
        (
            judgement.verdict,
            codes.contains(&"zerocopy-pending".to_owned()),
        )
    };
    assert_eq!(of(0, 64 * MIB), (Verdict::Pass, false));
    assert_eq!(of(MIB, 64 * MIB), (Verdict::Pass, false));
    assert_eq!(of(2 * MIB, 64 * MIB), (Verdict::Inconclusive, true));
    assert_eq!(of(4 * MIB, 4 * MIB), (Verdict::Inconclusive, true));
}

/// What ordinary sends copied and the kernel copied again may be of rows that send by copying, and not of others.
#[test]
fn what_was_copied_again_after_sends_counts_against_sends_that_copy() {
    let of = |op: &str, object: &str, again: u64, totals: Totals| {
        let claim = Claim {
            max_copies_per_sent_byte: Some(1.05),
            ..Claim::named("claim")
        };
        let row = samples::path(op, object, totals);
        let process = Process::from_paths(1, 1, "x".into(), "/".into(), vec![row]);
        let mut snapshot = samples::with(vec![process]);
        let totals = Totals {
            deferred: again,
            ..Totals::default()
        };
        snapshot.unattributed = vec![Unattributed {
            thread: "sent_again".into(),
            totals,
        }];
        let judgement = verdict(&claim, &snapshot);
        let codes: Vec<_> = judgement.reasons.into_iter().map(|r| r.code).collect();
        (judgement.verdict, codes)
    };
    let copied = Totals {
        ops: 1,
        moved: 64 * MIB,
        copied_from_user: 64 * MIB,
        ..Totals::default()
    };
    let spliced = Totals {
        ops: 1,
        moved: 64 * MIB,
        spliced: 64 * MIB,
        ..Totals::default()
    };
    let overturned = (
        Verdict::Inconclusive,
        vec!["unattributed-copies".to_owned()],
    );
    assert_eq!(of("send", "tcp", 64 * MIB, copied), overturned);
    assert_eq!(of("send", "tcp", 4 * MIB, copied), overturned);
    assert_eq!(of("send", "tcp", 3 * MIB, copied).0, Verdict::Pass);
    let by_reference = of("sendfile", "file:ext4->tcp", 640 * MIB, spliced);
    assert_eq!(by_reference.0, Verdict::Pass);
}

/// A few bytes that were not shared do not condemn the row, and are not forgotten.
#[test]
fn what_a_row_has_beside_shared_extents_counts_over_all_of_it() {
    let of = |limit, rest: fn(&mut Totals) -> &mut u64| {
        let claim = Claim {
            max_copies_per_byte: Some(limit),
            min_bytes: MIB,
            ..Claim::named("claim")
        };
        let mut totals = Totals {
            ops: 1,
            moved: 64 * MIB + MIB / 8,
            cloned: 64 * MIB,
            ..Totals::default()
        };
        *rest(&mut totals) = MIB / 8;
        let row = samples::path("copy_file_range", "file:btrfs->file:btrfs", totals);
        let process = Process::from_paths(1, 1, "cp".into(), "/".into(), vec![row]);
        verdict(&claim, &samples::with(vec![process])).verdict
    };
    assert_eq!(
        of(0.02, |totals| &mut totals.copied_in_kernel),
        Verdict::Pass
    );
    assert_eq!(
        of(0.0, |totals| &mut totals.copied_in_kernel),
        Verdict::Fail
    );
    assert_eq!(
        of(0.0, |totals| &mut totals.unexplained),
        Verdict::Inconclusive
    );
}
