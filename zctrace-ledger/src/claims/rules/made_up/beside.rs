//! What other rows, calls and processes do to the verdict on a row.

use std::collections::BTreeSet;

use nix::libc;
use zctrace_common::{Evidence, Mark};

use super::{M, MIB, claim, judged, path, process};
use crate::{
    catalog,
    claims::{Circumstances, Claim, Effect, Verdict, judge},
    ledger::{Errno, NotFollowed, samples},
};

/// What was moved beside refused calls was moved as claimed, and the report names the calls.
#[test]
fn calls_refused_beside_others_are_named() {
    let told = |errno: i32| {
        let mut row = path("splice", "pipe->file:xfs", M, &[("spliced", 4 * MIB)]);
        row.totals.errors = 3;
        row.errnos = [(Errno::new(errno.unsigned_abs()), 3)]
            .into_iter()
            .collect();
        let judgement = judged(&claim(), vec![process(vec![row], &[], None)]);
        assert_eq!(judgement.verdict, Verdict::Pass);
        let refused = judgement.reasons.into_iter().find(|r| r.code == "refused");
        refused.map(|reason| (reason.evidence, reason.remedy))
    };
    let (evidence, remedy) = told(libc::EINVAL).expect("a reason");
    assert!(
        evidence.starts_with("3 of 16 calls failed with EINVAL"),
        "{evidence}"
    );
    assert!(remedy.contains("O_APPEND"), "{remedy}");
    assert_eq!(
        told(libc::EAGAIN),
        None,
        "usual with a pipe that does not block"
    );
}

fn with_path(claim: &Claim, path: &str) -> Claim {
    Claim {
        path: Some(path.into()),
        ..claim.clone()
    }
}

/// `btrfs send`: an ioctl copies into a pipe, which is then spliced on.
#[test]
fn copies_in_another_call_stand_against_a_pass() {
    let ledger = |other: u64| {
        vec![process(
            vec![
                path("splice", "pipe->pipe", M, &[("spliced", 64 * MIB)]),
                path("other", "syscall:ioctl", M, &[("copied_in_kernel", other)]),
            ],
            &[],
            None,
        )]
    };
    assert_eq!(judged(&claim(), ledger(64 * MIB)).verdict, Verdict::Fail);
    let splice = with_path(&claim(), "splice");
    let judgement = judged(&splice, ledger(64 * MIB));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reasons[0].code, "other-calls-copied");
    // Too few to matter.
    assert_eq!(judged(&splice, ledger(MIB)).verdict, Verdict::Pass);
}

/// `btrfs send` copies each byte twice, and only one of these copies is seen.
#[test]
fn what_is_seen_of_another_call_is_not_all_of_it() {
    let ledger = |other: u64, class: &str| {
        vec![process(
            vec![
                path("splice", "pipe->tcp", M, &[("spliced", 64 * MIB)]),
                path("other", "syscall:ioctl", M, &[(class, other)]),
            ],
            &[],
            None,
        )]
    };
    let claim = Claim {
        max_copies_per_byte: Some(1.2),
        ..claim()
    };
    for class in ["copied_in_kernel", "unexplained"] {
        let judgement = judged(&claim, ledger(16 * MIB, class));
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{class}");
        assert_eq!(judgement.reasons[0].code, "other-calls-uncounted");
    }
    // Too few to matter.
    let judgement = judged(&claim, ledger(claim.min_bytes - 1, "copied_in_kernel"));
    assert_eq!(judgement.verdict, Verdict::Pass);
    // Few in each of many processes.
    let many = (0..4).flat_map(|_| ledger(claim.min_bytes / 2, "copied_in_kernel"));
    let judgement = judged(&claim, many.collect());
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    // They are what the claim is about.
    let other = with_path(&claim, "other");
    let judgement = judged(&other, ledger(16 * MIB, "copied_in_kernel"));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let splice = with_path(&claim, "splice");
    let judgement = judged(&splice, ledger(96 * MIB, "unexplained"));
    assert_eq!(judgement.reasons[0].code, "other-calls-copied");
}

/// What a processor raised by itself is seen like any operation.
#[test]
fn copies_in_an_exception_are_all_of_them() {
    let rows = vec![
        path("splice", "pipe->tcp", M, &[("spliced", 64 * MIB)]),
        path("other", "exception", M, &[("copied_in_kernel", 16 * MIB)]),
    ];
    let claim = Claim {
        max_copies_per_byte: Some(1.2),
        ..claim()
    };
    let judgement = judged(&claim, vec![process(rows, &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Pass);
}

/// What is compared with the bytes sent is what may have been copied for them, over them alone.
#[test]
fn what_may_have_been_copied_is_held_against_what_was_sent() {
    let ledger = |sent: u64| {
        vec![process(
            vec![
                path("send", "tcp", M, &[("copied_from_user", sent)]),
                path("splice", "pipe->pipe", M, &[("spliced", 1024 * MIB)]),
                path(
                    "other",
                    "syscall:ioctl",
                    M,
                    &[("copied_in_kernel", 2 * MIB)],
                ),
            ],
            &[],
            None,
        )]
    };
    let claim = Claim {
        max_copies_per_byte: None,
        max_copies_per_sent_byte: Some(1.05),
        ..claim()
    };
    let verdict = |sent| judged(&claim, ledger(sent)).verdict;
    assert_eq!(verdict(1024 * MIB), Verdict::Pass);
    assert_eq!(verdict(128 * MIB), Verdict::Inconclusive);
}

/// A processor was seen copying in a call that has no row: nobody knows how much.
#[test]
fn copying_that_has_no_row_stands_against_a_pass() {
    let ledger = |milliseconds: u32| {
        let sendfile = path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]);
        let mut process = process(vec![sendfile], &[], None);
        process.not_followed = vec![NotFollowed {
            call: "ioctl".into(),
            copy_cpu_seconds: f64::from(milliseconds) / 1e3,
        }];
        process
            .not_followed
            .retain(|one| one.copy_cpu_seconds > 0.0);
        vec![process]
    };
    assert_eq!(judged(&claim(), ledger(0)).verdict, Verdict::Pass);
    let judgement = judged(&claim(), ledger(38));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let reason = &judgement.reasons[0];
    assert_eq!(reason.code, "copying-not-followed");
    assert!(
        reason.evidence.contains("38 ms in ioctl"),
        "{}",
        reason.evidence
    );
    // The claim is about one operation, and these copies are none of its.
    let sendfile = Claim {
        path: Some("sendfile".into()),
        ..claim()
    };
    assert_eq!(judged(&sendfile, ledger(38)).verdict, Verdict::Pass);
    // Even if that time was all copying, it is too little.
    let lenient = Claim {
        max_copies_per_byte: Some(8.0),
        ..claim()
    };
    assert_eq!(judged(&lenient, ledger(38)).verdict, Verdict::Pass);
}

/// Where functions cannot be traced, a write to a page that is present may have copied it.
#[test]
fn many_possible_copies_on_write_stand_against_a_pass() {
    let ledger = |writes: u64| {
        let sendfile = path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]);
        let mut fault = path("fault.write", "unknown", M, &[]);
        fault.totals.ops = writes;
        vec![process(vec![sendfile, fault], &[], None)]
    };
    assert_eq!(judged(&claim(), ledger(200)).verdict, Verdict::Pass);
    // As many, where pages can be larger.
    let mut arm = samples::with(ledger(200));
    arm.arch = "aarch64".into();
    let on_arm = |page_size| {
        let circumstances = Circumstances {
            page_size,
            ..Circumstances::default()
        };
        judge(&claim(), &arm, circumstances).verdict
    };
    assert_eq!(on_arm(None), Verdict::Inconclusive);
    assert_eq!(on_arm(Some(16 << 10)), Verdict::Inconclusive);
    assert_eq!(on_arm(Some(4 << 10)), Verdict::Pass);
    let judgement = judged(&claim(), ledger(16_384));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reasons[0].code, "possible-copies-on-write");
    let sendfile = Claim {
        path: Some("sendfile".into()),
        ..claim()
    };
    assert_eq!(judged(&sendfile, ledger(16_384)).verdict, Verdict::Pass);
    let lenient = Claim {
        max_copies_per_byte: Some(1.5),
        ..claim()
    };
    assert_eq!(judged(&lenient, ledger(16_384)).verdict, Verdict::Pass);
}

#[test]
fn reading_a_pipe_that_got_gifts_copies() {
    let judgement = judged(
        &claim(),
        vec![
            process(
                vec![path("vmsplice", "pipe", M, &[("spliced", 4 * MIB)])],
                &[Mark::Gift],
                None,
            ),
            process(
                vec![path("read", "pipe", M, &[("copied_to_user", 4 * MIB)])],
                &[],
                None,
            ),
        ],
    );
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.reasons[0].code, "gift-ignored");
}

#[test]
fn a_pass_of_the_cipher_can_be_allowed() {
    let row = || {
        let numbers = [("spliced", 4 * MIB), ("encrypted", 4 * MIB)];
        let row = path("sendfile", "file:ext4->tcp", M, &numbers);
        vec![process(vec![row], &[], None)]
    };
    assert_eq!(judged(&claim(), row()).verdict, Verdict::Fail);
    let allowed = Claim {
        allow_encryption: true,
        ..claim()
    };
    assert_eq!(judged(&allowed, row()).verdict, Verdict::Pass);
}

#[test]
fn a_device_that_may_copy_is_never_accepted() {
    let accepting = Claim {
        accept_inferred: true,
        ..claim()
    };
    let row = path("read", "file:ext4", "inferred", &[("direct", 64 * MIB)]);
    let judgement = judged(&accepting, vec![process(vec![row], &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let row = path(
        "sendfile",
        "file:ext4->tcp",
        "inferred",
        &[("spliced", 64 * MIB)],
    );
    let judgement = judged(&accepting, vec![process(vec![row], &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Pass);
    assert!(judgement.rests_on_inferred);
}

/// Sixty processes, of which each alone would be too small, and two of which copy.
#[test]
fn small_rows_do_not_hide_behind_each_other() {
    let mut processes = Vec::new();
    for index in 0..60 {
        let row = if index < 2 {
            path("write", "tcp", M, &[("copied_from_user", MIB - 1)])
        } else {
            path("sendfile", "file:ext4->tcp", M, &[("spliced", MIB - 1)])
        };
        processes.push(process(vec![row], &[], None));
    }
    let judgement = judged(
        &Claim {
            max_copies_per_byte: Some(0.1),
            ..claim()
        },
        processes,
    );
    assert_eq!(judgement.verdict, Verdict::Fail);
    let diluted = judgement.reasons.iter().find(|r| r.code == "diluted");
    assert_eq!(diluted.map(|r| r.effect), Some(Effect::Explains));
}

/// Ten gigabytes by sendfile do not excuse sixteen megabytes by read and write.
#[test]
fn what_was_sent_by_reference_excuses_no_copies() {
    let sent = Claim {
        max_copies_per_byte: None,
        max_copies_per_sent_byte: Some(1.05),
        ..claim()
    };
    let by_reference = || path("sendfile", "file:ext4->tcp", M, &[("spliced", 10 << 30)]);
    let paths = vec![
        by_reference(),
        path("read", "file:ext4", M, &[("copied_to_user", 16 * MIB)]),
        path("write", "tcp", M, &[("copied_from_user", 16 * MIB)]),
    ];
    let judgement = judged(&sent, vec![process(paths, &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(
        judged(&sent, vec![process(vec![by_reference()], &[], None)]).verdict,
        Verdict::Pass
    );
}

/// Sends that the kernel says it copied, and how much of that the sites have counted.
#[test]
fn no_pass_stands_against_a_notification() {
    let sends = |evidence: &str, deferred, limit| {
        let numbers = [("spliced", 16 * MIB), ("deferred", deferred)];
        let mut row = path("send.zerocopy", "tcp", evidence, &numbers);
        row.totals.moved = 16 * MIB;
        row.totals.ops = 256;
        let mut server = process(vec![row], &[Mark::Zerocopy], None);
        server.claims[0].notifications = 256;
        let claim = Claim {
            max_copies_per_byte: Some(limit),
            ..claim()
        };
        let judgement = judged(&claim, vec![server]);
        let codes = judgement.reasons.iter().map(|reason| reason.code.clone());
        (judgement.verdict, codes.collect::<BTreeSet<_>>())
    };
    // A few of the copies were seen, as on a tunnel: the others were made somewhere else.
    for (deferred, limit) in [
        (0, 0.02),
        (112 << 10, 0.02),
        (112 << 10, 1.5),
        (8 * MIB, 1.5),
    ] {
        let (verdict, codes) = sends(M, deferred, limit);
        assert_eq!(verdict, Verdict::Inconclusive, "{deferred} {limit}");
        assert!(codes.contains("zerocopy-notified"), "{codes:?}");
    }
    // Each byte's copy is in the ledger: the numbers say all that the kernel does.
    assert_eq!(sends(M, 16 * MIB, 1.5).0, Verdict::Pass);
    assert_eq!(sends(M, 16 * MIB, 0.02).0, Verdict::Fail);
    assert_eq!(sends("inferred", 0, 0.02).0, Verdict::Fail);
}

/// Each sent byte was copied twice, by a row each: there is nothing that hides them.
#[test]
fn what_copies_everywhere_is_not_diluted() {
    let sent = Claim {
        max_copies_per_byte: None,
        max_copies_per_sent_byte: Some(1.5),
        ..claim()
    };
    let paths = vec![
        path("read", "file:ext4", M, &[("copied_to_user", 4 * MIB)]),
        path("write", "tcp", M, &[("copied_from_user", 4 * MIB)]),
    ];
    let judgement = judged(&sent, vec![process(paths, &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(judgement.reasons.iter().all(|r| r.code != "diluted"));
}

/// A server that goes to the background: its work begins when the command ends.
#[test]
fn a_process_that_outlives_its_command_stands_against_a_pass() {
    let sendfile = path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]);
    let snapshot = samples::with(vec![process(vec![sendfile], &[], None)]);
    let with = |left_behind| {
        let circumstances = Circumstances {
            left_behind,
            ..Circumstances::default()
        };
        judge(&claim(), &snapshot, circumstances)
    };
    assert_eq!(with(0).verdict, Verdict::Pass);
    let judgement = with(2);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reasons[0].code, "processes-left");
    assert_eq!(judgement.reasons[0].evidence, "2 processes were alive");
}

/// Another process that serves the port of the target.
#[test]
fn threads_that_were_not_traced_stand_against_a_pass() {
    let sendfile = path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]);
    let snapshot = samples::with(vec![process(vec![sendfile], &[], None)]);
    let circumstances = Circumstances {
        untraced: 1,
        ..Circumstances::default()
    };
    let judgement = judge(&claim(), &snapshot, circumstances);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reasons[0].code, "target-incomplete");
    assert_eq!(
        judgement.reasons[0].evidence,
        "1 process was not traced whole"
    );
}

/// Sends to a datagram socket that nobody reads are copied, and then refused.
#[test]
fn calls_that_copied_and_failed_stand_against_a_pass() {
    let with = |errno: i32, evidence: Evidence, op: &str, object: &str| {
        let sendfile = path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]);
        let mut send = path(op, object, M, &[]);
        send.evidence = evidence.into();
        (send.totals.ops, send.totals.errors) = (640, 640);
        send.errnos = [(Errno::new(errno.unsigned_abs()), 640)]
            .into_iter()
            .collect();
        judged(&claim(), vec![process(vec![sendfile, send], &[], None)])
    };
    let refused = libc::ECONNREFUSED;
    let doubtful = [
        ("send", "unix", refused),
        ("write", "mqueue", libc::EAGAIN),
        ("uring.send", "udp", refused),
    ];
    for (op, object, errno) in doubtful {
        let judgement = with(errno, Evidence::Inferred, op, object);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{op} {object}");
        assert_eq!(judgement.reasons[0].code, "failed-calls-uncounted");
        assert!(judgement.reasons[0].evidence.starts_with("such calls of"));
    }
    let sound = [
        ("send", "unix", refused, Evidence::Measured),
        ("send", "unix", libc::EINVAL, Evidence::Inferred),
        ("send", "tcp", libc::EPIPE, Evidence::Inferred),
        ("recv", "unix", libc::EAGAIN, Evidence::Inferred),
    ];
    for (op, object, errno, evidence) in sound {
        let judgement = with(errno, evidence, op, object);
        assert_eq!(judgement.verdict, Verdict::Pass, "{op} {object}");
    }
}

/// A command can move anything, and reports nothing.
#[test]
fn commands_to_drivers_stand_against_a_pass() {
    let judged = |object: &str, evidence: Evidence, failed: u64, claim: &Claim, sees_ublk: bool| {
        let sendfile = path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]);
        let mut command = path("uring.cmd", object, M, &[]);
        command.evidence = evidence.into();
        (command.totals.ops, command.totals.errors) = (5, failed);
        let mut snapshot = samples::with(vec![process(vec![sendfile, command], &[], None)]);
        let copies = catalog::UBLK_COPIES.to_owned();
        snapshot
            .coverage
            .attached
            .extend(sees_ublk.then_some(copies));
        judge(claim, &snapshot, Circumstances::default())
    };
    let with = |object: &str, evidence: Evidence, failed: u64, claim: &Claim| {
        judged(object, evidence, failed, claim, true)
    };
    let judgement = judged("char:ublk-char", Evidence::Measured, 0, &claim(), false);
    assert_eq!(judgement.reasons[0].code, "commands-uncounted");
    for (object, evidence) in [
        ("char:ng0n1", Evidence::Measured),
        ("char:fuse", Evidence::Measured),
        ("char:ublk-char", Evidence::Inferred),
        ("socket:packet", Evidence::Inferred),
        ("file:ext4", Evidence::Measured),
    ] {
        let judgement = with(object, evidence, 4, &claim());
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{object}");
        let reason = &judgement.reasons[0];
        assert_eq!(reason.code, "commands-uncounted");
        assert!(reason.evidence.starts_with("1 command of"));
    }
    let other = with_path(&claim(), "sendfile");
    for (object, evidence, failed, claim) in [
        ("char:ublk-char", Evidence::Measured, 1, &claim()),
        ("tcp", Evidence::Inferred, 0, &claim()),
        ("socket:packet", Evidence::Measured, 0, &claim()),
        ("char:fuse", Evidence::Measured, 5, &claim()),
        ("char:fuse", Evidence::Measured, 0, &other),
    ] {
        let judgement = with(object, evidence, failed, claim);
        assert_eq!(judgement.verdict, Verdict::Pass, "{object}");
    }
}
