//! Sampled stacks add up to the bytes that the ledger says were copied.

use std::process::Command;

use crate::common::zctrace;
use zctrace::report::recorded::Document;

/// Bytes between two samples.
const EVERY: u64 = 64 << 10;

fn record(interval: &str, options: &[&str]) -> Document {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("record.zct");
    let output = Command::new(zctrace())
        .args(["record", "--interval", interval])
        .args(options)
        .arg("-o")
        .arg(&file)
        .arg("--")
        .arg(zctrace())
        .args(["traffic", "--bytes", "16777216", "file-tmpfs", "pipe"])
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report = Command::new(zctrace())
        .args(["report", "--json"])
        .arg(&file)
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&report.stderr);
    serde_json::from_slice(&report.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

#[test]
#[ignore = "needs root and BPF"]
fn stacks_add_up_to_what_was_copied() {
    let document = record("100ms", &["--stack-every", "64KiB"]);
    let copied = document.stat.total.copies();
    let sampled: u64 = document.stacks.iter().map(|stack| stack.bytes).sum();
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    assert_eq!(document.stack_bytes_lost, 0);
    assert!(copied > 32 << 20, "{copied}");
    // What remains of a sample on each processor; and what exec reads, which is not an operation.
    assert!(
        sampled + EVERY * processors >= copied,
        "{sampled} of {copied}"
    );
    assert!(sampled <= copied + copied / 20, "{sampled} of {copied}");
    assert!(document.stacks.iter().all(|stack| stack.bytes % EVERY == 0));

    let kernel: u64 = document
        .stacks
        .iter()
        .filter(|stack| stack.frames.iter().any(|frame| frame.ends_with("_[k]")))
        .map(|stack| stack.bytes)
        .sum();
    if document.stat.backend == "functions" {
        assert_eq!(kernel, sampled, "every copy has a kernel stack");
        let names = |name: &str| {
            document
                .stacks
                .iter()
                .any(|stack| stack.frames.iter().any(|frame| frame.contains(name)))
        };
        assert!(names("read") && names("write"), "{:?}", document.stacks);
        assert!(!names("bpf_prog_"), "zctrace's own frames are left out");
    } else {
        assert_eq!(
            kernel, 0,
            "at the exit of a call the kernel's stack says nothing"
        );
    }
}

/// Nothing is read before the end, when every process of the traffic is gone.
#[test]
#[ignore = "needs root and BPF"]
fn stacks_of_processes_that_have_ended_have_names() {
    let document = record("100s", &["--stack-every", "64KiB"]);
    // Without frame pointers a stack ends in the C library: one name is enough.
    let is_named = |frame: &String| !frame.starts_with('[') && !frame.ends_with("_[k]");
    let has_user_stack = |frames: &[String]| frames.iter().any(|frame| !frame.ends_with("_[k]"));
    let stacks: Vec<_> = document
        .stacks
        .iter()
        .filter(|stack| has_user_stack(&stack.frames))
        .collect();
    assert!(stacks.len() > 2, "{stacks:#?}");
    let sampled: u64 = stacks.iter().map(|stack| stack.bytes).sum();
    let unnamed: u64 = stacks
        .iter()
        .filter(|stack| !stack.frames.iter().any(is_named))
        .map(|stack| stack.bytes)
        .sum();
    // The loader and others copy a little.
    assert!(
        unnamed * 10 < sampled,
        "{unnamed} of {sampled}: {stacks:#?}"
    );
}
