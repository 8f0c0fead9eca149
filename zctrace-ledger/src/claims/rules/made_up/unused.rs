//! A path that was claimed and was not used.

use nix::libc;

use super::{M, MIB, claim, judged, path, process, refused};
use crate::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::{Errno, Path, Snapshot, samples},
};

/// The workers of a server, none of which moves much, and one that reads far more than it sends.
#[test]
fn a_path_that_small_workers_do_not_use_is_named_with_its_own_price() {
    let worker = |pid, comm: &str, read, sent| {
        let rows = vec![
            path("read", "file:ext4", M, &[("copied_to_user", read)]),
            path("read", "file:proc", M, &[("copied_to_user", 8)]),
            path("write", "tcp", M, &[("copied_from_user", sent)]),
        ];
        let mut process = process(rows, &[], None);
        process.pid = pid;
        process.comm = comm.into();
        process
    };
    let half = MIB / 2;
    let four = |comm: [&str; 4]| {
        let workers = (1..).zip(comm);
        workers
            .map(|(pid, comm)| worker(pid, comm, half, half))
            .collect::<Vec<_>>()
    };
    let on = Claim {
        path: Some("sendfile".into()),
        ..claim()
    };
    let judgement = judged(&on, four(["web"; 4]));
    assert_eq!(judgement.verdict, Verdict::Fail, "{judgement:?}");
    assert_eq!(
        judgement.reasons[0].evidence,
        "sendfile moved no bytes; 4 processes named web moved 2.00 MiB by `read file:ext4` and `write tcp` at 2.00 \
            copies per byte"
    );
    // Strangers are not one server.
    let judgement = judged(&on, four(["a", "b", "c", "d"]));
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:?}");
    // What else it read has nothing to do with the price of what it sent.
    let judgement = judged(&on, vec![worker(1, "web", 64 * MIB, 2 * MIB)]);
    let evidence = &judgement.reasons[0].evidence;
    assert!(
        evidence.contains("moved 2.00 MiB") && evidence.contains("at 2.00 copies per byte"),
        "{evidence}"
    );
}

/// The claim that an operation was used.
fn on(op: &str) -> Claim {
    Claim {
        path: Some(op.into()),
        ..claim()
    }
}

/// 16 MiB that an operation copied, to or from the process.
fn copied(op: &str, object: &str) -> Path {
    let class = if op.contains("read") || op.contains("recv") {
        "copied_to_user"
    } else {
        "copied_from_user"
    };
    path(op, object, M, &[(class, 16 * MIB)])
}

fn reads_and_writes() -> Vec<Path> {
    vec![copied("read", "file:ext4"), copied("write", "tcp")]
}

/// Operations, and what a process did instead.
fn replacements() -> Vec<(&'static str, Vec<Path>)> {
    let in_kernel = |op: &str, object: &str| path(op, object, M, &[("copied_in_kernel", 16 * MIB)]);
    let proxies = || vec![copied("recv", "tcp"), copied("send", "tcp")];
    let copies = || vec![copied("read", "file:ext4"), copied("write", "file:tmpfs")];
    vec![
        ("sendfile", reads_and_writes()),
        ("splice", proxies()),
        ("copy_file_range", copies()),
        ("clone", copies()),
        (
            "clone",
            vec![in_kernel("copy_file_range", "file:ext4->file:ext4")],
        ),
        ("sendfile", vec![in_kernel("splice", "file:ext4->pipe")]),
        ("vmsplice", vec![copied("write", "pipe")]),
        ("fault.map", vec![copied("read", "file:ext4")]),
        ("uring.*", vec![copied("read", "file:ext4")]),
        ("uring.read", vec![copied("read", "file:ext4")]),
        ("uring.send_zc", vec![copied("send", "tcp")]),
        ("aio.read", vec![copied("read", "file:ext4")]),
        ("send.zerocopy", vec![copied("send", "tcp")]),
        ("recv.zerocopy", vec![copied("recv", "tcp")]),
    ]
}

/// "This server uses sendfile", and it reads and writes.
#[test]
fn a_path_that_was_not_used_is_a_fail_with_what_was_used_instead() {
    for (op, rows) in replacements() {
        let judgement = judged(&on(op), vec![process(rows.clone(), &[], None)]);
        assert_eq!(judgement.verdict, Verdict::Fail, "{op}: {judgement:?}");
        assert_eq!(judgement.reasons[0].code, "path-not-used", "{op}");
        let evidence = &judgement.reasons[0].evidence;
        let last = rows.last().unwrap();
        assert!(
            evidence.contains(&format!("`{} {}`", last.op, last.object)),
            "{evidence}"
        );
        // A call of it that may have gone by unseen could have done it.
        let mut snapshot: Snapshot = samples::with(vec![process(rows.clone(), &[], None)]);
        snapshot.loss.missed_runs = 1;
        let unsure = judge(&on(op), &snapshot, Circumstances::default());
        assert_eq!(unsure.verdict, Verdict::Inconclusive, "{op}");
        // Used, however little, it is another question.
        let mut used = rows;
        used.push(path(
            &op.replace('*', "read"),
            "file:ext4->tcp",
            M,
            &[("spliced", 4096)],
        ));
        let judgement = judged(&on(op), vec![process(used, &[], None)]);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{op}");
    }
    let judgement = judged(
        &on("sendfile"),
        vec![process(reads_and_writes(), &[], None)],
    );
    let evidence = &judgement.reasons[0].evidence;
    assert!(evidence.contains("at 2.00 copies per byte"), "{evidence}");
    let sentence = judgement.sentence(&samples::with(Vec::new()));
    assert!(sentence.contains("path-not-used"), "{sentence}");
}

#[test]
fn a_path_that_could_not_have_been_used_is_not_a_fail() {
    // Nobody could have used sendfile for these.
    for rows in [
        vec![copied("write", "tcp")],
        vec![copied("read", "file:ext4")],
        vec![copied("read", "file:ext4"), copied("write", "char:mem")],
        vec![copied("recv", "tcp"), copied("write", "tcp")],
        Vec::new(),
    ] {
        let judgement = judged(&on("sendfile"), vec![process(rows, &[], None)]);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:?}");
    }
    // Nor does one process stand for another.
    let apart = reads_and_writes()
        .into_iter()
        .map(|row| process(vec![row], &[], None));
    let judgement = judged(&on("sendfile"), apart.collect());
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    // Page faults are unseen where their sites are.
    let reads = process(vec![copied("read", "file:ext4")], &[], None);
    let mut snapshot: Snapshot = samples::with(vec![reads]);
    snapshot.coverage.refused = vec![refused("file_fault_exit", false)];
    let unsure = judge(&on("fault.map"), &snapshot, Circumstances::default());
    assert_eq!(unsure.verdict, Verdict::Inconclusive);
}

/// With and without a replacement.
#[test]
fn calls_that_were_refused_are_named() {
    let zerocopy = on("send.zerocopy");
    let mut row = path("send.zerocopy", "tcp", M, &[]);
    row.totals.errors = row.totals.ops;
    row.errnos = [(Errno::new(libc::ENOBUFS.unsigned_abs()), 16)]
        .into_iter()
        .collect();
    let judgement = judged(&zerocopy, vec![process(vec![row.clone()], &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reasons[0].code, "refused");
    let evidence = &judgement.reasons[0].evidence;
    assert!(
        evidence.starts_with("16 of 16 calls failed with ENOBUFS; ENOBUFS: the pages"),
        "{evidence}"
    );
    assert!(judgement.reasons[0].remedy.contains("RLIMIT_MEMLOCK"));
    let rows = vec![row, copied("send", "tcp")];
    let judgement = judged(&zerocopy, vec![process(rows, &[], None)]);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(
        judgement.reasons[0]
            .evidence
            .contains("16 of 16 calls failed")
    );
    assert!(judgement.reasons.iter().any(|r| r.code == "refused"));
}
