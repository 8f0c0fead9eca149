//! What happens to a machine while zctrace is attached: processors come and go, others trace the same functions, modules
//! are loaded and refuse to leave. Each time the ledger equals the truth, or says what it cannot see.
//!
//! A clock that jumps is in [`super::clock`].

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::fd::AsRawFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use zctrace::ledger::Snapshot;

use crate::common::{
    assert_conservation, differences, is_emulated, ran,
    serve::{run, worker, written},
    shared, strictness, trace_whole, zctrace,
};

/// What moves bytes by system calls, by reference, in softirqs and in workers.
const FAMILIES: &[&str] = &[
    "file-tmpfs",
    "pipe",
    "tcp",
    "sendfile-tcp",
    "zc-tcp",
    "splice-tmpfs-pipe",
];

/// The ledger equals the truth.
fn assert_exact(when: &str) {
    let (snapshot, report) = trace_whole(&[], FAMILIES);
    assert_conservation(&snapshot);
    let strictness = strictness(&snapshot);
    for outcome in &report.traffic {
        assert!(ran(outcome), "{when}: {}", outcome.name);
        let lines = differences(outcome, &snapshot.processes, strictness);
        assert!(lines.is_empty(), "{when}: {}", lines.join("\n"));
    }
    println!("exact: {when}");
}

fn set(path: &str, value: &str) {
    fs::write(path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_processor_that_goes_and_comes_back_changes_no_number() {
    const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";
    if !is_emulated() {
        println!(
            "SKIP: a_processor_that_goes_and_comes_back_changes_no_number: it would stop a processor of this machine"
        );
        return;
    }
    assert!(Path::new(ONLINE).exists(), "one processor");
    // Everything is attached while there is one, and counts in the memory of all that are possible.
    shared::end();
    set(ONLINE, "0");
    assert_exact("with one processor");
    set(ONLINE, "1");
    assert_exact("with one that came later");
    set(ONLINE, "0");
    assert_exact("without it again");
    set(ONLINE, "1");
    assert_exact("with all of them at last");
}

/// A second `zctrace stat`, while the shared session stays.
struct Second(Child);

impl Second {
    fn start(comm: &str, file: &Path) -> Self {
        let (ready, tell) = std::io::pipe().expect("a pipe");
        fcntl(&tell, FcntlArg::F_SETFD(FdFlag::empty())).expect("its flags");
        let child = Command::new(zctrace())
            .args(["stat", "--json", "--no-faults", "--comm", comm])
            .args(["--ready-fd", &tell.as_raw_fd().to_string(), "-o"])
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        drop(tell);
        let mut line = String::new();
        let read = BufReader::new(ready).read_line(&mut line);
        read.expect("a pipe that can be read");
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn interrupt(mut self) {
        let pid = self.0.id().to_string();
        let interrupt = Command::new("kill").args(["-INT", &pid]).status();
        assert!(interrupt.expect("kill starts").success());
        assert!(self.0.wait().expect("an end").success());
    }
}

/// Two who trace the same functions have the same numbers, before and after the other has gone, and also while the kernel
/// measures what BPF programs cost.
#[test]
#[ignore = "needs root and BPF"]
fn others_who_trace_the_same_change_no_number() {
    const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";
    // By `dd` in `run`.
    const EACH: u64 = 200 << 16;
    let directory = tempfile::tempdir().expect("a directory");
    let worker = worker(directory.path(), "zct-second");
    let file = directory.path().join("second.json");
    assert_exact("alone");
    let before = fs::read_to_string(STATISTICS).expect("a switch");
    let second = Second::start("zct-second", &file);
    run(&worker);
    assert_exact("beside a second one");
    set(STATISTICS, "1");
    run(&worker);
    assert_exact("with BPF statistics");
    set(STATISTICS, before.trim());
    second.interrupt();
    assert_exact("alone again");
    let text = fs::read_to_string(file).expect("a file");
    let snapshot: Snapshot = serde_json::from_str(&text).expect("a document");
    assert_eq!(snapshot.loss, Default::default());
    assert_eq!(written(&snapshot), 2 * EACH);
}

fn module(program: &str, name: &str) -> bool {
    let status = Command::new(program).arg(name).status();
    status.expect("it starts").success()
}

/// Unloads a module, once the kernel has freed the programs that hold it: it does so after their end.
fn unload(name: &str) -> bool {
    let begin = Instant::now();
    while !module("rmmod", name) {
        if begin.elapsed() > Duration::from_secs(20) {
            return false;
        }
        sleep(Duration::from_millis(500));
    }
    true
}

/// What is attached keeps its module; what is loaded later is not seen, and that is said.
#[test]
#[ignore = "needs root and BPF"]
fn modules_that_come_later_make_nothing_wrong() {
    if !is_emulated() {
        println!(
            "SKIP: modules_that_come_later_make_nothing_wrong: it would unload modules of this machine"
        );
        return;
    }
    if shared::session().backend() != "functions" {
        println!(
            "SKIP: modules_that_come_later_make_nothing_wrong: functions of modules are not traced here"
        );
        return;
    }
    assert!(
        !module("rmmod", "tls"),
        "a module whose functions are traced"
    );
    shared::end();
    assert!(unload("btrfs"), "btrfs is in use");
    let mut modules = vec![("btrfs", "file-btrfs")];
    let tls_comes_later = unload("tls");
    if tls_comes_later {
        modules.push(("tls", "ktls"));
    } else {
        println!("SKIP: tls that comes later: connections of earlier tests still close");
    }
    drop(shared::session());
    for (name, _) in &modules {
        assert!(module("modprobe", name), "{name}");
    }
    assert_exact("beside modules that came later");
    let traffic: Vec<_> = modules.iter().map(|(_, traffic)| *traffic).collect();
    let (snapshot, report) = trace_whole(&[], &traffic);
    assert_conservation(&snapshot);
    let late = "the module tls was loaded after tracing began";
    let coverage = serde_json::to_string(&snapshot.coverage).expect("JSON");
    assert_eq!(coverage.contains(late), tls_comes_later, "{coverage}");
    let strictness = strictness(&snapshot);
    for outcome in &report.traffic {
        assert!(ran(outcome), "{}", outcome.name);
        let lines = differences(outcome, &snapshot.processes, strictness);
        // Bytes that nobody saw are unexplained, and nothing else.
        let is_unseen = |line: &String| {
            line.contains(": unexplained is ")
                || (line.contains(": copied_") && line.contains(" is 0, expected "))
        };
        assert!(lines.iter().all(is_unseen), "{lines:#?}");
        println!("{}: {} numbers not seen", outcome.name, lines.len());
    }
    // The next test wants them all.
    shared::end();
}
