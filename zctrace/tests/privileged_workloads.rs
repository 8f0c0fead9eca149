//! Every workload of `zctrace bench` is as it must be, or is skipped for a reason that is known.

mod common;

use std::process::Output;

use common::run;
use zctrace::bench::{Document, Entry, Status};

/// What may be skipped: workload, start of the kernel's version, start of the reason. Empty stands
/// for any. Whatever else is skipped is an error.
const SKIPS: &[(&str, &str, &str)] = &[
    // Before 6.6 a tmpfs knows no O_DIRECT.
    ("direct-read:tmpfs", "6.1.", "this kernel's tmpfs refuses"),
    ("direct-write:tmpfs", "6.1.", "this kernel's tmpfs refuses"),
    // Zero-copy receive came with 6.15, and needs a device that splits headers off: the kernel says
    // EOPNOTSUPP of every virtual one.
    ("uring-recv-zc", "6.1.", "this kernel's io_uring has no"),
    ("uring-recv-zc", "6.12.", "this kernel's io_uring has no"),
    ("uring-recv-zc", "", "no device here can place packets"),
    // Built without CONFIG_TLS.
    ("ktls-sendfile", "6.18.", "no kernel TLS"),
    // Its probes are still to come.
    ("af-xdp", "", "not yet observed"),
];

fn document(output: &Output) -> Document {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        panic!("{error}: {stderr}")
    })
}

fn is_known_skip(entry: &Entry, kernel: &str) -> bool {
    let reason = entry.reason.as_deref().unwrap_or_default();
    SKIPS.iter().any(|(name, version, start)| {
        entry.name == *name && kernel.starts_with(version) && reason.starts_with(start)
    })
}

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
            Status::Ok => right += 1,
            Status::Skipped if is_known_skip(entry, &document.kernel) => {
                println!("SKIP: {}: {:?}", entry.name, entry.reason);
            }
            Status::Skipped | Status::Differs => wrong.push(format!(
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
    assert!(right >= 30, "only {right} workloads ran");
}

/// A site, and a workload that rests on it. Of alternates, each kernel has one.
const SITES: &[(&str, &str)] = &[
    ("shmem_file_read_iter", "read-write"),
    ("tcp_sendmsg_locked", "mmap-write"),
    ("skb_splice_from_iter", "sendfile"),
    ("do_tcp_sendpages", "sendfile"),
    ("shmem_file_splice_read", "splice"),
    ("iomap_dio_complete", "direct-read:ext4"),
    ("pipe_read", "pipe-ipc"),
    ("process_vm_rw", "process-vm"),
];

#[test]
#[ignore = "needs root and BPF"]
fn without_its_site_a_workload_differs() {
    let whole = document(&run(&["bench", "--json", "--bytes", "100001", "pipe-ipc"]));
    if whole.backend != "functions" {
        println!(
            "SKIP: without_its_site_a_workload_differs: the {} backend has no sites",
            whole.backend
        );
        return;
    }
    let mut tested = 0;
    for (site, workload) in SITES {
        if !whole.coverage.attached.iter().any(|probe| probe == site) {
            println!("SKIP: without {site}: not attached on this kernel");
            continue;
        }
        let options = ["bench", "--json", "--bytes", "100001", "--without-probe"];
        let output = run(&[&options[..], &[site, workload]].concat());
        let document = document(&output);
        let entry = &document.workloads[0];
        assert_eq!(entry.status, Status::Differs, "{workload} without {site}");
        assert!(
            entry
                .differences
                .iter()
                .any(|line| line.contains("unexplained is")),
            "{:?}",
            entry.differences
        );
        assert_eq!(output.status.code(), Some(1));
        tested += 1;
    }
    assert!(tested >= 5, "only {tested} sites");
}
