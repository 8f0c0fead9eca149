//! Verdicts about fio with io_uring: what saves copies is O_DIRECT, not io_uring and not registered
//! buffers.

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use common::zctrace;
use zctrace::{
    claims::{Document, Verdict},
    workload::{
        isolation::Isolation,
        mounts::{Fs, Mount},
    },
};

const MIB: usize = 1 << 20;

/// The verdict on fio with these options, reading a file of ext4.
fn verdict(file: &Path, options: &[&str]) -> Document {
    let output = file.with_file_name("check.json");
    let run = Command::new(zctrace())
        .args(["check", "--json", "-o"])
        .arg(&output)
        .args(["--max-copies-per-byte", "0.02", "--path", "uring.*"])
        .args([
            "--",
            "fio",
            "--name=job",
            "--ioengine=io_uring",
            "--rw=read",
        ])
        .args(["--bs=64k", "--iodepth=4", "--thread", "--invalidate=0"])
        .args(["--size=4m", "--filename"])
        .arg(file)
        .args(options)
        .stdout(Stdio::null())
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&run.stderr);
    let text = fs::read_to_string(&output).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
#[ignore = "needs root and BPF"]
fn only_direct_io_saves_the_copy() {
    let installed = Command::new("fio")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if installed.is_err() {
        println!("SKIP: only_direct_io_saves_the_copy: fio is not installed");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let isolation = Isolation::new(directory.path()).expect("namespaces");
    isolation.mounts_allowed().expect("root");
    let mount = Mount::new(Fs::Ext4, directory.path()).expect("a filesystem");
    let file = mount.path().join("data");
    fs::write(&file, vec![7; 4 * MIB]).expect("the file");
    nix::unistd::sync();
    for (name, options) in [
        ("buffered", &["--direct=0"][..]),
        ("registered", &["--direct=0", "--fixedbufs"]),
        ("direct", &["--direct=1"]),
        ("direct, registered", &["--direct=1", "--fixedbufs"]),
    ] {
        let document = verdict(&file, options);
        let codes: Vec<_> = document.reasons.iter().map(|r| r.code.as_str()).collect();
        let rows = document.stat.processes.iter().flat_map(|p| &p.paths);
        let moved: u64 = rows
            .filter(|path| path.op.starts_with("uring."))
            .map(|path| path.totals.moved)
            .sum();
        assert_eq!(moved, 4 * MIB as u64, "{name}: {codes:?}");
        let (wanted, code) = if !name.starts_with("direct") {
            (Verdict::Fail, "above-limit")
        } else if document.stat.backend == "tracepoints" {
            // A completion does not tell how the bytes went.
            (Verdict::Inconclusive, "too-much-unexplained")
        } else if mount.is_disk() {
            (Verdict::Pass, "")
        } else {
            (Verdict::Inconclusive, "direct-device-unknown")
        };
        assert_eq!(document.verdict, wanted, "{name}: {codes:?}");
        assert!(
            code.is_empty() || codes.contains(&code),
            "{name}: {codes:?}"
        );
    }
}
