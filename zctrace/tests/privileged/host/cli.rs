//! The command line against the running kernel: targets, ends, outputs and exit codes. The bytes are
//! few and known; whether every way of moving them is understood is for the other tests.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::symlink,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{eventually, run, terminal::Dying, until_it_waits, zctrace};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use zctrace::ledger::{Path as DataPath, Process, Snapshot, TargetKind};

/// Bytes that nothing else on the machine moves in one go.
const BYTES: usize = 54_321;

/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A `zctrace stat` that has attached everything.
struct Stat(Child);

impl Stat {
    fn start(arguments: &[&str]) -> Self {
        let (ready, tell) = std::io::pipe().unwrap();
        fcntl(&tell, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let fd = tell.as_raw_fd().to_string();
        let child = Command::new(zctrace())
            .args(["stat", "--json", "--ready-fd", &fd])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(tell);
        let mut line = String::new();
        BufReader::new(ready).read_line(&mut line).unwrap();
        if line != "ready\n" {
            let output = child.wait_with_output().unwrap();
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }

    /// The output, which must not take long.
    fn finish(self) -> Output {
        let output = self.0.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        output
    }

    fn document(self) -> Snapshot {
        let output = self.finish();
        assert_eq!(output.status.code(), Some(0));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// A `cat` that reads a pipe and writes to `/dev/null`, under a name of its own.
struct Reader(Child);

impl Reader {
    fn start(directory: &Path, name: &str) -> Self {
        let program = directory.join(name);
        if !program.exists() {
            symlink("/bin/cat", &program).unwrap();
        }
        let child = Command::new(program)
            // Where it is busybox, this tells it which of its programs to be.
            .arg0("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn feed(&mut self, bytes: usize) {
        let pipe = self.0.stdin.as_mut().unwrap();
        pipe.write_all(&vec![b'x'; bytes]).unwrap();
        until_it_waits(&self.0);
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

fn process(snapshot: &Snapshot, pid: u32) -> &Process {
    snapshot
        .processes
        .iter()
        .find(|process| process.pid == pid)
        .unwrap_or_else(|| panic!("no process {pid} in {snapshot:#?}"))
}

/// Bytes of the paths with this operation and object.
fn moved(process: &Process, op: &str, object: &str) -> u64 {
    let is = |path: &&DataPath| path.op == op && path.object == object;
    process
        .paths
        .iter()
        .filter(is)
        .map(|path| path.totals.moved)
        .sum()
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_keeps_its_output_and_its_status() {
    let output = run(&["stat", "--json", "--", "sh", "-c", "echo out; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    let snapshot: Snapshot = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(snapshot.target.kind, TargetKind::Command);
    assert_eq!(snapshot.target.value, "sh -c 'echo out; exit 7'");
    assert_eq!(snapshot.exit_status.unwrap().code, Some(7));
    let output = run(&["stat", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(output.status.code(), Some(143));
    let output = run(&["stat", "--duration", "200ms", "--", "sleep", "60"]);
    assert_eq!(output.status.code(), Some(143));
    assert!(String::from_utf8_lossy(&output.stderr).contains("(killed by signal 15)"));
}

#[test]
#[ignore = "needs root and BPF"]
fn only_what_the_command_does_is_counted() {
    // Waiting for the word to go is not to show as an operation of the command.
    let output = run(&["stat", "--json", "--", "true"]);
    let snapshot: Snapshot = serde_json::from_slice(&output.stderr).unwrap();
    for process in &snapshot.processes {
        assert_eq!(process.comm, "true");
        for path in &process.paths {
            assert_ne!(path.object, "pipe", "{path:?}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_running_process_is_counted_from_now_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut reader = Reader::start(directory.path(), "zct-reader");
    let mut other = Reader::start(directory.path(), "zct-reader");
    reader.feed(BYTES);
    let stat = Stat::start(&["-p", &reader.pid().to_string()]);
    reader.feed(BYTES);
    other.feed(BYTES);
    let pid = reader.pid();
    reader.end();
    let snapshot = stat.document();
    // The read that waits when tracing begins is left out, where the backend can tell: then the
    // first bytes of the feed may be missing, never those from before it.
    let read = moved(process(&snapshot, pid), "read", "pipe");
    assert!(read <= BYTES as u64, "{read}");
    assert_eq!(snapshot.processes.len(), 1, "{:?}", snapshot.processes);
    assert_eq!(snapshot.exit_status, None);
    other.end();
}

#[test]
#[ignore = "needs root and BPF"]
fn an_interrupt_gives_the_ledger_and_what_is_in_flight() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = Reader::start(directory.path(), "zct-reader");
        let stat = Stat::start(&["-p", &reader.pid().to_string()]);
        reader.feed(100);
        reader.feed(BYTES);
        stat.signal(signal);
        let snapshot = stat.document();
        let row = process(&snapshot, reader.pid());
        let read = moved(row, "read", "pipe");
        assert!(
            (BYTES as u64..=BYTES as u64 + 100).contains(&read),
            "{read}"
        );
        assert_eq!(row.in_flight, 1, "it waits for more");
        reader.end();
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn an_interrupt_while_attaching_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ran");
    let touch = ["--", "touch", file.to_str().unwrap()];
    let running = ["-p", "1", "--duration", "60s"];
    for (signal, arguments) in [
        (Signal::SIGINT, running.as_slice()),
        (Signal::SIGTERM, touch.as_slice()),
    ] {
        let child = Command::new(zctrace())
            .arg("stat")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        eventually(PATIENCE, "held back", || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            blocked.is_some_and(|mask| {
                u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal as i32 - 1)) != 0
            })
        });
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(128 + signal as i32));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.starts_with("error: interrupted while attaching;"),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
    }
    thread::sleep(Duration::from_millis(300));
    assert!(!file.exists(), "the command ran");
}

/// The kernel tells the leader of the session alone that the terminal is gone.
#[test]
#[ignore = "needs root and BPF"]
fn a_terminal_that_dies_ends_the_command_too() {
    for command in ["stat", "record", "check", "top"] {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let options: &[&str] = match command {
            "record" => &["-o", "rec"],
            "check" => &["--max-copies-per-byte", "1"],
            _ => &[],
        };
        // Both names are whole as soon as they exist.
        let script = "echo $$ > new; mv new pid; exec sleep 600";
        let arguments = [&[command][..], options, &["--", "sh", "-c", script]].concat();
        let mut terminal = Dying::start(&arguments, directory.path());
        terminal.until(command, || pid.exists());
        let traced = fs::read_to_string(&pid).unwrap();
        let status = terminal.hang_up(command);
        // 3 where a report cannot be written to a terminal that is gone.
        let expected = if matches!(command, "stat" | "check") {
            3
        } else {
            129
        };
        assert_eq!(status.code(), Some(expected), "{command}: {status}");
        let traced = Path::new("/proc").join(traced.trim());
        eventually(PATIENCE, command, || !traced.exists());
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn an_unwritable_report_leaves_no_command_behind() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("done");
    let script = format!("sleep 1; echo > {}", file.display());
    let output = run(&[
        "stat",
        "--interval",
        "200ms",
        "-o",
        "/dev/full",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/full"));
    assert!(file.exists(), "it ran on alone");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_low_limit_of_open_files_is_raised_for_zctrace_alone() {
    let limited = |hard: &str| {
        let script = format!("ulimit -S -n 32; {hard} exec \"$0\" stat -- sh -c 'ulimit -n'");
        Command::new("sh")
            .args(["-c", &script])
            .arg(zctrace())
            .output()
            .unwrap()
    };
    let output = limited("");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "32\n");
    let output = limited("ulimit -H -n 32;");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("open files"), "{stderr}");
    assert!(stderr.contains("ulimit -n"), "{stderr}");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_name_finds_processes_that_start_later() {
    let directory = tempfile::tempdir().unwrap();
    let mut before = Reader::start(directory.path(), "zct-by-comm");
    let stat = Stat::start(&["--comm", "zct-by-comm"]);
    let mut after = Reader::start(directory.path(), "zct-by-comm");
    let mut other = Reader::start(directory.path(), "zct-other");
    for reader in [&mut before, &mut after, &mut other] {
        reader.feed(100);
        reader.feed(BYTES);
    }
    stat.signal(Signal::SIGINT);
    let snapshot = stat.document();
    for reader in [&before, &after] {
        let read = moved(process(&snapshot, reader.pid()), "read", "pipe");
        assert!(read >= BYTES as u64, "{read}");
    }
    let comms: Vec<_> = snapshot.processes.iter().map(|p| p.comm.as_str()).collect();
    assert!(comms.iter().all(|comm| *comm == "zct-by-comm"), "{comms:?}");
    for reader in [before, after, other] {
        reader.end();
    }
}

/// A PID namespace with a procfs of its own shows zctrace nobody else's processes.
#[test]
#[ignore = "needs root and BPF"]
fn a_name_finds_processes_that_cannot_be_seen_from_here() {
    let directory = tempfile::tempdir().unwrap();
    let mut reader = Reader::start(directory.path(), "zct-unseen");
    let mut other = Reader::start(directory.path(), "zct-other");
    let mut stat = Command::new("unshare")
        .args(["--fork", "--pid", "--mount-proc"])
        .arg(zctrace())
        .args(["stat", "--json", "--comm", "zct-unseen", "--duration", "1s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while stat.try_wait().unwrap().is_none() {
        reader.feed(BYTES);
        other.feed(BYTES);
        thread::sleep(Duration::from_millis(20));
    }
    let output = stat.wait_with_output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.contains("children with other names"), "{notes}");
    let snapshot: Snapshot = serde_json::from_slice(&output.stdout).unwrap();
    let read = moved(process(&snapshot, reader.pid()), "read", "pipe");
    assert!(read >= BYTES as u64, "{read}");
    assert_eq!(snapshot.processes.len(), 1, "{:?}", snapshot.processes);
    reader.end();
    other.end();
}

#[test]
#[ignore = "needs root and BPF"]
fn several_names_find_the_processes_of_each_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut before = Reader::start(directory.path(), "zct-one");
    let stat = Stat::start(&["--comm", "zct-one,zct-two", "--comm", "zct-nobody"]);
    let mut after = Reader::start(directory.path(), "zct-two");
    let mut ended = Reader::start(directory.path(), "zct-two");
    let mut other = Reader::start(directory.path(), "zct-other");
    for reader in [&mut before, &mut after, &mut ended, &mut other] {
        reader.feed(100);
        reader.feed(BYTES);
    }
    let pids = [before.pid(), after.pid(), ended.pid()];
    ended.end();
    stat.signal(Signal::SIGINT);
    let output = stat.0.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(
        notes.contains("no process is named \"zct-nobody\" now"),
        "{notes}"
    );
    assert!(!notes.contains("\"zct-one\""), "{notes}");
    let snapshot: Snapshot = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(snapshot.target.kind, TargetKind::Comm);
    assert_eq!(snapshot.target.value, "zct-one,zct-two,zct-nobody");
    for pid in pids {
        let read = moved(process(&snapshot, pid), "read", "pipe");
        assert!(read >= BYTES as u64, "{read}");
    }
    assert_eq!(snapshot.processes.len(), 3, "{:?}", snapshot.processes);
    let sum: u64 = snapshot.processes.iter().map(|p| p.total.moved).sum();
    assert_eq!(snapshot.total.moved, sum);
    for reader in [before, after, other] {
        reader.end();
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_cgroup_includes_those_below_it() {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let Some(mount) = mountinfo
        .lines()
        .find(|line| line.contains(" - cgroup2 "))
        .and_then(|line| line.split(' ').nth(4))
    else {
        println!("SKIP: cgroup v2 is not mounted");
        return;
    };
    let name = format!("zct-test-{}", std::process::id());
    let outer = Path::new(mount).join(&name);
    let inner = outer.join("inner");
    if let Err(error) = fs::create_dir_all(&inner) {
        println!("SKIP: {}: {error}", inner.display());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut readers: Vec<_> = (0..3)
        .map(|_| Reader::start(directory.path(), "zct-in-cgroup"))
        .collect();
    for (reader, cgroup) in readers.iter().zip([&outer, &inner]) {
        fs::write(cgroup.join("cgroup.procs"), reader.pid().to_string()).unwrap();
    }
    let stat = Stat::start(&["--cgroup", &name]);
    let inner_name = format!("{name}/inner");
    let both = Stat::start(&["--cgroup", &inner_name, "--cgroup", &name]);
    for reader in &mut readers {
        reader.feed(100);
        reader.feed(BYTES);
    }
    stat.signal(Signal::SIGINT);
    both.signal(Signal::SIGINT);
    let (snapshot, both) = (stat.document(), both.document());
    let pids: Vec<_> = readers.iter().map(Reader::pid).collect();
    for reader in readers {
        reader.end();
    }
    fs::remove_dir(&inner).unwrap();
    fs::remove_dir(&outer).unwrap();
    for (pid, cgroup) in pids
        .iter()
        .zip([format!("/{name}"), format!("/{name}/inner")])
    {
        let row = process(&snapshot, *pid);
        assert_eq!(row.cgroup, cgroup);
        assert!(moved(row, "read", "pipe") >= BYTES as u64);
    }
    assert_eq!(snapshot.processes.len(), 2, "the third is outside");
    assert_eq!(both.target.value, format!("/{name}/inner,/{name}"));
    let mut chosen: Vec<_> = both.processes.iter().map(|p| p.pid).collect();
    chosen.sort_unstable();
    let mut inside = pids[..2].to_vec();
    inside.sort_unstable();
    assert_eq!(chosen, inside, "with two names as with one");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_port_finds_the_server_that_listens() {
    // The server is another process: zctrace's own child would be no test of finding it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stat = Stat::start(&["--port", &port.to_string()]);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&vec![0; BYTES]).unwrap();
    server.read_exact(&mut vec![0; BYTES]).unwrap();
    stat.signal(Signal::SIGINT);
    let snapshot = stat.document();
    let row = process(&snapshot, std::process::id());
    assert_eq!(
        moved(row, "recv", "tcp") + moved(row, "read", "tcp"),
        BYTES as u64
    );
    assert_eq!(row.sent, BYTES as u64);
    assert_eq!(row.received, BYTES as u64);
}

#[test]
#[ignore = "needs root and BPF"]
fn intervals_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut reader = Reader::start(directory.path(), "zct-reader");
    let file = directory.path().join("intervals.json");
    let pid = reader.pid();
    let stat = Stat::start(&[
        "--interval",
        "50ms",
        "--output",
        &file.display().to_string(),
        "-p",
        &pid.to_string(),
    ]);
    reader.feed(100);
    // A busy machine has fewer intervals than a quiet one.
    let mut rounds = 0;
    eventually(PATIENCE, "four intervals", || {
        reader.feed(BYTES);
        rounds += 1;
        let lines = fs::read_to_string(&file).map_or(0, |text| text.lines().count());
        rounds >= 10 && lines >= 4
    });
    stat.signal(Signal::SIGINT);
    assert_eq!(stat.finish().stdout, b"");
    let written = fs::read(&file).unwrap();
    let documents: Vec<Snapshot> = written
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let numbers: Vec<_> = documents
        .iter()
        .filter_map(|document| document.seq)
        .collect();
    assert_eq!(numbers, (0..documents.len() as u64).collect::<Vec<_>>());
    let read: u64 = documents
        .iter()
        .flat_map(|document| &document.processes)
        .filter(|process| process.pid == pid)
        .map(|process| moved(process, "read", "pipe"))
        .sum();
    let expected = rounds * BYTES as u64;
    assert!((expected..=expected + 100).contains(&read), "{read}");
    reader.end();
}

#[test]
#[ignore = "needs root and BPF"]
fn a_file_is_complete_or_an_error_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.json");
    let name = file.to_str().unwrap();
    let output = run(&["stat", "--json", "-o", name, "--", "true"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let text = fs::read(&file).unwrap();
    serde_json::from_slice::<Snapshot>(&text).unwrap();
    let output = run(&["stat", "-o", "/dev/full", "--", "true"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/full"));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_leaves_ends_the_intervals() {
    let mut child = Command::new(zctrace())
        .args(["stat", "--interval", "20ms", "-p"])
        .arg(std::process::id().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_killed_tracer_takes_its_waiting_command_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ran");
    let mut child = Command::new(zctrace())
        .args(["stat", "--", "touch"])
        .arg(&file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let start = Instant::now();
    let started = || fs::read_to_string(&children).is_ok_and(|children| !children.is_empty());
    while !started() && start.elapsed() < Duration::from_secs(10) {
        thread::yield_now();
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    thread::sleep(Duration::from_millis(300));
    assert!(!file.exists(), "the command ran without a tracer");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_probe_that_does_not_exist_is_a_usage_error() {
    let output = run(&[
        "stat",
        "--without-probe",
        "no_such_probe",
        "--duration",
        "10ms",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no_such_probe"));
}

/// More than there are rows for at a time: the slots of those that ended are taken back in the meantime.
#[test]
#[ignore = "needs root and BPF"]
fn thousands_of_short_processes_fit() {
    const COUNT: usize = 5000;
    let script = format!(
        "i=0; while [ $i -lt {COUNT} ]; do dd if=/dev/zero of=/dev/null bs=7 count=1 2>/dev/null; i=$((i+1)); done"
    );
    let output = run(&["stat", "--json", "--", "sh", "-c", &script]);
    let snapshot: Snapshot = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(snapshot.loss.lost(), 0);
    let dds = snapshot.processes.iter().filter(|p| p.comm == "dd");
    assert_eq!(dds.count(), COUNT);
}

/// The report stays as it is; what was decided, and what the BPF programs say, is on standard error.
#[test]
#[ignore = "needs root"]
fn verbose_shows_what_was_decided_and_what_the_programs_report() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report");
    let file = file.to_str().unwrap();
    let stat = |option: &[&str]| {
        let options = ["stat", "--json", "-o", file];
        let command = ["--", "sh", "-c", "cat /etc/passwd > /dev/null; exit 0"];
        let output = run(&[&options, option, &command].concat());
        serde_json::from_slice::<Snapshot>(&fs::read(file).unwrap()).unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(stat(&[]), "");
    let words = stat(&["-v"]);
    let has = |start: &str, end: &str| {
        words
            .lines()
            .any(|line| line.starts_with(start) && line.contains(end))
    };
    assert!(has("debug: probe task_fork: attached", ""), "{words}");
    assert!(has("debug: bpf: thread ", " is traced"), "{words}");
    assert!(has("debug: bpf: thread ", " has ended"), "{words}");
}
