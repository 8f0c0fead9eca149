//! Verdicts about fio with io_uring: what saves copies is O_DIRECT, not io_uring and not registered
//! buffers.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::common::{claim, shared};
use zctrace::{
    claims::{Circumstances, Claim, Judgement, Verdict, judge},
    ledger::Snapshot,
    workload::scene::{
        isolation::Isolation,
        mounts::{Fs, Mount},
    },
};

const MIB: usize = 1 << 20;

/// The verdict on fio with this option, reading a file of ext4 twice: into buffers of its own, and into
/// registered ones.
fn verdict(file: &Path, option: &str) -> (Judgement, Snapshot) {
    let mut fio = Command::new("fio");
    fio.args(["--ioengine=io_uring", "--rw=read"])
        .args(["--bs=64k", "--iodepth=4", "--thread", "--invalidate=0"])
        .args(["--size=4m", option, "--filename"])
        .arg(file)
        .args([
            "--name=plain",
            "--name=registered",
            "--fixedbufs",
            "--stonewall",
        ])
        .stdout(Stdio::null());
    let (snapshot, status) = shared::session().trace_new_processes(|| fio.status());
    assert!(status.expect("the program starts").success());
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("uring.*".into()),
        ..claim()
    };
    (judge(&claim, &snapshot, Circumstances::default()), snapshot)
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
    for option in ["--direct=0", "--direct=1"] {
        let (judgement, snapshot) = verdict(&file, option);
        let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
        let rows: Vec<_> = snapshot
            .processes
            .iter()
            .flat_map(|p| &p.paths)
            .filter(|path| path.op.is_request())
            .collect();
        let moved: Vec<_> = rows.iter().map(|path| path.totals.moved).collect();
        assert_eq!(moved, [4 * MIB as u64; 2], "{option}: {rows:?}");
        assert!(rows.iter().any(|row| row.op == "uring.read_fixed"));
        let (wanted, code) = if option == "--direct=0" {
            (Verdict::Fail, "above-limit")
        } else if snapshot.backend == "tracepoints" {
            // A completion does not say how the bytes went.
            (Verdict::Inconclusive, "too-much-unexplained")
        } else if mount.is_disk() {
            (Verdict::Pass, "")
        } else {
            (Verdict::Inconclusive, "direct-device-unknown")
        };
        assert_eq!(judgement.verdict, wanted, "{option}: {codes:?}");
        let told = codes.iter().filter(|told| **told == code).count();
        // Both rows are to blame, where any is.
        let blamed = if wanted == Verdict::Fail { 2 } else { 0 };
        assert!(
            code.is_empty() || told >= blamed.max(1),
            "{option}: {codes:?}"
        );
    }
}
