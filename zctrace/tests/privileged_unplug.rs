//! With a site probe unplugged, exactly its bytes become `unexplained`, and nothing else changes.

mod common;

use std::process::Command;

use common::{differences, ran, zctrace};
use zctrace::{
    ledger::Totals,
    tracer::{Config, Session},
    workload::{
        compare::Strictness,
        report::{Outcome, Report},
    },
};

/// A site, traffic that rests on it, and the operations of that traffic that do. Alternates of
/// other kernels share a line's traffic.
const SITES: &[(&str, &str, &[&str])] = &[
    ("filemap_read", "file-ext4", &["read"]),
    ("shmem_file_read_iter", "file-tmpfs", &["read"]),
    ("generic_perform_write", "file-tmpfs", &["write"]),
    ("generic_perform_write", "sendfile-file", &["sendfile"]),
    ("iomap_file_buffered_write", "file-xfs", &["write"]),
    ("btrfs_buffered_write", "file-btrfs", &["write"]),
    ("seq_read_iter", "file-proc", &["read"]),
    ("urandom_read_iter", "char-urandom", &["read"]),
    ("iomap_dio_complete", "direct-ext4", &["read", "write"]),
    ("blkdev_read_iter", "direct-block", &["read"]),
    ("blkdev_write_iter", "direct-block", &["write"]),
    ("pipe_read", "pipe", &["read"]),
    ("pipe_write", "pipe", &["write"]),
    (
        "skb_copy_datagram_iter",
        "unix-stream",
        &["recv", "recv.peek", "read"],
    ),
    ("udp_recvmsg", "udp-small", &["recv", "recv.peek", "read"]),
    ("tcp_sendmsg_locked", "tcp", &["send", "write"]),
    ("ip_generic_getfrag", "udp-small", &["send", "write"]),
    (
        "skb_copy_datagram_from_iter",
        "unix-stream",
        &["send", "write"],
    ),
    ("skb_splice_from_iter", "sendfile-tcp", &["sendfile"]),
    ("do_tcp_sendpages", "sendfile-tcp", &["sendfile"]),
    ("skb_zerocopy_iter_stream", "zc-tcp", &["send.zerocopy"]),
    ("zerocopy_sg_from_iter", "zc-udp", &["send.zerocopy"]),
    ("skb_splice_bits", "splice-tcp-pipe", &["splice"]),
    ("filemap_splice_read", "splice-ext4-pipe", &["splice"]),
    ("shmem_file_splice_read", "splice-tmpfs-pipe", &["splice"]),
    ("generic_file_splice_read", "splice-ext4-pipe", &["splice"]),
    ("splice_to_user", "vmsplice-out", &["vmsplice"]),
    ("splice_write_null", "splice-pipe-null", &["splice"]),
    ("btrfs_remap_file_range", "clone-btrfs", &["clone"]),
    ("xfs_file_remap_range", "clone-xfs", &["clone"]),
    ("process_vm_rw", "process-vm", &["process_vm"]),
    ("fuse_perform_write", "file-fuse", &["write"]),
];

/// Sites of copies that are made later, and traffic that rests on them: without one, its copies go
/// by unseen, and rows without copies are only inferred.
const LATER: &[(&str, &str)] = &[("skb_copy_ubufs", "zc-tcp"), ("skb_copy_ubufs", "zc-udp")];

/// Runs one family under the session, whose target is this thread's children.
fn traffic(name: &str) -> Outcome {
    let output = Command::new(zctrace())
        .args(["traffic", "--json", "--bytes", "262175", name])
        .output()
        .expect("the program starts");
    let report: Report = serde_json::from_slice(&output.stdout).expect("a report");
    report.traffic.into_iter().next().expect("one family")
}

/// The same truth with the classes of some operations unknown.
fn with_unexplained(mut outcome: Outcome, ops: &[&str]) -> Outcome {
    let rows = &mut outcome.expected.rows;
    for row in rows.iter_mut().filter(|row| ops.contains(&row.op.as_str())) {
        let Totals {
            ops, errors, moved, ..
        } = row.totals;
        row.totals = Totals {
            ops,
            errors,
            moved,
            unexplained: moved,
            ..Totals::default()
        };
        // What is not known is no conclusion from a device either.
        row.evidence = Some("any".to_owned());
    }
    outcome
}

/// The same truth without what was copied later.
fn without_deferred(mut outcome: Outcome) -> Outcome {
    for row in &mut outcome.expected.rows {
        if row.totals.deferred != 0 {
            row.totals.deferred = 0;
            row.evidence = Some("inferred".to_owned());
        }
    }
    outcome
}

#[test]
#[ignore = "needs root and BPF"]
fn an_unplugged_site_makes_its_bytes_unexplained() {
    let config = Config {
        tasks: vec![std::process::id(), tid()],
        ..Config::default()
    };
    let mut session = Session::start(&config).expect("a session");
    if session.backend() != "functions" {
        println!(
            "SKIP: an_unplugged_site_makes_its_bytes_unexplained: the {} backend has no sites",
            session.backend()
        );
        return;
    }
    let mut tested = 0;
    let mut wrong = Vec::new();
    for &(site, family, ops) in SITES {
        if !session.unplug(site) {
            println!("SKIP: unplug {site}: not attached on this kernel");
            continue;
        }
        let outcome = traffic(family);
        if ran(&outcome) {
            let processes = session.read().expect("the maps").processes;
            let expected = with_unexplained(outcome.clone(), ops);
            let lines = differences(&expected, &processes, Strictness::Measured);
            wrong.extend(
                lines
                    .into_iter()
                    .map(|line| format!("without {site}: {line}")),
            );
            let same = differences(&outcome, &processes, Strictness::Measured);
            if same.is_empty() {
                wrong.push(format!(
                    "without {site}, {family} is explained all the same"
                ));
            }
            tested += 1;
        }
        assert!(session.plug(site), "{site} can be attached again");
    }
    for &(site, family) in LATER {
        assert!(session.unplug(site), "{site} is attached");
        let outcome = traffic(family);
        if ran(&outcome) {
            let processes = session.read().expect("the maps").processes;
            let expected = without_deferred(outcome.clone());
            let lines = differences(&expected, &processes, Strictness::Measured);
            wrong.extend(
                lines
                    .into_iter()
                    .map(|line| format!("without {site}: {line}")),
            );
            assert!(
                !differences(&outcome, &processes, Strictness::Measured).is_empty(),
                "without {site}, {family} is the same"
            );
            tested += 1;
        }
        assert!(session.plug(site), "{site} can be attached again");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{tested} sites unplugged");
    assert!(tested > 10, "only {tested} sites");
}

fn tid() -> u32 {
    nix::unistd::gettid().as_raw().cast_unsigned()
}
