//! Every workload of `zctrace bench` is as it must be, or is skipped for a reason that is known.

mod common;

use std::process::Output;

use common::run;
use zctrace::{
    bench::{Document, Entry, Status},
    catalog::{self, Role},
};

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

/// Workloads that rest on no site: nothing is to be seen of them at all.
const SILENT: &[&str] = &["fbufs:volatile", "fbufs:secured"];

#[test]
#[ignore = "needs root and BPF"]
fn without_its_sites_a_workload_differs() {
    let options = ["bench", "--json", "--bytes", "100001"];
    let whole = document(&run(&[&options[..], &["--all"]].concat()));
    if whole.backend != "functions" {
        println!(
            "SKIP: without_its_sites_a_workload_differs: the {} backend has no sites",
            whole.backend
        );
        return;
    }
    let sites = catalog::probes()
        .filter(|probe| matches!(probe.role, Role::CopySite | Role::NoCopySite))
        .map(|probe| probe.name)
        .filter(|name| whole.coverage.attached.iter().any(|probe| probe == name));
    let without: Vec<_> = sites.flat_map(|site| ["--without-probe", site]).collect();
    assert!(without.len() > 40, "only {without:?}");
    let output = run(&[&options[..], &["--all"], &without].concat());
    let blind = document(&output);
    assert_eq!(output.status.code(), Some(1));
    let mut wrong = Vec::new();
    for (before, entry) in whole.workloads.iter().zip(&blind.workloads) {
        let is_silent = SILENT.contains(&entry.name.as_str());
        let wanted = match before.status {
            Status::Ok if !is_silent => Status::Differs,
            status => status,
        };
        if entry.status != wanted {
            wrong.push(format!("{} is {:?}", entry.name, entry.status));
        }
        // It is the ledger that differs: the work was done.
        assert_eq!(entry.reason, before.reason, "{}", entry.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
