//! Recordings whose end nobody chose: a recorder that is killed, a full disk; and rotated ones. Nothing
//! that was recorded is lost, and no number is another one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{eventually, run, zctrace};
use serde_json::Value;
use zctrace::{ledger::Snapshot, recording::Recording, report::recorded::Document};

/// Bytes of a write of the worker.
const BLOCK: u64 = 64 << 10;

/// Writes of a round of the worker.
const BLOCKS: u64 = 10;

/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell script that works, round by round, while `condition` holds.
fn worker(directory: &Path, condition: &str) -> String {
    let file = directory.join("written").display().to_string();
    format!(
        "i=0; while {condition}; do i=$((i+1)); \
         dd if=/dev/zero of={file} bs={BLOCK} count={BLOCKS} 2>/dev/null; sleep 0.01; done"
    )
}

fn start(file: &Path, options: &[&str], script: &str) -> Child {
    Command::new(zctrace())
        .args(["record", "--no-faults", "--interval", "100ms"])
        .args(options)
        .arg("-o")
        .arg(file)
        .args(["--", "sh", "-c", script])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// The intervals up to the last sound frame.
fn intervals(file: &Path) -> Vec<Snapshot> {
    let recording = Recording::open(file).expect("a recording");
    recording.map(|read| read.expect("an interval")).collect()
}

/// Operations and bytes of the worker's writes. Each is a whole block, whatever was lost.
fn written(snapshots: &[Snapshot]) -> (u64, u64) {
    let processes = snapshots.iter().flat_map(|snapshot| &snapshot.processes);
    let (ops, moved) = processes
        .filter(|process| process.comm == "dd")
        .flat_map(|process| &process.paths)
        .filter(|path| path.op == "write" && path.object == "file:tmpfs")
        .fold((0, 0), |(ops, moved), path| {
            (ops + path.totals.ops, moved + path.totals.moved)
        });
    assert_eq!(moved, ops * BLOCK);
    (ops, moved)
}

/// A directory of its own on tmpfs, whatever /tmp is on.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("a directory")
}

#[test]
#[ignore = "needs root and BPF"]
fn a_killed_recorder_leaves_what_it_had_recorded() {
    let dir = directory();
    let (file, copy, flag) = (
        dir.path().join("killed.zct"),
        dir.path().join("copy.zct"),
        dir.path().join("flag"),
    );
    fs::write(&flag, "").expect("written");
    let script = worker(dir.path(), &format!("[ -e {} ]", flag.display()));
    let mut recorder = start(&file, &[], &script);
    eventually(PATIENCE, "recorded", || {
        fs::copy(&file, &copy).is_ok_and(|length| length > 0)
            && Recording::open(&copy).is_ok()
            && intervals(&copy).len() >= 5
    });
    recorder.kill().expect("it runs");
    recorder.wait().expect("an end");
    fs::remove_file(&flag).expect("the worker is told");

    let (before, after) = (intervals(&copy), intervals(&file));
    assert_eq!(before, after[..before.len()]);
    let (ops, moved) = written(&after);
    assert!(ops > 0);

    // Every reader reads it.
    let path = file.display().to_string();
    let json = |arguments: &[&str], code: i32| -> Value {
        let output = run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
    };
    let report = json(&["report", "--json", &path], 0);
    let damage = report["damage"].as_str().unwrap_or_default();
    assert!(damage.contains("without an end"), "{damage}");
    assert_eq!(
        report["intervals"].as_array().map(Vec::len),
        Some(after.len())
    );
    let stat: Snapshot =
        serde_json::from_value(json(&["stat", "--json", "--from", &path], 0)).expect("a document");
    assert_eq!(written(&[stat]), (ops, moved));
    // What the command did when nobody recorded any more may have been anything.
    let claim = [
        "--accept-inferred",
        "--path",
        "write",
        "--max-copies-per-byte",
        "1",
    ];
    let judged = run(&[&["check", "--json", "--from", &path], &claim[..]].concat());
    let stderr = String::from_utf8_lossy(&judged.stderr);
    assert_eq!(judged.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("is incomplete"), "{stderr}");
}

/// A filesystem that is taken away with the test.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: &Path, size: &str) -> Self {
        fs::create_dir(path).expect("a directory");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "zctrace-test"])
            .arg(path)
            .status();
        assert!(mount.expect("mount starts").success());
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_full_disk_keeps_the_intervals_that_fitted() {
    let dir = directory();
    let disk = Mounted::new(&dir.path().join("disk"), "16k");
    let file = disk.0.join("full.zct");
    let flag = dir.path().join("flag");
    fs::write(&flag, "").expect("written");
    // Every round is another process, so every interval takes space.
    let script = worker(dir.path(), &format!("[ -e {} ]", flag.display()));
    let mut recorder = start(&file, &[], &script);
    let length = || fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let mut last = (0, Instant::now());
    eventually(PATIENCE, "full", || {
        if last.0 != length() {
            last = (length(), Instant::now());
        }
        last.0 > 0 && last.1.elapsed() > Duration::from_secs(2)
    });
    // The command goes on, it is not its fault, and nobody leaves it alone.
    assert!(recorder.try_wait().expect("a child").is_none());
    fs::remove_file(&flag).expect("the worker is told");
    let output = recorder.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    // Said when it happened, and again at the end, with what helps.
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    assert!(stderr.contains(&file.display().to_string()), "{stderr}");
    let mut recording = Recording::open(&file).expect("a recording");
    let read: Vec<_> = recording.by_ref().map(|read| read.unwrap()).collect();
    // What did not fit any more was the end as well.
    let damage = recording.damage().expect("no end").to_string();
    assert!(damage.starts_with("it stops without an end"), "{damage}");
    assert!(read.len() >= 3, "{}", read.len());
    assert!(written(&read).0 > 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn rotated_files_hold_everything_together() {
    let dir = directory();
    let (flag, rounds) = (dir.path().join("flag"), dir.path().join("rounds"));
    let script = format!(
        "{}; echo $i > {}",
        worker(dir.path(), &format!("[ -e {} ]", flag.display())),
        rounds.display()
    );
    // The worker goes on until the file with this number is there: a slow machine has few intervals.
    let record = |name: &str, options: &[&str], last: u32| {
        fs::write(&flag, "").expect("written");
        let file = dir.path().join(name);
        let part = |number: u32| dir.path().join(format!("{name}.{number}"));
        let recorder = start(&file, options, &script);
        eventually(PATIENCE, "rotated", || part(last).exists());
        fs::remove_file(&flag).expect("the worker is told");
        let output = recorder.wait_with_output().expect("an end");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let parts = std::iter::once(file).chain((1..1000).map(part));
        parts.filter(|part| part.exists()).collect::<Vec<_>>()
    };
    let parts = record("size", &["--rotate-size", "1K"], 1);
    assert!(parts.len() >= 2, "{parts:?}");
    let all: Vec<_> = parts.iter().flat_map(|part| intervals(part)).collect();
    let rounds = fs::read_to_string(&rounds).expect("the worker's count");
    let rounds: u64 = rounds.trim().parse().expect("a number");
    assert_eq!(written(&all).0, rounds * BLOCKS);
    assert!(
        all.iter()
            .enumerate()
            .all(|(index, interval)| interval.seq == Some(index as u64))
    );

    let parts = record("time", &["--rotate-time", "300ms", "--keep", "2"], 2);
    assert_eq!(parts.len(), 2, "{parts:?}");
    // The last two, and not the first.
    let kept: Vec<_> = parts.iter().flat_map(|part| intervals(part)).collect();
    assert!(kept[0].seq > Some(0));
    assert!(kept.last().and_then(|last| last.exit_status).is_some());
    assert!(kept.is_sorted_by_key(|interval| interval.seq));
}

#[test]
#[ignore = "needs root and BPF"]
fn without_stacks_there_are_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("record.zct");
    let output = Command::new(zctrace())
        .args(["record", "--interval", "100ms", "--no-stacks", "-o"])
        .arg(&file)
        .arg("--")
        .arg(zctrace())
        .args(["traffic", "--bytes", "16777216", "file-tmpfs", "pipe"])
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report = run(&["report", "--json", &file.display().to_string()]);
    let document: Document = serde_json::from_slice(&report.stdout).expect("a report");
    assert_eq!(document.stack_bytes, 0);
    assert!(document.stacks.is_empty());
    assert!(document.stat.total.copies() > 32 << 20);
}
