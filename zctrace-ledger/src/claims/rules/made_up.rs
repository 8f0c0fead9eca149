//! Every rule about rows sees what it is for, on made-up ledgers, and nothing else.

use std::collections::BTreeSet;

use nix::libc;
use zctrace_common::Mark;

use super::{Look, all};
use crate::{
    claims::{Circumstances, Claim, Document, Effect, Judgement, Outcome, Verdict, judge},
    ledger::{
        Claimed, Errno, Errnos, NotFollowed, Path, Process, Refused, Snapshot, Totals, UNNAMED,
        samples,
    },
};

const MIB: u64 = 1 << 20;

pub(crate) fn claim() -> Claim {
    Claim {
        max_copies_per_byte: Some(0.02),
        ..Claim::named("check")
    }
}

/// A row: bytes by the names of the ledger's fields.
pub(crate) fn path(op: &str, object: &str, evidence: &str, numbers: &[(&str, u64)]) -> Path {
    let mut totals = Totals {
        ops: 16,
        ..Totals::default()
    };
    for (name, bytes) in numbers {
        let field = match *name {
            "copied_to_user" => &mut totals.copied_to_user,
            "copied_from_user" => &mut totals.copied_from_user,
            "copied_in_kernel" => &mut totals.copied_in_kernel,
            "spliced" => &mut totals.spliced,
            "direct" => &mut totals.direct,
            "cloned" => &mut totals.cloned,
            "mapped" => &mut totals.mapped,
            "synthetic" => &mut totals.synthetic,
            "deferred" => &mut totals.deferred,
            "recopied" => &mut totals.recopied,
            "cow" => &mut totals.cow,
            "encrypted" => &mut totals.encrypted,
            "unexplained" => &mut totals.unexplained,
            _ => panic!("{name}"),
        };
        *field = *bytes;
    }
    totals.moved = totals.explained_and_unexplained();
    Path {
        op: op.into(),
        object: object.into(),
        evidence: evidence.into(),
        by: None,
        errnos: Errnos::default(),
        totals,
    }
}

pub(crate) fn process(paths: Vec<Path>, asked: &[Mark], device: Option<&str>) -> Process {
    let claims = paths
        .iter()
        .filter(|_| !asked.is_empty() || device.is_some())
        .map(|path| Claimed {
            op: path.op.clone(),
            object: path.object.clone(),
            evidence: path.evidence.clone(),
            claims: asked.iter().map(|claim| claim.name().into()).collect(),
            device: device.map(str::to_owned),
            notifications: 0,
            totals: path.totals,
        })
        .collect();
    let mut process = Process::from_paths(1, 1, "server".into(), "/".into(), paths);
    process.claims = claims;
    process
}

fn judged(claim: &Claim, processes: Vec<Process>) -> Judgement {
    let snapshot: Snapshot = samples::with(processes);
    judge(claim, &snapshot, Circumstances::default())
}

/// One row, what was asked for there, and what must be said.
struct Example {
    row: (&'static str, &'static str, &'static str),
    numbers: &'static [(&'static str, u64)],
    asked: &'static [Mark],
    device: Option<&'static str>,
    verdict: Verdict,
    code: &'static str,
}

const fn example(
    row: (&'static str, &'static str, &'static str),
    numbers: &'static [(&'static str, u64)],
    verdict: Verdict,
    code: &'static str,
) -> Example {
    Example {
        row,
        numbers,
        asked: &[],
        device: None,
        verdict,
        code,
    }
}

impl Example {
    const fn asked(mut self, asked: &'static [Mark]) -> Self {
        self.asked = asked;
        self
    }

    const fn device(mut self, device: &'static str) -> Self {
        self.device = Some(device);
        self
    }
}

const M: &str = "measured";

const EXAMPLES: &[Example] = &[
    example(
        ("send.zerocopy", "tcp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-loopback",
    )
    .asked(&[Mark::Zerocopy])
    .device("lo"),
    example(
        ("send.zerocopy", "udp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-copied-later",
    )
    .asked(&[Mark::Zerocopy])
    .device("tun0"),
    example(
        ("send.zerocopy", "tcp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "speed-proves-nothing",
    )
    .asked(&[Mark::Zerocopy]),
    example(
        ("send.zerocopy", "tcp", M),
        &[("copied_from_user", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-flag-ignored",
    )
    .asked(&[Mark::Zerocopy, Mark::NoSoZerocopy]),
    example(
        ("send.zerocopy", "udp", M),
        &[("copied_from_user", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-no-scatter-gather",
    )
    .asked(&[Mark::Zerocopy, Mark::NoScatterGather])
    .device("eth0"),
    example(
        ("send.zerocopy", "udp", M),
        &[("spliced", 4 * MIB)],
        Verdict::Pass,
        "zerocopy-confirmed",
    )
    .asked(&[Mark::Zerocopy]),
    example(
        ("uring.send_zc", "tcp", M),
        &[("spliced", 4 * MIB), ("deferred", MIB)],
        Verdict::Fail,
        "send-zc-copied",
    ),
    example(
        ("splice", "pipe->file:ext4", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-into-file",
    ),
    example(
        ("sendfile", "file:proc->tcp", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-read-copied",
    ),
    example(
        ("sendfile", "file:tmpfs->unix", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-sink-copied",
    ),
    example(
        ("sendfile", "file:tmpfs->unix", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-read-copied",
    )
    .asked(&[Mark::Direct]),
    example(
        ("sendfile", "file:ext4->tcp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "splice-copied-later",
    )
    .device("wg0"),
    example(
        ("sendfile", "file:ext4->tcp", "inferred"),
        &[("unexplained", 4 * MIB)],
        Verdict::Inconclusive,
        "route-may-copy",
    )
    .asked(&[Mark::CopyingRoute])
    .device("wg0"),
    example(
        ("splice", "tcp->pipe", M),
        &[("copied_in_kernel", MIB), ("spliced", 3 * MIB)],
        Verdict::Fail,
        "splice-tcp-linear",
    ),
    example(
        ("copy_file_range", "file:ext4->file:ext4", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "copy-file-range-copied",
    ),
    example(
        ("clone", "file:xfs->file:xfs", M),
        &[("cloned", 4 * MIB)],
        Verdict::Pass,
        "reflinked",
    ),
    example(
        ("read", "file:fuse.sshfs", M),
        &[("copied_to_user", 4 * MIB)],
        Verdict::Fail,
        "fuse-copied",
    ),
    example(
        ("copy_file_range", "file:fuse->file:fuse", M),
        &[("unexplained", 4 * MIB)],
        Verdict::Inconclusive,
        "left-to-server",
    ),
    example(
        ("write", "file:overlay", M),
        &[("copied_from_user", 4 * MIB), ("recopied", 4 * MIB)],
        Verdict::Fail,
        "overlay-copy-up",
    ),
    example(
        ("copy_up", "file:overlay", M),
        &[("recopied", 4 * MIB)],
        Verdict::Fail,
        "overlay-copy-up",
    ),
    example(
        ("read", "file:tmpfs", M),
        &[("copied_to_user", 4 * MIB)],
        Verdict::Fail,
        "direct-on-tmpfs",
    )
    .asked(&[Mark::Direct]),
    example(
        ("write", "file:btrfs", M),
        &[("copied_from_user", 4 * MIB)],
        Verdict::Fail,
        "direct-fell-back",
    )
    .asked(&[Mark::Direct]),
    example(
        ("read", "block", "inferred"),
        &[("direct", 4 * MIB)],
        Verdict::Inconclusive,
        "direct-device-unknown",
    )
    .asked(&[Mark::Direct]),
    example(
        ("fault.cow", "anon", M),
        &[("cow", 4 * MIB)],
        Verdict::Fail,
        "copy-on-write",
    ),
    example(
        ("recv.zerocopy", "tcp", M),
        &[("mapped", 4 * MIB), ("copied_to_user", MIB)],
        Verdict::Fail,
        "receive-unaligned",
    ),
    example(
        ("recv", "socket:xdp", M),
        &[("copied_to_user", 4 * MIB)],
        Verdict::Fail,
        "xdp-copy-mode",
    ),
    example(
        ("sendfile", "file:ext4->tcp", M),
        &[("spliced", 4 * MIB), ("encrypted", 4 * MIB)],
        Verdict::Fail,
        "ktls-software",
    )
    .asked(&[Mark::Tls]),
];

/// A source that lends its pages is not the one that copies, and to move the data elsewhere would not help.
#[test]
fn a_copy_is_blamed_on_the_end_that_makes_it() {
    let codes = |object, asked: &[Mark]| {
        let row = path("sendfile", object, M, &[("copied_in_kernel", 4 * MIB)]);
        let reasons = judged(&claim(), vec![process(vec![row], asked, None)]).reasons;
        let codes = reasons.into_iter().map(|reason| reason.code);
        codes
            .filter(|code| code.starts_with("splice-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(codes("file:tmpfs->unix", &[]), ["splice-sink-copied"]);
    assert_eq!(
        codes("file:ext4->socket:mptcp", &[]),
        ["splice-sink-copied"]
    );
    assert_eq!(codes("file:proc->unix", &[]), ["splice-read-copied"]);
    assert_eq!(codes("file:proc->tcp", &[]), ["splice-read-copied"]);
    assert_eq!(
        codes("file:tmpfs->unix", &[Mark::Direct]),
        ["splice-read-copied"]
    );
}

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

#[test]
fn every_rule_about_rows_sees_its_example() {
    let mut seen = BTreeSet::from(["gift-ignored", "refused"]);
    for example in EXAMPLES {
        let (op, object, evidence) = example.row;
        let row = path(op, object, evidence, example.numbers);
        let judgement = judged(
            &claim(),
            vec![process(vec![row], example.asked, example.device)],
        );
        let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
        assert!(codes.contains(&example.code), "{op} {object}: {codes:?}");
        assert_eq!(
            judgement.verdict, example.verdict,
            "{op} {object}: {codes:?}"
        );
        // What a rule explains is not left over as unexplained copies.
        assert!(
            !codes.contains(&"above-limit") || example.code == "overlay-copy-up",
            "{codes:?}"
        );
        if let Some(device) = example.device.filter(|device| *device != "lo") {
            let named = judgement
                .reasons
                .iter()
                .any(|r| r.evidence.contains(device));
            assert!(named, "{:?}", judgement.reasons);
        }
        seen.insert(example.code);
    }
    for rule in all() {
        if matches!(rule.look, Look::Copies(_) | Look::Notes(_)) {
            assert!(seen.contains(rule.code), "{} has no example", rule.code);
        }
    }
}

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
    let splice = Claim {
        path: Some("splice".into()),
        ..claim()
    };
    let judgement = judged(&splice, ledger(64 * MIB));
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reasons[0].code, "other-calls-copied");
    // Too few to matter.
    assert_eq!(judged(&splice, ledger(MIB)).verdict, Verdict::Pass);
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

#[test]
fn the_sentence_of_a_fail_says_why() {
    let row = path("read", "file:tmpfs", M, &[("recopied", 100)]);
    let mut snapshot: Snapshot = samples::with(vec![process(vec![row], &[], None)]);
    snapshot.coverage.refused = vec![refused("filemap_read", false)];
    let judgement = judge(&claim(), &snapshot, Circumstances::default());
    assert_eq!(judgement.verdict, Verdict::Fail);
    let sentence = judgement.sentence(&snapshot);
    assert!(sentence.contains("copies-without-moves"), "{sentence}");
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

fn refused(probe: &str, absent: bool) -> Refused {
    Refused {
        probe: probe.into(),
        reason: "refused".into(),
        lost: "something".into(),
        absent,
    }
}

/// What a missing probe does to a claim whose rows all hold.
#[test]
fn only_conclusions_can_be_accepted() {
    use Verdict::{Inconclusive, Pass};

    let verdicts = |probe: Refused, attached: &[&str], path: Option<&str>| {
        let row = self::path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]);
        let rows = vec![
            row,
            self::path("send.zerocopy", "udp", M, &[("spliced", 64 * MIB)]),
        ];
        let mut snapshot: Snapshot = samples::with(vec![process(rows, &[], None)]);
        snapshot.coverage.attached = attached.iter().map(|&name| name.to_owned()).collect();
        snapshot.coverage.refused = vec![probe];
        [false, true].map(|accept_inferred| {
            let claim = Claim {
                accept_inferred,
                path: path.map(str::to_owned),
                ..claim()
            };
            let judgement = judge(&claim, &snapshot, Circumstances::default());
            let told = judgement.reasons.iter().any(|r| r.code == "probes-missing");
            assert_eq!(
                judgement.rests_on_inferred,
                told && judgement.verdict == Pass
            );
            judgement.verdict
        })
    };
    let missing = |probe| refused(probe, false);
    let absent = |probe| refused(probe, true);
    let replaced = |probe| Refused {
        lost: format!("nothing: {}", Refused::REPLACED),
        ..missing(probe)
    };
    // A copy that the call tells of.
    assert_eq!(
        verdicts(missing("filemap_read"), &[], None),
        [Inconclusive, Pass]
    );
    assert_eq!(
        verdicts(missing("do_fault"), &[], None),
        [Inconclusive; 2],
        "unknown"
    );
    assert_eq!(
        verdicts(missing("file_fault_exit"), &[], None),
        [Inconclusive, Pass]
    );
    let sendfile = Some("sendfile");
    assert_eq!(
        verdicts(missing("file_fault_exit"), &[], sendfile),
        [Pass; 2]
    );
    assert_eq!(
        verdicts(missing("tls_sw_recvmsg"), &[], sendfile),
        [Inconclusive, Pass]
    );
    assert_eq!(verdicts(absent("tls_sw_recvmsg"), &[], sendfile), [Pass; 2]);
    // Processes and operations that nothing tells of.
    for probe in ["task_fork", "vfs_read", "aio_read", "io_issue_sqe_enter"] {
        assert_eq!(
            verdicts(missing(probe), &[], None),
            [Inconclusive; 2],
            "{probe}"
        );
    }
    assert_eq!(verdicts(absent("vfs_read"), &[], None), [Inconclusive; 2]);
    assert_eq!(
        verdicts(replaced("vfs_read"), &["sys_exit"], None),
        [Pass; 2]
    );
    assert_eq!(
        verdicts(missing("vfs_read"), &["sys_exit"], None),
        [Inconclusive; 2]
    );
    assert_eq!(
        verdicts(missing("aio_read"), &["sys_enter"], None),
        [Pass; 2]
    );
    let submissions = ["io_uring_complete_inferred"];
    assert_eq!(
        verdicts(missing("io_poll_issue_exit"), &submissions, None),
        [Pass; 2]
    );
    // The same calls with a flag.
    let zerocopy = Some("send.zerocopy");
    assert_eq!(
        verdicts(missing("sys_sendmsg"), &[], zerocopy),
        [Inconclusive; 2]
    );
    assert_eq!(verdicts(missing("sys_sendmsg"), &[], sendfile), [Pass; 2]);
}

/// Where every judged byte is unexplained, that is what is said, and nothing of their number.
#[test]
fn each_reason_is_given_only_where_it_holds() {
    let of = |claim: &Claim, row: Path| judged(claim, vec![process(vec![row], &[], None)]);
    let codes = |judgement: &Judgement| -> Vec<String> {
        judgement.reasons.iter().map(|r| r.code.clone()).collect()
    };
    let unexplained = || {
        let mut row = path("splice", "tcp->pipe", "inferred", &[]);
        row.totals.moved = 16 * MIB;
        row.totals.unexplained = 16 * MIB;
        row
    };
    let judgement = of(&claim(), unexplained());
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(codes(&judgement), ["too-much-unexplained"]);
    let sentence = judgement.sentence(&samples::with(Vec::new()));
    assert!(sentence.contains("too-much-unexplained"), "{sentence}");
    // Too few are too few.
    let judgement = of(&claim(), path("read", "tcp", M, &[("spliced", MIB / 2)]));
    assert_eq!(codes(&judgement), ["too-few-bytes"]);
    // What nothing carried says nothing, however much it is.
    for (op, object, class) in [
        ("write", "char:mem", "synthetic"),
        ("fault.map", "file:ext4", "mapped"),
    ] {
        let judgement = of(&claim(), path(op, object, M, &[(class, 16 * MIB)]));
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert_eq!(codes(&judgement), ["nothing-carried"]);
        let evidence = &judgement.reasons[0].evidence;
        assert!(evidence.contains(object), "{evidence}");
    }
}

#[test]
fn remedies_know_what_was_given_and_what_cannot_be() {
    let remedy = |claim: &Claim, row: Path, asked: &[Mark], code: &str| {
        let judgement = judged(claim, vec![process(vec![row], asked, None)]);
        let reason = judgement.reasons.into_iter().find(|r| r.code == code);
        reason.map(|reason| reason.remedy).unwrap_or_default()
    };
    let spliced = || {
        path(
            "sendfile",
            "file:ext4->tcp",
            "inferred",
            &[("spliced", 4 * MIB)],
        )
    };
    let accepting = Claim {
        accept_inferred: true,
        ..claim()
    };
    let of = |claim: &Claim| remedy(claim, spliced(), &[], "only-inferred");
    assert!(of(&claim()).contains("--accept-inferred"));
    assert!(!of(&accepting).is_empty() && !of(&accepting).contains("--accept-inferred"));

    let named = Claim {
        path: Some("read".into()),
        ..claim()
    };
    let few = || path("read", "tcp", M, &[("spliced", 1)]);
    let of = |claim: &Claim| remedy(claim, few(), &[], "too-few-bytes");
    assert!(of(&claim()).contains("--path"));
    assert!(!of(&named).is_empty() && !of(&named).contains("--path"));

    let asked = [Mark::Zerocopy, Mark::NoSoZerocopy];
    let of = |object: &str| {
        let row = path("send.zerocopy", object, M, &[("copied_from_user", 4 * MIB)]);
        remedy(&claim(), row, &asked, "zerocopy-flag-ignored")
    };
    assert!(of("tcp").starts_with("call setsockopt(SO_ZEROCOPY) before"));
    assert!(of("unix").starts_with("unix sockets have no"));

    let of = |object: &str| {
        let row = path("write", object, M, &[("copied_from_user", 4 * MIB)]);
        remedy(&claim(), row, &[Mark::Direct], "direct-fell-back")
    };
    assert!(of("file:btrfs").contains("chattr +C"));
    assert!(of("file:vfat").contains("extends a file"));
    assert!(!of("file:xfs").contains("chattr"), "{}", of("file:xfs"));
}

/// "This server uses sendfile", and it reads and writes.
#[test]
fn a_path_that_was_not_used_is_a_fail_with_what_was_used_instead() {
    let on = |op: &str| Claim {
        path: Some(op.into()),
        ..claim()
    };
    let copied = |op: &str, object: &str| {
        let class = if op.contains("read") || op.contains("recv") {
            "copied_to_user"
        } else {
            "copied_from_user"
        };
        path(op, object, M, &[(class, 16 * MIB)])
    };
    let in_kernel = |op: &str, object: &str| path(op, object, M, &[("copied_in_kernel", 16 * MIB)]);
    let failed = |op: &str, object: &str| {
        let mut row = path(op, object, M, &[]);
        row.totals.errors = row.totals.ops;
        row
    };
    let reads_and_writes = || vec![copied("read", "file:ext4"), copied("write", "tcp")];
    let proxies = || vec![copied("recv", "tcp"), copied("send", "tcp")];
    let copies = || vec![copied("read", "file:ext4"), copied("write", "file:tmpfs")];
    for (op, rows) in [
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
    ] {
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
    // Calls that were refused are named, with and without a replacement.
    let zerocopy = on("send.zerocopy");
    let mut row = failed("send.zerocopy", "tcp");
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
