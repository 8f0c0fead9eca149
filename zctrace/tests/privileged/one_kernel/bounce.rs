//! Where a CPU copies what a disk transfers, direct I/O passes nothing: bounce buffers, and disks that are memory.

use std::{env, path::Path, process::Command};

use crate::common::{claim, is_emulated, shared};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    workload::scene::{block_device::SCRATCH_DISKS, loop_device::LoopDevice},
};

/// A disk whose transfers the kernel copies (`swiotlb=force`).
const BOUNCED_DISK: &str = "ZCTRACE_BOUNCED_DISK";
const BYTES: u64 = 4 << 20;

/// Reads a disk or a file; what is judged, why, and what went through bounce buffers meanwhile.
fn read(disk: &str) -> (Verdict, Vec<String>, u64) {
    let input = format!("if={disk}");
    let snapshot = shared::session().trace_command(&[
        "dd",
        &input,
        "of=/dev/null",
        "iflag=direct",
        "bs=1048576",
        "count=4",
        "status=none",
    ]);
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("read".to_owned()),
        accept_inferred: true,
        ..claim()
    };
    let judgement = judge(&claim, &snapshot, Circumstances::default());
    let codes = judgement.reasons.into_iter().map(|r| r.code).collect();
    let bounced = snapshot.unattributed.iter();
    let bounced = bounced.filter(|work| work.thread == "swiotlb_bounced");
    let bounced = bounced.map(|work| work.totals.deferred).sum();
    (judgement.verdict, codes, bounced)
}

fn has(codes: &[String], code: &str) -> bool {
    codes.iter().any(|one| one == code)
}

#[test]
#[ignore = "needs root and BPF"]
fn direct_reads_through_bounce_buffers_are_no_pass() {
    let (Ok(bounced), Ok(disks)) = (env::var(BOUNCED_DISK), env::var(SCRATCH_DISKS)) else {
        println!("SKIP: no disk is known whose transfers are copied ({BOUNCED_DISK})");
        return;
    };
    // A disk that reaches all memory.
    let (verdict, codes, before) = read(disks.split(',').next().unwrap_or_default());
    assert!(!has(&codes, "bounce-buffers"), "{codes:?}");
    if shared::session().backend() == "functions" {
        assert_eq!(verdict, Verdict::Pass, "{codes:?}");
    }
    let (verdict, codes, after) = read(&bounced);
    assert_eq!(verdict, Verdict::Inconclusive, "{codes:?}");
    assert!(has(&codes, "bounce-buffers"), "{codes:?}");
    assert_eq!(before, 0);
    assert!(after >= BYTES, "{after}");
}

/// A disk of the driver `scsi_debug`: memory, with the name of a disk that transfers by DMA.
const DISK_OF_MEMORY: &str = "/dev/sda";

#[test]
#[ignore = "needs root and BPF"]
fn direct_reads_of_a_disk_that_is_memory_are_no_pass() {
    if !is_emulated() || Path::new(DISK_OF_MEMORY).exists() {
        println!("SKIP: direct_reads_of_a_disk_that_is_memory_are_no_pass: it would make a disk");
        return;
    }
    if shared::session().backend() != "functions" {
        println!(
            "SKIP: direct_reads_of_a_disk_that_is_memory_are_no_pass: direct I/O is inferred here"
        );
        return;
    }
    let disks = env::var(SCRATCH_DISKS).expect("scratch disks");
    let transfers = disks.split(',').next().expect("a scratch disk");
    let modprobe = |arguments: &[&str]| {
        let status = Command::new("modprobe").args(arguments).status();
        assert!(status.expect("modprobe starts").success(), "{arguments:?}");
    };
    modprobe(&["sd_mod"]);
    modprobe(&["scsi_debug", "dev_size_mb=16"]);
    let (verdict, codes, _) = read(DISK_OF_MEMORY);
    assert_eq!(verdict, Verdict::Inconclusive, "{codes:?}");
    assert!(has(&codes, "direct-device-unknown"), "{codes:?}");
    let (verdict, codes, _) = read(transfers);
    assert_eq!(verdict, Verdict::Pass, "{codes:?}");
}

/// A filesystem that is unmounted at the end.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// What xfs keeps of realtime files is on another device than the one that was mounted.
#[test]
#[ignore = "needs root and BPF"]
fn direct_reads_of_realtime_files_are_judged_by_the_realtime_device() {
    const NAME: &str = "direct_reads_of_realtime_files_are_judged_by_the_realtime_device";
    if !is_emulated() || shared::session().backend() != "functions" {
        println!("SKIP: {NAME}: no disks to format, or direct I/O is inferred here");
        return;
    }
    let disks = env::var(SCRATCH_DISKS).expect("scratch disks");
    let mut disks = disks.rsplit(',');
    let (data, transfers) = (disks.next(), disks.next());
    let (data, transfers) = (data.expect("a disk"), transfers.expect("another disk"));
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path();
    let memory = LoopDevice::new(&place.join("image"), 300 << 20).expect("a loop device");
    let memory = memory.path().to_str().expect("a name");
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        assert!(
            status.expect("it starts").success(),
            "{program} {arguments:?}"
        );
    };
    for (realtime, passes) in [(memory, false), (transfers, true)] {
        let of_realtime = format!("rtdev={realtime}");
        let inherit = ["-q", "-f", "-d", "rtinherit=1", "-r", &of_realtime, data];
        run("mkfs.xfs", &inherit);
        let at = place.join("xfs");
        std::fs::create_dir_all(&at).expect("a directory");
        let to = at.to_str().expect("a name");
        run("mount", &["-t", "xfs", "-o", &of_realtime, data, to]);
        let _mounted = Mounted(&at);
        let file = at.join("file");
        std::fs::write(&file, vec![7; BYTES as usize]).expect("a file");
        run("sync", &[]);
        let (verdict, codes, _) = read(file.to_str().expect("a name"));
        if passes {
            assert_eq!(verdict, Verdict::Pass, "{codes:?}");
        } else {
            assert_eq!(verdict, Verdict::Inconclusive, "{codes:?}");
            assert!(has(&codes, "direct-device-unknown"), "{codes:?}");
        }
    }
}
