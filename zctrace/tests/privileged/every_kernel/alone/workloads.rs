//! Every workload of `zctrace bench` is as it must be, or is skipped for a reason that is known.

use crate::common::{
    bench::{document, is_known_skip, is_right, known_skips},
    run,
};
use zctrace::{bench::Status, workload::technique::Workload};

#[test]
#[ignore = "needs root and BPF"]
fn every_workload_is_as_expected_or_skipped_for_a_known_reason() {
    // More than the file is long, and neither of whole pages.
    let output = run(&[
        "bench", "--all", "--json", "--bytes", "1300001", "--file", "700001",
    ]);
    let document = document(&output);
    let mut wrong = Vec::new();
    let mut right = 0;
    for entry in &document.workloads {
        match entry.status {
            _ if is_right(entry, &document.backend) => right += 1,
            Status::Skipped if is_known_skip(entry, &document.kernel) => {
                let reason = entry.reason.as_deref().unwrap_or_default();
                println!("SKIP: {}: {reason}", entry.name);
            }
            _ => wrong.push(format!(
                "{} {:?}: {:?} {:?}",
                entry.name, entry.status, entry.reason, entry.differences
            )),
        }
    }
    println!(
        "{} on {}: {right} workloads right",
        document.backend, document.kernel
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(output.status.code(), Some(0));
    let all = Workload::all().count();
    assert_eq!(document.workloads.len(), all);
    let least = all - known_skips(&document.kernel);
    assert!(
        right >= least,
        "{right} of {all} workloads ran, not {least}"
    );
}

/// Sites, in the words of all kernels; how it shows that they are left out; and the workloads that
/// rest on them.
const RESTS: &[(&[&str], &str, &[&str])] = &[
    (
        &["skb_splice_from_iter", "do_tcp_sendpages"],
        ": unexplained is ",
        &[
            "sendfile",
            "splice",
            "splice-proxy:splice",
            "vmsplice",
            "tee",
            "uring-splice",
            "hybrid",
        ],
    ),
    (
        &["pipe_write"],
        ": unexplained is ",
        &["pipe-ipc", "fbufs:pipe"],
    ),
    (
        &["iomap_dio_complete"],
        ": unexplained is ",
        &[
            "direct-read:ext4",
            "direct-write:ext4",
            "aio-read:direct",
            "aio-write:direct",
            "uring-direct",
            "load:direct",
            "load:uring-direct",
        ],
    ),
    (
        &["btrfs_remap_file_range"],
        ": unexplained is ",
        &["copy-file-range:btrfs"],
    ),
    (
        &["xfs_file_remap_range"],
        ": unexplained is ",
        &["copy-file-range:xfs"],
    ),
    // Nothing else is seen of these.
    (&["wp_page_exit"], "has no row", &["fork-snapshot"]),
    (
        &["file_fault_exit"],
        "has no row",
        &[
            "cow:private",
            "mmap-read",
            "fbufs:remap",
            "load:mmap",
            "load:mmap-populate",
        ],
    ),
    (
        &["file_fault_exit"],
        ": mapped is ",
        &["mmap-write", "load:copy"],
    ),
    (
        &["skb_copy_ubufs"],
        ": deferred is ",
        &[
            "zerocopy-send:loopback",
            "zerocopy-receive:aligned",
            "zerocopy-receive:unaligned",
            "cow-send:loopback",
            "uring-send-zc:loopback",
        ],
    ),
    // Nothing was copied, but it could have gone unseen.
    (
        &["skb_copy_ubufs"],
        ": evidence is ",
        &["zerocopy-send:veth", "cow-send:veth", "uring-send-zc:veth"],
    ),
    (&["process_vm_rw"], ": unexplained is ", &["process-vm"]),
    (&["xsk_rcv"], ": copied_to_user is ", &["af-xdp"]),
    (
        &["tls_sw_sendmsg", "tls_sw_sendpage"],
        ": encrypted is ",
        &["ktls-sendfile"],
    ),
];

#[test]
#[ignore = "needs root and BPF"]
fn without_its_sites_a_workload_differs() {
    let mut options = vec!["bench", "--all", "--json", "--bytes", "100001"];
    for site in RESTS.iter().flat_map(|(sites, ..)| *sites) {
        options.extend(["--without-probe", site]);
    }
    let output = run(&options);
    let document = document(&output);
    if document.backend != "functions" {
        println!(
            "SKIP: without_its_sites_a_workload_differs: the {} backend has no sites",
            document.backend
        );
        return;
    }
    let mut wrong = Vec::new();
    for entry in &document.workloads {
        let shows = RESTS
            .iter()
            .find(|(.., names)| names.contains(&entry.name.as_str()))
            .map(|(_, shows, _)| *shows);
        let right = match (entry.status, shows) {
            (Status::Ok, None) => true,
            (Status::Skipped, _) => is_known_skip(entry, &document.kernel),
            (Status::Differs, Some(shows)) => {
                // It is the ledger that differs: the work was done.
                entry.reason.is_none() && entry.differences.iter().any(|line| line.contains(shows))
            }
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "{} {:?}: {:?} {:?}",
                entry.name, entry.status, entry.reason, entry.differences
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(output.status.code(), Some(1));
}
