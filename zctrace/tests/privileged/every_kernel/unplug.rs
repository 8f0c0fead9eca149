//! With a site probe unplugged, exactly its bytes become `unexplained`, and nothing else changes.

use std::process::Command;

use crate::common::{differences, ran, shared, zctrace};
use zctrace::{
    catalog::Role,
    ledger::{Process, Totals},
    tracer::Session,
    workload::truth::{
        compare::Strictness,
        report::{Outcome, Report},
    },
};

/// A site, or several that see the same bytes, traffic that rests on it, and the operations (or operation and object) of that traffic
/// that do. Alternates of
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
    ("iomap_iter", "direct-holes-ext4", &["read"]),
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
    ("load_msg", "mqueue", &["send"]),
    ("store_msg", "msgqueue", &["recv"]),
    ("mfill_atomic_copy", "uffd", &["uffd.copy"]),
    ("mfill_atomic_zeropage", "uffd", &["uffd.zeropage"]),
    ("fuse_perform_write", "file-fuse", &["write"]),
    ("skb_store_bits", "xdp", &["send"]),
    ("simple_read_from_buffer", "file-proc-small", &["read"]),
    ("hugetlbfs_read_iter", "file-hugetlbfs", &["read"]),
    ("mptcp_sendmsg", "mptcp", &["send", "write", "sendfile"]),
    ("sk_msg_recvmsg", "sockmap", &["recv", "recv.peek", "read"]),
    ("mem_read", "proc-mem", &["read"]),
    ("mem_write", "proc-mem", &["write"]),
    ("tty_read", "tty", &["read"]),
    ("tty_write", "tty", &["write"]),
    ("read_zero", "char-zero", &["read"]),
    ("read_iter_zero", "char-vectors", &["read"]),
    ("random_read_iter", "char-random", &["read"]),
    ("write_null", "char-null", &["write"]),
    ("write_iter_null", "char-vectors", &["write"]),
    ("udpv6_recvmsg", "udp6", &["recv", "recv.peek", "read"]),
    (
        "unix_stream_sendpage",
        "splice-unix",
        &["splice pipe->unix"],
    ),
    (
        "blkdev_bio_end_io_async blkdev_bio_end_io",
        "aio-block",
        &["aio.read", "aio.write"],
    ),
];

/// Sites of a FUSE server, and its operation. How much it reads and writes for `file-fuse` is its own
/// affair: the rest of its row is held against what its calls reported.
const SERVER: &[(&str, &str)] = &[("fuse_dev_read", "read"), ("fuse_dev_write", "write")];

/// Sites that are not unplugged here, and why.
const OTHERWISE: &[(&str, &str)] = &[
    // A fault is its own report: nobody is told a number that the site could be held against.
    ("file_fault_enter", "faults report nothing"),
    ("file_fault_exit", "faults report nothing"),
    ("wp_page_enter", "faults report nothing"),
    ("wp_page_exit", "faults report nothing"),
    ("set_pte", "faults report nothing"),
    ("vma_alloc_folio", "faults report nothing"),
    ("copy_user_large_folio", "faults report nothing"),
    ("fork_enter", "a fork reports nothing"),
    ("fork_exit", "a fork reports nothing"),
    // Copies of what packets borrow. No traffic has its pages copied in these ways only.
    ("skb_copy", "copies what no traffic makes the kernel copy"),
    (
        "skb_copy_expand",
        "copies what no traffic makes the kernel copy",
    ),
    ("swiotlb_bounced", "is nobody's, and explains no byte"),
    // A packet for AF_XDP is its own report, too.
    ("xsk_rcv", "packets in a ring report nothing"),
    ("copy_msg", "a second copy, which explains no byte"),
    // Kernel TLS: what is encrypted is no explanation of what moved.
    ("tls_sw_sendmsg", "encrypts, and explains no byte"),
    ("tls_sw_recvmsg", "encrypts, and explains no byte"),
    ("tls_sw_sendpage", "encrypts, and explains no byte"),
    ("tls_sw_splice_read", "encrypts, and explains no byte"),
    ("sk_msg_memcopy_from_iter", "privileged_ktls"),
    ("sk_msg_zerocopy_from_iter", "privileged_ktls"),
    ("tls_rx_one_record", "privileged_ktls"),
];

/// Sites of copies that are made later, and traffic that rests on them: without them, its copies go
/// by unseen, and rows without copies are only inferred.
const LATER: &[(&str, &str)] = &[
    ("skb_copy_ubufs", "zc-tcp"),
    ("skb_copy_ubufs", "zc-udp"),
    // A packet that is small enough is not cut up, and made linear instead.
    ("skb_segment pskb_pull_tail", "sendfile-nosg"),
    ("skb_segment pskb_pull_tail", "splice-nosg"),
];

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
    for row in rows.iter_mut().filter(|row| {
        let whole = format!("{} {}", row.op, row.object);
        ops.iter().any(|&op| op == row.op || op == whole)
    }) {
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

/// What the server of a FUSE filesystem did with `op` while somebody used its files; `None` where
/// there is no FUSE.
fn served(session: &mut Session, op: &str) -> Option<Totals> {
    let before: Vec<u32> = servers(session).iter().map(|server| server.pid).collect();
    if !ran(&traffic("file-fuse")) {
        return None;
    }
    let server = servers(session)
        .into_iter()
        .find(|server| !before.contains(&server.pid))
        .expect("a server that was not there before");
    let row = server
        .paths
        .iter()
        .find(|row| row.op == op && row.object == "char:fuse");
    Some(row.expect("a row of the device").totals)
}

fn servers(session: &mut Session) -> Vec<Process> {
    let mut processes = session.read().expect("the maps").processes;
    processes.retain(|process| process.comm == "zct-fuse-daemon");
    processes
}

/// The attached sites that this test forgets.
fn forgotten(session: &Session) -> Vec<&'static str> {
    let is_known = |name: &str| {
        SITES
            .iter()
            .any(|(sites, ..)| sites.split(' ').any(|site| site == name))
            || LATER
                .iter()
                .any(|(sites, _)| sites.split(' ').any(|site| site == name))
            || SERVER.iter().any(|(site, _)| *site == name)
            || OTHERWISE.iter().any(|(site, _)| *site == name)
    };
    session
        .attempts()
        .iter()
        .filter(|attempt| attempt.is_attached())
        .map(|attempt| attempt.probe)
        .filter(|probe| matches!(probe.role, Role::CopySite | Role::NoCopySite))
        .map(|probe| probe.name)
        .filter(|name| !is_known(name))
        .collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn an_unplugged_site_makes_its_bytes_unexplained() {
    let mut session = shared::session();
    if session.backend() != "functions" {
        println!(
            "SKIP: an_unplugged_site_makes_its_bytes_unexplained: the {} backend has no sites",
            session.backend()
        );
        return;
    }
    let forgotten = forgotten(&session);
    assert!(forgotten.is_empty(), "not unplugged: {forgotten:?}");
    let mut tested = 0;
    let mut wrong = Vec::new();
    for &(site, family, ops) in SITES {
        let mut unplugged: Vec<_> = site.split(' ').collect();
        unplugged.retain(|site| session.unplug(site));
        if unplugged.is_empty() {
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
        for site in unplugged {
            assert!(session.plug(site), "{site} can be attached again");
        }
    }
    for &(site, family) in LATER {
        for site in site.split(' ') {
            assert!(session.unplug(site), "{site} is attached");
        }
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
        for site in site.split(' ') {
            assert!(session.plug(site), "{site} can be attached again");
        }
    }
    for &(site, op) in SERVER {
        let [with, without] = [true, false].map(|plugged| {
            assert!(plugged || session.unplug(site), "{site} is attached");
            served(&mut session, op)
        });
        let Some((with, without)) = with.zip(without) else {
            println!("SKIP: unplug {site}: no FUSE");
            continue;
        };
        assert!(session.plug(site), "{site} can be attached again");
        assert!(with.moved > 0 && without.moved > 0);
        assert_eq!(with.unexplained, 0, "{site} is there: {with:?}");
        assert_eq!(without.unexplained, without.moved, "without {site}");
        tested += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{tested} sites unplugged");
    assert!(tested > 10, "only {tested} sites");
}
