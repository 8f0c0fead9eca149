//! What the catalog counts is what breakpoints on the kernel's copy routines see.

use std::{fs, process::Command};

use crate::common::{ran, zctrace};
use zctrace::{
    ledger::audit::{Direction, Document},
    workload::truth::report::Report,
};

/// More than any family's own overhead: loading a program copies some kilobytes.
const BYTES: &str = "16777216";
/// The share by which breakpoint and catalog may differ.
const TOLERANCE: f64 = 0.001;

/// Families, and the directions in which each copies its bytes.
const FAMILIES: &[(&str, &[Direction])] = &[
    ("file-tmpfs", &[Direction::ToUser, Direction::FromUser]),
    ("file-ext4", &[Direction::ToUser, Direction::FromUser]),
    ("pipe", &[Direction::ToUser, Direction::FromUser]),
    ("tcp", &[Direction::ToUser, Direction::FromUser]),
    ("unix-stream", &[Direction::ToUser, Direction::FromUser]),
    ("udp-large", &[Direction::ToUser, Direction::FromUser]),
    ("sendfile-file", &[Direction::InKernel]),
    ("copy-tmpfs", &[Direction::InKernel]),
];

/// Audits all families in one run: attaching is what takes time on an emulated machine.
fn audit() -> (Document, usize, Vec<&'static str>) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("audit.json");
    let output = Command::new(zctrace())
        .args(["stat", "--audit", "--no-faults", "--json", "-o"])
        .arg(&file)
        .arg("--")
        .arg(zctrace())
        .args(["traffic", "--json", "--bytes", BYTES])
        .args(FAMILIES.iter().map(|(family, _)| family))
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let document: Document = serde_json::from_str(&text).expect("an audit document");
    if document.refused.is_some() {
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        return (document, 0, Vec::new());
    }
    let report: Report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("traffic report: {error}: {stderr}"));
    let names: Vec<_> = FAMILIES
        .iter()
        .map(|(family, _)| *family)
        .filter(|family| {
            let outcome = report
                .traffic
                .iter()
                .find(|outcome| outcome.name == *family);
            outcome.is_some_and(ran)
        })
        .collect();
    (document, names.len(), names)
}

/// An audit of which no breakpoint missed a hit. On kernels that preempt it may take more than one: a process that is
/// preempted within the `bpf` system call keeps programs of breakpoints from running on its processor.
fn counted() -> (Document, usize, Vec<&'static str>) {
    const TRIES: usize = 4;
    for _ in 0..TRIES {
        let (document, audited, families) = audit();
        if document.refused.is_some() {
            return (document, audited, families);
        }
        match document.missed_hits {
            Some(0) => return (document, audited, families),
            missed => println!("hits that were not counted: {missed:?}; once more"),
        }
    }
    panic!("breakpoints missed hits {TRIES} times");
}

#[test]
#[ignore = "needs root and BPF"]
fn the_catalog_counts_what_breakpoints_see() {
    let (document, audited, families) = counted();
    if let Some(refusal) = document.refused {
        println!("SKIP: audit: {}", refusal.reason);
        return;
    }
    if document.stat.backend != "functions" {
        println!(
            "SKIP: audit: the {} backend infers what is copied",
            document.stat.backend
        );
        return;
    }
    for left_out in &document.left_out {
        println!("not audited: {}: {}", left_out.routine, left_out.reason);
    }
    let bytes: u64 = BYTES.parse().expect("a number");
    let mut wrong = Vec::new();
    for direction in [Direction::ToUser, Direction::FromUser, Direction::InKernel] {
        let (mut seen, mut catalog, mut difference) = (0, 0, 0);
        let mut items = Vec::new();
        for row in document
            .routines
            .iter()
            .filter(|row| row.direction == direction)
        {
            println!(
                "{} {direction:?}: {} hits, {} at the breakpoint, {} in the catalog",
                row.routine,
                row.hits,
                row.breakpoint_bytes,
                row.catalog_bytes.unwrap_or(0)
            );
            seen += row.breakpoint_bytes;
            catalog += row.catalog_bytes.unwrap_or(0);
            difference += row.difference.unwrap_or(0).unsigned_abs();
            for item in &row.items {
                println!("    {:+} {}", item.bytes, item.what);
            }
            items.extend(row.items.iter().map(|item| item.bytes));
        }
        let copying = FAMILIES
            .iter()
            .filter(|(family, directions)| {
                families.contains(family) && directions.contains(&direction)
            })
            .count() as u64;
        let least = bytes * copying;
        if catalog < least || seen < least || exceeds(difference, seen) {
            wrong.push(format!(
                "{direction:?}: {catalog} in the catalog, {seen} at breakpoints: {items:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(audited > 4, "only {audited} families");
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of sizes far below 2^53"
)]
fn exceeds(difference: u64, whole: u64) -> bool {
    difference as f64 > whole as f64 * TOLERANCE
}
