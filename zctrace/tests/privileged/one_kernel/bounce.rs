//! Bounce buffers: where a CPU copies what a disk transfers, direct I/O passes nothing.

use std::env;

use crate::common::run;
use zctrace::{
    claims::{Document, Verdict},
    workload::scene::block_device::SCRATCH_DISKS,
};

/// A disk whose transfers the kernel copies (`swiotlb=force`).
const BOUNCED_DISK: &str = "ZCTRACE_BOUNCED_DISK";
const BYTES: u64 = 4 << 20;

/// Reads a disk and returns the verdict and what went through bounce buffers.
fn read(disk: &str) -> (Document, u64) {
    let input = format!("if={disk}");
    let output = run(&[
        "check",
        "--json",
        "--max-copies-per-byte",
        "0.02",
        "--path",
        "read",
        "--accept-inferred",
        "--",
        "dd",
        &input,
        "of=/dev/null",
        "iflag=direct",
        "bs=1048576",
        "count=4",
        "status=none",
    ]);
    let document: Document = serde_json::from_slice(&output.stderr)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let bounced = document
        .stat
        .unattributed
        .iter()
        .filter(|work| work.thread == "swiotlb_bounced")
        .map(|work| work.totals.deferred)
        .sum();
    (document, bounced)
}

#[test]
#[ignore = "needs root and BPF"]
fn direct_reads_through_bounce_buffers_are_no_pass() {
    let (Ok(bounced), Ok(disks)) = (env::var(BOUNCED_DISK), env::var(SCRATCH_DISKS)) else {
        println!("SKIP: no disk is known whose transfers are copied ({BOUNCED_DISK})");
        return;
    };
    let (document, bytes) = read(&bounced);
    let codes: Vec<_> = document.reasons.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(document.verdict, Verdict::Inconclusive, "{codes:?}");
    assert!(codes.contains(&"bounce-buffers"), "{codes:?}");
    assert!(bytes >= BYTES, "{bytes}");

    // A disk that reaches all memory.
    let (document, bytes) = read(disks.split(',').next().unwrap_or_default());
    let codes: Vec<_> = document.reasons.iter().map(|r| r.code.as_str()).collect();
    assert!(!codes.contains(&"bounce-buffers"), "{codes:?}");
    assert_eq!(bytes, 0);
    if document.stat.backend == "functions" {
        assert_eq!(document.verdict, Verdict::Pass, "{codes:?}");
    }
}
