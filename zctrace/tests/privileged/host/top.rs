//! The dashboard in a real pseudo-terminal, on the running kernel.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::common::terminal::Top;

/// A process that moves bytes until it is dropped, by reads that copy each byte once.
struct Load(std::process::Child);

impl Load {
    fn start(name: &str, directory: &Path) -> Self {
        // A program of its own name, so that no other test takes it for its own.
        let program = directory.join(name);
        fs::copy("/bin/sh", &program).expect("a copy of the shell");
        let script =
            "while :; do read -r line < /proc/self/stat; echo x > /dev/null; sleep 0.01; done";
        let child = Command::new(program)
            .args(["-c", script])
            .stdin(Stdio::null())
            .spawn();
        Self(child.expect("it starts"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who copies, by name: a program of a known name whose reads copy what nobody else copies.
#[test]
#[ignore = "needs root and BPF"]
fn the_stacks_name_who_copies() {
    let directory = tempfile::tempdir().expect("a directory");
    let big = directory.path().join("big");
    fs::write(&big, vec![b'x'; 8 << 20]).expect("a file");
    let python = "import sys,os\nf=os.open(sys.argv[1],os.O_RDONLY)\n\
                  while True:\n os.lseek(f,0,0)\n while os.read(f,1<<20): pass";
    let mut load = Command::new("python3")
        .args(["-c", python])
        .arg(&big)
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    let pid = load.id().to_string();
    let mut top = Top::start(&["-p", &pid, "--refresh", "100ms"], directory.path());
    top.shows("nothing lost");
    top.press("6");
    // The function of the C library that reads, and what the bytes are.
    top.until("a stack", |text| {
        text.contains("python3") && text.contains("copied_to_user") && text.contains("100%")
    });
    top.press("z");
    top.until("a user's function", |text| text.contains("read"));
    top.press("f");
    top.shows("▏python3");
    top.press("q");
    assert_eq!(top.ends(), 0);
    load.kill().expect("it runs");
    load.wait().expect("a child");
}

/// A technique from the list, with parameters: expected beside measured.
#[test]
#[ignore = "needs root and BPF"]
fn a_technique_is_measured_as_expected() {
    let directory = tempfile::tempdir().expect("a directory");
    let load = Load::start("zct-top-work", directory.path());
    let mut top = Top::start(&["-p", &load.pid(), "--refresh", "100ms"], directory.path());
    top.shows("nothing lost");
    top.press("7");
    top.shows("TECHNIQUE");
    top.press("/name = sendfile\r");
    top.press("p\u{15}bytes 4M buffer 64K\r");
    top.shows("next run: bytes 4M buffer 64K");
    top.press("w");
    top.shows("as expected");
    let text = top.text();
    let says = "copies per carried byte: 0.00 expected, 0.00 measured";
    assert!(text.contains(says), "{text}");
    top.press("q");
    assert_eq!(top.ends(), 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recording_is_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("run.zct");
    let file = file.to_str().expect("UTF-8");
    let load = Load::start("zct-top-rep", directory.path());
    let arguments = [
        "record",
        "--interval",
        "100ms",
        "--duration",
        "2s",
        "--no-follow",
        "-o",
        file,
        "-p",
    ];
    let pid = load.pid();
    let recorded = crate::common::run(&[&arguments[..], &[&pid]].concat());
    assert!(recorded.status.success(), "{recorded:?}");
    let whole = crate::common::run(&["report", "--json", file]);
    let whole: serde_json::Value = serde_json::from_slice(&whole.stdout).expect("JSON");
    let moved = whole["stat"]["total"]["moved"]
        .as_u64()
        .or_else(|| whole["total"]["moved"].as_u64())
        .unwrap_or_else(|| panic!("no total: {whole}"));
    let mut top = Top::start(&["--replay", file], directory.path());
    top.shows("zct-top-rep");
    top.press(" ");
    top.shows("interval ");
    top.press(":100%\r");
    // Each key is answered before the next: where it is shows when it is there.
    let is_at = |text: &str, before_the_end: usize| {
        let line = text.lines().find(|line| line.contains("interval "));
        let words: Vec<_> = line.unwrap_or_default().split([' ', ',']).collect();
        let place = words.iter().position(|word| *word == "interval");
        place.is_some_and(|place| {
            let number = |place: usize| words[place].parse::<usize>().expect("a number");
            number(place + 1) + before_the_end == number(place + 3)
        })
    };
    top.until("the last interval", |text| is_at(text, 0));
    top.press("[");
    top.until("the one before", |text| is_at(text, 1));
    top.press("]");
    top.until("the last one again", |text| is_at(text, 0));
    // The numbers at the end are those of the whole recording.
    let json = top.exported();
    assert_eq!(json["total"]["moved"], moved);
    top.press("2");
    top.shows("OPERATION");
    // Every operation has its size.
    let json = top.exported();
    let rows = json["rows"].as_array().expect("rows");
    let read = rows.iter().find(|row| row["op"] == "read");
    let read = read.unwrap_or_else(|| panic!("no read: {json}"));
    let sizes = read["sizes"].as_object().expect("sizes").values();
    let sized: Option<u64> = sizes.map(serde_json::Value::as_u64).sum();
    assert_eq!(sized, read["ops"].as_u64(), "{read}");
    for key in ["3", "4", "5", "6", "7", "8", "1"] {
        top.press(key);
    }
    top.shows("BUSIEST PATH");
    top.press("q");
    assert_eq!(top.ends(), 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn signals_give_the_terminal_back() {
    use nix::sys::signal::{Signal, kill};
    let directory = tempfile::tempdir().expect("a directory");
    let load = Load::start("zct-top-sig", directory.path());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let top = Top::start(
            &["-p", &load.pid(), "--no-follow", "--refresh", "100ms"],
            directory.path(),
        );
        top.shows("zct-top-sig");
        kill(nix::unistd::Pid::from_raw(top.pid()), signal).expect("it runs");
        assert_eq!(top.ends(), 128 + signal as u32, "{signal}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_dashboard_that_attaches_can_be_quit() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ran");
    let touch = file.to_str().expect("UTF-8");
    let mut top = Top::start(&["--", "touch", touch], directory.path());
    top.until("a frame", |text| !text.trim().is_empty());
    top.press("q");
    assert_eq!(top.ends(), 0);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!file.exists(), "the command ran");
}

#[test]
#[ignore = "needs root and BPF"]
fn an_error_gives_the_terminal_back_and_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let top = Top::start(&["-p", "2147483647"], directory.path());
    assert_eq!(top.ends(), 3);
    // It fails while the dashboard is up.
    let top = Top::start(&["--", "/no/such/program"], directory.path());
    assert_eq!(top.ends(), 127);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_panic_gives_the_terminal_back_and_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let top = Top::start(&["--synthetic", "3", "9", "--panic"], directory.path());
    // Its message is to be read, on the screen that was there before.
    top.shows("as it was asked to");
    assert_eq!(top.ends(), 101);
}

/// The same commands, once under `stat` and once on the screen: equal to the byte.
#[test]
#[ignore = "needs root and BPF"]
fn the_numbers_are_those_of_stat() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("data");
    fs::write(&file, vec![1; 3 << 20]).expect("a file");
    let file = file.to_str().expect("UTF-8");
    // Both watch the same process, which starts when both are ready.
    let go = directory.path().join("go");
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exec dd if={file} of=/dev/null bs=64k status=none",
        go.display()
    );
    let mut load = Command::new("/bin/sh")
        .args(["-c", &script])
        .spawn()
        .expect("it starts");
    let pid = load.id().to_string();
    let mut stat = Command::new(crate::common::zctrace())
        .args([
            "stat",
            "--ready-fd",
            "2",
            "--json",
            "--no-follow",
            "-p",
            &pid,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut top = Top::start(
        &["-p", &pid, "--no-follow", "--refresh", "100ms"],
        directory.path(),
    );
    top.shows("nothing lost");
    let mut ready = [0; 6];
    let stderr = stat.stderr.as_mut().expect("a pipe");
    stderr.read_exact(&mut ready).expect("it gets ready");
    assert_eq!(&ready, b"ready\n");
    fs::write(&go, "").expect("a file");
    load.wait().expect("a child");
    top.shows("ENDED");
    let stat = stat.wait_with_output().expect("a child");
    let stat: zctrace::ledger::Snapshot =
        serde_json::from_slice(&stat.stdout).expect("a stat document");
    let dd = stat.processes[0]
        .paths
        .iter()
        .find(|path| path.op == "read" && path.totals.moved >= 3 << 20);
    let dd = dd.unwrap_or_else(|| panic!("stat saw no read of the file: {stat:?}"));
    top.press("2");
    top.shows("OPERATION");
    let json = top.exported();
    let rows = json["rows"].as_array().expect("rows");
    let row = rows
        .iter()
        .find(|row| row["op"] == "read" && row["object"] == dd.object.as_str());
    let row = row.unwrap_or_else(|| panic!("the screen has no such row: {json}"));
    assert_eq!(row["moved"], dd.totals.moved);
    assert_eq!(row["ops"], dd.totals.ops);
    for (name, bytes) in dd.totals.classes() {
        assert_eq!(row[name], bytes, "{name}");
    }
    // 3 MiB in calls of 64 KiB.
    assert_eq!(row["sizes"]["65536"], 48, "{row}");
    top.press("q");
    assert_eq!(top.ends(), 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn without_a_terminal_it_prints_tables() {
    let output = crate::common::run(&["top", "--refresh", "50ms", "--", "cat", "/etc/passwd"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("COPIES/B"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
#[ignore = "needs root and BPF"]
fn one_frame_is_printed_and_nothing_else() {
    let output = crate::common::run(&["top", "--once", "--refresh", "200ms"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.lines().count(), 24, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(text.contains("1 Overview"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");

    let nobody = ["top", "--once", "--refresh", "200ms", "--comm", "zct-none"];
    let output = crate::common::run(&nobody);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("no process is named \"zct-none\" now"),
        "{text}"
    );

    let output = crate::common::run(&["top", "--once", "--", "cat", "/etc/passwd"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("cat"), "{text}");
    let passwd = fs::read("/etc/passwd").expect("a file of the system");
    assert_eq!(output.stdout, passwd);
}
