//! Bytes that are counted per sent or received byte, and may have been passed on.

use super::{M, MIB, claim, judged, path, process};
use crate::{
    claims::{Circumstances, Claim, Document, Outcome, Verdict, judge},
    ledger::{Path, Process, Snapshot, UNNAMED, samples},
};

fn sent_at_most(limit: f64) -> Claim {
    Claim {
        max_copies_per_byte: None,
        max_copies_per_sent_byte: Some(limit),
        ..claim()
    }
}

fn received_at_most(limit: f64) -> Claim {
    Claim {
        max_copies_per_byte: None,
        max_copies_per_received_byte: Some(limit),
        ..claim()
    }
}

/// What a proxy does that receives 16 MiB, sends a quarter of it from memory, and spills the rest into
/// `file`, from which it sends by reference. Each sent byte costs two copies.
fn spills(file: &str, last: Vec<Path>) -> Vec<Process> {
    let mut paths = vec![
        path("recv", "tcp", M, &[("copied_to_user", 16 * MIB)]),
        path("write", file, M, &[("copied_from_user", 12 * MIB)]),
        path("send", "tcp", M, &[("copied_from_user", 4 * MIB)]),
    ];
    paths.extend(last);
    vec![process(paths, &[], None)]
}

fn spliced(object: &str, bytes: u64) -> Path {
    let op = if object.contains("pipe") {
        "splice"
    } else {
        "sendfile"
    };
    path(op, object, M, &[("spliced", bytes)])
}

/// A program that reads its own parts when it starts, and then sends by reference alone.
#[test]
fn what_is_read_and_never_sent_counts_over_all_that_is_sent() {
    let sends = |bytes| {
        let start = path("read", "file:ext4", M, &[("copied_to_user", 2 * MIB)]);
        vec![process(
            vec![start, spliced("file:ext4->tcp", bytes)],
            &[],
            None,
        )]
    };
    let judgement = judged(&sent_at_most(0.02), sends(256 * MIB));
    assert_eq!(judgement.verdict, Verdict::Pass);
    let judgement = judged(&sent_at_most(0.02), sends(32 * MIB));
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[test]
fn a_proxy_that_spills_into_a_file_is_not_condemned_and_not_cleared() {
    for (file, last) in [
        ("file:ext4", vec![spliced("file:ext4->tcp", 12 * MIB)]),
        ("pipe", vec![spliced("pipe->tcp", 12 * MIB)]),
        (
            "file:tmpfs",
            vec![
                spliced("file:tmpfs->pipe", 12 * MIB),
                spliced("pipe->tcp", 12 * MIB),
            ],
        ),
    ] {
        let judgement = judged(&sent_at_most(2.05), spills(file, last.clone()));
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{file}");
        let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
        assert_eq!(codes, ["maybe-passed-on"], "{file}");
        let open: Vec<_> = judgement
            .judged
            .iter()
            .filter(|judged| judged.outcome == Outcome::Open)
            .map(|judged| (judged.bytes, judged.copied, judged.passed_on))
            .collect();
        assert_eq!(open, [(4 * MIB, 32 * MIB, 12 * MIB)], "{file}");
        // Two copies a byte are more than this, wherever the bytes went.
        let judgement = judged(&sent_at_most(1.95), spills(file, last));
        assert_eq!(judgement.verdict, Verdict::Fail, "{file}");
    }
}

/// Nobody else can write to a file without a name, so the bytes are the same.
#[test]
fn a_proxy_that_spills_into_a_file_without_a_name_is_cleared() {
    let unnamed = |mut path: Path| {
        path.by = Some(UNNAMED.into());
        path
    };
    let ledger = |sent: Path| {
        let paths = vec![
            path("recv", "tcp", M, &[("copied_to_user", 16 * MIB)]),
            unnamed(path(
                "write",
                "file:ext4",
                M,
                &[("copied_from_user", 12 * MIB)],
            )),
            path("send", "tcp", M, &[("copied_from_user", 4 * MIB)]),
            sent,
        ];
        vec![process(paths, &[], None)]
    };
    let spilled = || ledger(unnamed(spliced("file:ext4->tcp", 12 * MIB)));
    let judgement = judged(&sent_at_most(2.0), spilled());
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    let bytes: Vec<_> = judgement
        .judged
        .iter()
        .filter(|judged| judged.what.contains("memory"))
        .map(|judged| (judged.bytes, judged.copied, judged.passed_on))
        .collect();
    assert_eq!(bytes, [(16 * MIB, 32 * MIB, 0)]);
    let judgement = judged(&sent_at_most(1.95), spilled());
    assert_eq!(judgement.verdict, Verdict::Fail);
    // What was sent came from a file that others can write to.
    let judgement = judged(
        &sent_at_most(2.0),
        ledger(spliced("file:ext4->tcp", 12 * MIB)),
    );
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    // Most of what was sent is not what was written.
    let judgement = judged(
        &sent_at_most(1.0),
        ledger(unnamed(spliced("file:ext4->tcp", 1 << 30))),
    );
    assert_eq!(judgement.verdict, Verdict::Fail);
}

/// A file without a name is told apart to judge by it, not to be listed.
#[test]
fn the_document_has_no_rows_of_files_without_a_name() {
    let mut one = path("write", "file:ext4", M, &[("copied_from_user", MIB)]);
    let other = one.clone();
    one.by = Some(UNNAMED.into());
    let judgement = judged(&sent_at_most(2.0), vec![]);
    let stat: Snapshot = samples::with(vec![process(vec![one, other.clone()], &[], None)]);
    let document = Document::new(vec![judgement], stat);
    let mut sum = other;
    sum.add(&sum.clone());
    assert_eq!(document.stat.processes[0].paths, [sum]);
}

/// Bytes that were not written by the process excuse nothing, and what it wrote elsewhere neither.
#[test]
fn what_may_have_been_passed_on_is_no_more_than_was_copied_there() {
    let verdict = |last: &str, bytes| {
        let processes = spills("file:ext4", vec![spliced(last, bytes)]);
        judged(&sent_at_most(2.05), processes).verdict
    };
    assert_eq!(verdict("file:ext4->tcp", 1 << 30), Verdict::Inconclusive);
    assert_eq!(verdict("file:ext4->tcp", 11 * MIB), Verdict::Fail);
    assert_eq!(verdict("file:xfs->tcp", 12 * MIB), Verdict::Fail);
    assert_eq!(verdict("file:ext4->pipe", 12 * MIB), Verdict::Fail);
    // Another process's bytes are not those of the first.
    let mut processes = spills("file:ext4", vec![]);
    let mut other = process(vec![spliced("file:ext4->tcp", 12 * MIB)], &[], None);
    other.pid = 2;
    processes.push(other);
    let judgement = judged(&sent_at_most(2.05), processes);
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[test]
fn many_small_proxies_that_spill_are_judged_as_a_large_one() {
    let small = |kib: u64, pid| {
        let paths = vec![
            path("recv", "tcp", M, &[("copied_to_user", (16 * kib) << 10)]),
            path(
                "write",
                "file:ext4",
                M,
                &[("copied_from_user", (12 * kib) << 10)],
            ),
            path("send", "tcp", M, &[("copied_from_user", (4 * kib) << 10)]),
            spliced("file:ext4->tcp", (12 * kib) << 10),
        ];
        let mut process = process(paths, &[], None);
        process.pid = pid;
        process
    };
    let all = || (1..65).map(|pid| small(16, pid)).collect();
    assert_eq!(
        judged(&sent_at_most(2.05), all()).verdict,
        Verdict::Inconclusive
    );
    assert_eq!(judged(&sent_at_most(1.95), all()).verdict, Verdict::Fail);
}

/// The same the other way round: what was received by reference may be read later.
#[test]
fn what_was_received_into_a_file_and_read_from_there_may_be_the_same() {
    let ledger = |read: &str| {
        let paths = vec![
            spliced("tcp->pipe", 12 * MIB),
            spliced("pipe->file:ext4", 12 * MIB),
            path("read", read, M, &[("copied_to_user", 12 * MIB)]),
            path("recv", "tcp", M, &[("copied_to_user", 4 * MIB)]),
        ];
        vec![process(paths, &[], None)]
    };
    let judgement = judged(&received_at_most(1.05), ledger("file:ext4"));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reasons[0].code, "maybe-passed-on");
    let judgement = judged(&received_at_most(1.05), ledger("file:xfs"));
    assert_eq!(judgement.verdict, Verdict::Fail);
}

/// The remedy of a process that reads a file to send it names both rows, the call, and the setting.
#[test]
fn who_takes_bytes_to_give_them_away_is_told_which_call_passes_them_on() {
    let remedy = |comm: &str, source: &str, taken: u64| {
        let op = if source == "tcp" { "recv" } else { "read" };
        let paths = vec![
            path(op, source, M, &[("copied_to_user", taken)]),
            path("write", "tcp", M, &[("copied_from_user", 16 * MIB)]),
        ];
        let mut process = process(paths, &[], None);
        process.comm = comm.into();
        let judgement = judged(&claim(), vec![process]);
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert_eq!(judgement.reasons[0].code, "above-limit");
        judgement.reasons[0].remedy.clone()
    };
    assert_eq!(
        remedy("server", "file:ext4", 16 * MIB),
        "it took 16.0 MiB by `read file:ext4` and gave 16.0 MiB away by `write tcp`: sendfile passes \
         such bytes on within the kernel"
    );
    assert!(remedy("nginx", "file:ext4", 16 * MIB).contains("nginx: `sendfile on;`"));
    let relayed = remedy("haproxy", "tcp", 16 * MIB);
    assert!(relayed.contains("splice passes") && relayed.contains("`option splice-response`"));
    assert!(!remedy("nginx", "tcp", 16 * MIB).contains("sendfile on"));
    // Not as many bytes: others than those that were read.
    assert!(remedy("nginx", "file:ext4", 12 * MIB).starts_with("`zctrace explain"));
    assert!(remedy("nginx", "char:mem", 16 * MIB).starts_with("`zctrace explain"));
}

#[test]
fn a_pass_of_a_path_says_what_was_copied_to_where_it_begins() {
    let verdict = |file: &str, written: u64| {
        let paths = vec![
            spliced("file:ext4->tcp", 64 * MIB),
            path("write", file, M, &[("copied_from_user", written)]),
        ];
        let sendfile = Claim {
            path: Some("sendfile".into()),
            ..claim()
        };
        let snapshot: Snapshot = samples::with(vec![process(paths, &[], None)]);
        let judgement = judge(&sendfile, &snapshot, Circumstances::default());
        assert_eq!(judgement.verdict, Verdict::Pass);
        let sentence = judgement.sentence(&snapshot);
        let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.clone()).collect();
        assert_eq!(codes.is_empty(), !sentence.contains("`write file:ext4`"));
        codes
    };
    assert_eq!(verdict("file:ext4", 64 * MIB), ["source-was-copied"]);
    assert!(verdict("file:xfs", 64 * MIB).is_empty());
    // A log beside it.
    assert!(verdict("file:ext4", MIB).is_empty());
}

/// A pipe between two processes does not either.
#[test]
fn a_process_that_copies_for_another_is_not_left_out() {
    let sent = Claim {
        max_copies_per_byte: None,
        max_copies_per_sent_byte: Some(0.02),
        ..claim()
    };
    let reader = process(
        vec![
            path("read", "file:ext4", M, &[("copied_to_user", 64 * MIB)]),
            path("write", "pipe", M, &[("copied_from_user", 64 * MIB)]),
        ],
        &[],
        None,
    );
    let sender = process(
        vec![path("splice", "pipe->tcp", M, &[("spliced", 64 * MIB)])],
        &[],
        None,
    );
    let judgement = judged(&sent, vec![reader, sender]);
    assert_eq!(judgement.verdict, Verdict::Fail);
    let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
    assert!(codes.contains(&"copies-without-moves"), "{codes:?}");
}

/// Not in one row, and not among rows too small to be judged alone.
#[test]
fn what_nothing_carried_is_nothing_to_count_copies_over() {
    for (op, object, class) in [
        ("copy_file_range", "file:btrfs->file:btrfs", "cloned"),
        ("read", "file:tmpfs", "synthetic"),
    ] {
        let numbers = [(class, 10 << 30), ("copied_in_kernel", 16 * MIB)];
        let row = path(op, object, M, &numbers);
        let judgement = judged(&claim(), vec![process(vec![row], &[], None)]);
        assert_eq!(judgement.verdict, Verdict::Fail, "{class}");
    }
    for (op, class) in [
        ("clone", "cloned"),
        ("fault.map", "mapped"),
        ("read", "synthetic"),
    ] {
        // Each of another object, so that they are not judged with their like.
        let mut rows: Vec<_> = (0..100)
            .map(|index| path(op, &format!("file:fs{index}"), M, &[(class, MIB - 1)]))
            .collect();
        for object in ["tcp", "udp"] {
            rows.push(path("write", object, M, &[("copied_from_user", MIB - 1)]));
        }
        let judgement = judged(&claim(), vec![process(rows, &[], None)]);
        assert_eq!(judgement.verdict, Verdict::Fail, "{class}");
    }
}

/// A gigabyte shared, and a tail copied that could not be.
#[test]
fn a_few_copies_beside_shared_extents_are_too_few_to_decide() {
    let shared = |tail| {
        let numbers = [("cloned", 1 << 30), ("copied_in_kernel", tail)];
        let row = path("copy_file_range", "file:xfs->file:xfs", M, &numbers);
        judged(&claim(), vec![process(vec![row], &[], None)])
    };
    let judgement = shared(100);
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:?}");
    assert!(judgement.judged[0].what.starts_with("extents shared by"));
    assert_eq!(shared(MIB).verdict, Verdict::Fail);
    // Nor do many such tails hide.
    let rows = (0..20)
        .map(|index| {
            let numbers = [("cloned", 1 << 30), ("copied_in_kernel", MIB / 10)];
            let object = format!("file:fs{index}->file:fs{index}");
            path("copy_file_range", &object, M, &numbers)
        })
        .collect();
    let judgement = judged(&claim(), vec![process(rows, &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Fail);
}
