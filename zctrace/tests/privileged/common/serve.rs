//! `zctrace serve` under test, and what is asked of it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use zctrace::ledger::Snapshot;

use super::zctrace;

/// A program that is ended with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `zctrace serve` for a command name, and its address.
pub(crate) fn serve(comm: &str, options: &[&str]) -> (Running, String) {
    let (running, url) = started(comm, options);
    let address = url
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix("/metrics"))
        .unwrap_or_else(|| panic!("{url}"))
        .to_owned();
    eventually("ready", || get(&address, "/readyz").0 == 200);
    (running, address)
}

/// The same, with the URL of its metrics; it may not have read anything yet.
pub(crate) fn started(comm: &str, options: &[&str]) -> (Running, String) {
    super::shared::end();
    let mut child = Command::new(zctrace())
        .args(["serve", "--listen", "127.0.0.1:0", "--interval", "200ms"])
        .args(["--no-faults", "--comm", comm])
        .args(options)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    stderr.read_line(&mut line).expect("a line");
    // What is said later is read by nobody, and must not fill the pipe.
    thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let url = line.trim().strip_prefix("serving ");
    let url = url.unwrap_or_else(|| panic!("{line}")).to_owned();
    (Running(child), url)
}

pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return (0, String::new());
    };
    // It may be accepted by nobody.
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience).expect("a time");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes());
    if asked.is_err() || stream.read_to_string(&mut answer).is_err() {
        return (0, String::new());
    }
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body.to_owned())
}

/// Waits for what must come, and says what did not.
pub(crate) fn eventually(what: &str, test: impl FnMut() -> bool) {
    super::eventually(Duration::from_secs(180), what, test);
}

/// The sum of the samples of a metric whose labels contain all of `labels`.
pub(crate) fn sum(text: &str, metric: &str, labels: &[&str]) -> u64 {
    text.lines()
        .filter(|line| line.starts_with(&format!("{metric}{{")))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// A copy of `dd` with a name of its own, so that tests on one machine do not see each other.
pub(crate) fn worker(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    fs::copy("/bin/dd", &path).expect("dd");
    path.display().to_string()
}

/// What the worker does.
pub(crate) const COPY: &[&str] = &[
    "if=/dev/zero",
    "of=/dev/shm/zctrace-serve",
    "bs=64k",
    "count=200",
];

pub(crate) fn run(worker: &str) {
    let status = Command::new(worker)
        .args(COPY)
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("dd starts").success());
}

/// Bytes that were written to tmpfs: what the workers do, and nothing else of theirs.
pub(crate) fn written(snapshot: &Snapshot) -> u64 {
    let paths = snapshot.processes.iter().flat_map(|process| &process.paths);
    paths
        .filter(|path| path.op == "write" && path.object == "file:tmpfs")
        .map(|path| path.totals.moved)
        .sum()
}

pub(crate) const WRITTEN: [&str; 2] = ["op=\"write\"", "object=\"file:tmpfs\""];

/// Bytes by operation, object, evidence and class: labels and their values in a snapshot.
pub(crate) type Bytes = BTreeMap<[String; 4], u64>;

/// The classes of the metric of moved bytes, then those of the other.
const CLASSES: [&str; 14] = [
    "copied_to_user",
    "copied_from_user",
    "copied_in_kernel",
    "spliced",
    "direct",
    "cloned",
    "mapped",
    "synthetic",
    "unexplained",
    "deferred",
    "recopied",
    "wasted",
    "cow",
    "encrypted",
];

/// What all processes of a snapshot moved, and copied beside that.
pub(crate) fn bytes_of(snapshot: &Snapshot) -> Bytes {
    let mut sums = Bytes::new();
    for path in snapshot.processes.iter().flat_map(|process| &process.paths) {
        let totals = serde_json::to_value(path.totals).expect("numbers");
        for class in CLASSES {
            let bytes = totals[class].as_u64().expect("a number");
            if bytes != 0 {
                let (op, object) = (path.op.to_string(), path.object.to_string());
                let labels = [op, object, path.evidence.to_string(), class.to_owned()];
                *sums.entry(labels).or_default() += bytes;
            }
        }
    }
    sums
}

/// The same of `/metrics`.
pub(crate) fn bytes_served(address: &str) -> Bytes {
    let (_, text) = get(address, "/metrics");
    let names = ["zctrace_moved_bytes_total{", "zctrace_further_bytes_total{"];
    let mut sums = Bytes::new();
    let lines = text.lines();
    for line in lines.filter(|line| names.iter().any(|name| line.starts_with(name))) {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\"")).expect("a label");
            rest.split('"').next().expect("its value").to_owned()
        };
        let value: u64 = line.rsplit(' ').next().unwrap().parse().expect("a number");
        let labels = ["op", "object", "evidence", "class"].map(label);
        *sums.entry(labels).or_default() += value;
    }
    sums
}

/// Waits until it serves just that.
pub(crate) fn await_served(address: &str, expected: &Bytes) {
    let begin = Instant::now();
    loop {
        let served = bytes_served(address);
        if served == *expected {
            return;
        }
        if begin.elapsed() > Duration::from_secs(30) {
            assert_eq!(served, *expected);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// zctrace by another name, so that its traffic is one's own.
pub(crate) fn generator(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    std::os::unix::fs::symlink(zctrace(), &path).expect("a link");
    path
}
