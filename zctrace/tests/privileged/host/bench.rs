//! `zctrace bench` at its limits, and that nothing of a run outlives it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    bench::{document, is_known_skip, is_right},
    eventually, run, zctrace,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use zctrace::bench::{Document, Entry, Status};

/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

fn bench(arguments: &[&str]) -> (Document, Output) {
    let output = run(&[&["bench", "--json"], arguments].concat());
    (document(&output), output)
}

fn assert_all_ok(document: &Document, what: &str) {
    for entry in &document.workloads {
        if entry.status == Status::Skipped && is_known_skip(entry, &document.kernel) {
            continue;
        }
        assert!(
            is_right(entry, &document.backend),
            "{what}: {}: {:?} {:?} {:?}",
            entry.name,
            entry.status,
            entry.reason,
            entry.differences
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn every_size_is_exact() {
    for bytes in ["0", "1", "4095", "4096", "4097"] {
        let (document, _) = bench(&["--all", "--bytes", bytes]);
        assert_all_ok(&document, &format!("{bytes} bytes"));
        let sendfile = document.workloads.iter().find(|w| w.name == "sendfile");
        let carried: u64 = bytes.parse().unwrap();
        assert_eq!(sendfile.map(|entry| entry.bytes), Some(carried));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn odd_buffers_and_files_are_exact() {
    for (buffer, file) in [("1000", "10000"), ("65536", "5000"), ("4097", "8191")] {
        let options = [
            "--all", "--bytes", "100000", "--buffer", buffer, "--file", file,
        ];
        let (document, _) = bench(&options);
        assert_all_ok(&document, &format!("buffer {buffer} file {file}"));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn more_threads_than_processors() {
    let threads = thread::available_parallelism().unwrap().get() * 2 + 1;
    let options = ["--bytes", "1000003", "--threads", &threads.to_string()];
    let names = ["sendfile", "read-write", "fbufs:volatile", "epoll-echo"];
    let (document, _) = bench(&[&names[..], &options].concat());
    assert_all_ok(&document, "threads");
    assert!(
        document
            .workloads
            .iter()
            .all(|entry| entry.bytes == 1_000_003)
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn a_duration_repeats_and_adds_up() {
    let options = ["sendfile", "--bytes", "100000", "--duration", "200ms"];
    let (document, _) = bench(&options);
    assert_all_ok(&document, "duration");
    let entry = &document.workloads[0];
    assert!(entry.bytes > 100_000 && entry.bytes % 100_000 == 0);
    assert_eq!(entry.measured.moved, entry.bytes);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_full_disk_is_a_reason_to_skip() {
    // The image is smaller.
    let names = ["direct-write:ext4", "aio-write", "uring-write"];
    let options = ["--bytes", "600M", "--file", "600M", "--buffer", "1M"];
    let (document, output) = bench(&[&names[..], &options].concat());
    assert_eq!(document.workloads.len(), 4);
    for entry in &document.workloads {
        assert_eq!(entry.status, Status::Skipped, "{entry:?}");
        let reason = entry.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("No space left"), "{reason}");
    }
    assert_eq!(output.status.code(), Some(0));
}

#[test]
#[ignore = "needs root and BPF"]
fn no_loop_device_is_a_reason_to_skip() {
    let script =
        "mount --make-rprivate / && mount --bind /dev/null /dev/loop-control && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(zctrace())
        .args(["bench", "--json", "--bytes", "100k", "--all"])
        .output()
        .unwrap();
    let document = document(&output);
    let no_device = |entry: &&Entry| {
        let reason = entry.reason.as_deref().unwrap_or_default();
        entry.status == Status::Skipped && reason.starts_with("no loop device")
    };
    let skipped: Vec<_> = document.workloads.iter().filter(no_device).collect();
    let names: Vec<_> = skipped.iter().map(|entry| entry.name.as_str()).collect();
    for name in [
        "copy-file-range:btrfs",
        "direct-read:ext4",
        "aio-write:direct",
        "uring-read",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(!names.contains(&"copy-file-range:tmpfs"));
    let known = |entry: &Entry| is_known_skip(entry, &document.kernel);
    for entry in &document.workloads {
        let is_right = is_right(entry, &document.backend) || names.contains(&entry.name.as_str());
        assert!(is_right || known(entry), "{entry:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn series_have_their_results() {
    let options = ["--bytes", "1M", "--runs", "2"];
    let (document, _) = bench(&[&["--compare", "sendfile", "read-write"][..], &options].concat());
    let comparison = document.comparison.expect("a comparison");
    assert_eq!(comparison.contestants.len(), 2);
    assert!(
        comparison.advice.contains("sendfile"),
        "{}",
        comparison.advice
    );

    let directory = tempfile::tempdir().unwrap();
    let svg = directory.path().join("cow.svg");
    let file = svg.to_str().unwrap();
    let arguments = [
        "--sweep", "cow", "--bytes", "1M", "--runs", "1", "--svg", file,
    ];
    let (document, _) = bench(&arguments);
    let sweep = document.sweep.expect("a sweep");
    assert_eq!((sweep.over.as_str(), sweep.lines.len()), ("fraction", 2));
    assert!(sweep.lines.iter().all(|line| line.points.len() == 12));
    assert!(fs::read_to_string(svg).unwrap().contains("<polyline"));

    let (document, _) = bench(&[&["--untraced", "pipe-ipc"][..], &options].concat());
    assert_eq!(document.tracing.map(|costs| costs.len()), Some(1));
}

/// Starts all workloads, and waits until one of them is at work.
fn started(name: &str) -> Child {
    let mut child = Command::new(zctrace())
        .args(["bench", name, "--bytes", "64G", "--file", "4M"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while descendants(child.id()).is_empty() {
        if child.try_wait().unwrap().is_some() || begin.elapsed() > Duration::from_mins(1) {
            panic!("{:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// The workload processes below a process.
fn descendants(pid: u32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .filter(|pid: &i32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.starts_with("zct-")
        })
        .collect()
}

/// What a run with this id has left in the directory for temporary files.
fn left_over(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(std::env::temp_dir()).unwrap();
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            let own = name
                .strip_prefix("zctrace-traffic-")
                .or(name.strip_prefix("zctrace-hugepages-"));
            own.is_some_and(|rest| rest.split('.').next() == Some(&pid.to_string()))
        })
        .collect()
}

/// Loop devices whose file is of a run with this id.
fn loop_devices(pid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        let file = entry.path().join("loop/backing_file");
        let backing = fs::read_to_string(file).unwrap_or_default();
        if backing.contains(&format!("zctrace-traffic-{pid}.")) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_outlives_an_interrupted_run() {
    // SIGTERM is taken as SIGINT is.
    const ALL: &[Signal] = &[Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL];
    for (name, signals) in [
        ("copy-file-range:ext4", ALL),
        ("fbufs:pipe", &ALL[..1]),
        ("uring-read", &ALL[..1]),
        ("af-xdp", &ALL[2..]),
    ] {
        for &signal in signals {
            let mut child = started(name);
            let pid = child.id();
            let workers = descendants(pid);
            kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
            let status = child.wait().unwrap();
            assert!(!status.success(), "{name} {signal}");
            eventually(PATIENCE, "ended", || {
                workers
                    .iter()
                    .all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            });
            eventually(PATIENCE, "free loop devices", || {
                loop_devices(pid).is_empty()
            });
            if signal == Signal::SIGKILL {
                // The next run cleans up.
                assert!(
                    !left_over(pid).is_empty(),
                    "the test looks for the wrong thing"
                );
                bench(&["pipe-ipc", "--bytes", "1"]);
            } else {
                assert_eq!(status.code(), Some(130), "{name} {signal}");
            }
            assert_eq!(left_over(pid), [""; 0], "{name} {signal}");
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!mounts.contains(&format!("zctrace-traffic-{pid}.")));
        }
    }
}

#[test]
#[ignore = "needs root"]
fn reserved_huge_pages_of_a_killed_run_are_given_back() {
    const PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    let number = || -> u64 {
        let text = fs::read_to_string(PAGES).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    let before = number();
    if fs::write(PAGES, (before + 2).to_string()).is_err() || number() != before + 2 {
        println!("SKIP: reserved_huge_pages_of_a_killed_run_are_given_back: none to be had");
        return;
    }
    // As a run leaves it that was killed: no process has such a number.
    let note = std::env::temp_dir().join("zctrace-hugepages-999999999.0");
    fs::write(&note, "2").unwrap();
    run(&["traffic", "--bytes", "1", "pipe"]);
    assert!(!note.exists());
    assert_eq!(number(), before);
}
