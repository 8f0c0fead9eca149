//! The dashboard on a running server, as a person uses it.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    assert_conservation,
    attached::Attached,
    is_emulated,
    nginx::{BODY, Nginx},
    terminal::Top,
    zctrace,
};
use zctrace::ledger::{Process, Snapshot};

/// Responses whose bytes are compared with each other.
const TIMES: u64 = 4;

/// Set when it is dropped, by a panic too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every view shows the server that answers requests in the meantime.
fn walk(top: &mut Top) {
    let text = top.until("a backend", |text| {
        text.contains("· functions") || text.contains("· tracepoints")
    });
    let functions = text.contains("· functions");
    for (key, wanted) in [
        ("1", &["nginx", "BUSIEST PATH", "nothing lost"][..]),
        ("2", &["OPERATION", "sendfile", "tcp", "read", "write"]),
        (
            "3",
            &[if functions {
                "Page faults"
            } else {
                "not seen here"
            }],
        ),
        ("4", &["No io_uring or AIO request was submitted"]),
        ("5", &["VERDICT", "sendfile"]),
        ("6", &["a stack every", "nginx", "copied_to_user"]),
        ("7", &["TECHNIQUE", "sendfile"]),
        ("8", &["PROBE", "attached"]),
    ] {
        top.press(key);
        top.until(&format!("{key}: {wanted:?}"), |text| {
            wanted.iter().all(|wanted| text.contains(wanted))
        });
    }
    top.press("8/kind = fexit\r");
    top.until("how probes are attached", |text| {
        functions != text.contains("No row passes the filter")
    });
    top.press("6z");
    top.until(
        "functions of the kernel, where copies are seen as they are made",
        |text| text.contains("nginx") && functions == text.contains("_[k]"),
    );
    let start = Instant::now();
    let (read, written) = loop {
        let (read, written) = sampled(&top.exported());
        if read + written > 2 * BODY || start.elapsed() > Duration::from_secs(60) {
            break (read, written);
        }
        thread::sleep(Duration::from_millis(300));
    };
    let third = (read + written) / 3;
    assert!(read > third && written > third, "{read} {written}");
    top.press("1/comm = nobody\r");
    top.shows("No row passes the filter");
    top.press("/\u{15}comm ~ NGINX and moved > 0\r");
    top.until("the filter keeps the row", |text| {
        !text.contains("No row") && text.contains("nginx")
    });
    top.press(" ");
    top.shows("FROZEN");
    thread::sleep(Duration::from_millis(300));
    let frozen = top.text();
    thread::sleep(Duration::from_millis(600));
    assert_eq!(top.text(), frozen, "a frozen screen changed");
    top.press(" ");
    top.until("it goes on", |text| !text.contains("FROZEN"));
    top.press("\r");
    top.until("the data paths of the worker", |text| {
        text.contains("nginx [") && text.contains("OPERATION")
    });
    top.press("\u{1b}");
    // What is typed within a moment after escape is another key.
    top.until("the overview again", |text| {
        text.contains("BUSIEST PATH") && !text.contains("OPERATION")
    });
    // A slip of the finger ends nothing.
    top.press("tpid 2147483647\r");
    top.until("there is none", |text| {
        text.contains("no process 2147483647") && text.contains("nginx")
    });
    top.resize(16, 60);
    top.until("it fits the small terminal", |text| {
        text.contains("8 Prob") && text.lines().count() <= 16
    });
    top.resize(50, 200);
    top.shows("8 Probes");
}

/// What the stacks say was copied by reads and by writes. Without sendfile the server copies as many
/// bytes when it writes as when it reads, and does so in turn, by sizes that divide the distance of two
/// samples.
fn sampled(stacks: &serde_json::Value) -> (u64, u64) {
    let rows = stacks["rows"].as_array().expect("rows");
    let of = |class: &str| -> u64 {
        let of_class = rows.iter().filter(|row| {
            let name = row["function"].as_str().expect("a name");
            row["kind"] == "class" && name.trim() == class
        });
        of_class
            .map(|row| row["bytes"].as_u64().expect("bytes"))
            .sum()
    };
    (of("copied_to_user"), of("copied_from_user"))
}

/// The row of the screen is that of the document, in every number.
fn assert_same_rows(json: &serde_json::Value, process: &Process) {
    let rows = json["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), process.paths.len(), "{json:#} {process:#?}");
    for path in &process.paths {
        let mark = if path.evidence == "inferred" { "~" } else { "" };
        let same = |row: &&serde_json::Value| {
            row["op"] == path.op.as_str()
                && row["object"] == path.object.as_str()
                && row["evidence"] == mark
        };
        let row = rows.iter().find(same);
        let row = row.unwrap_or_else(|| panic!("not on the screen: {path:?}\n{json:#}"));
        let totals = &path.totals;
        assert_eq!(row["moved"], totals.moved, "{row}");
        assert_eq!(row["ops"], totals.ops, "{row}");
        assert_eq!(row["errors"], totals.errors, "{row}");
        assert_eq!(row["copied"], totals.copies(), "{row}");
        for (name, bytes) in totals.classes().into_iter().chain(totals.extras()) {
            assert_eq!(row[name], bytes, "{name}: {row}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_person_watches_a_server_and_the_numbers_are_those_of_stat() {
    if is_emulated() {
        println!(
            "SKIP: a_person_watches_a_server_and_the_numbers_are_those_of_stat: it takes six minutes or more on an emulated machine"
        );
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let Some(server) = Nginx::start(directory.path(), "sendfile on;") else {
        return;
    };
    let port = server.port.to_string();
    let arguments = [
        "--port",
        &port,
        "--refresh",
        "200ms",
        "--stack-every",
        "64K",
    ];
    let mut top = Top::start(&arguments, directory.path());
    top.shows("nothing lost");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                server.fetch(1);
                server.fetch_from("/copied", 1);
            }
        });
        walk(&mut top);
    });
    // The server is idle when another observation begins and the dashboard counts from zero.
    let stat = Attached::start(&["stat", "--json", "--port", &port]);
    top.press("r");
    top.until("nothing was counted", |text| {
        text.contains("No I/O of the target has completed yet")
    });
    server.fetch(TIMES);
    server.fetch_from("/copied", 1);
    // The worker reads the end of the connection.
    thread::sleep(Duration::from_millis(500));
    let output = stat.interrupt();
    let stat: Snapshot = serde_json::from_slice(&output.stdout).expect("a stat document");
    assert_conservation(&stat);
    assert_eq!(stat.processes.len(), 1, "{stat:#?}");
    let worker = &stat.processes[0];
    top.press("1");
    top.shows("nginx");
    let overview = top.exported();
    assert_eq!(overview["total"]["moved"], stat.total.moved);
    assert_eq!(overview["rows"][0]["sent"], worker.sent);
    top.press("\r");
    top.shows("OPERATION");
    let paths = top.exported();
    assert_same_rows(&paths, worker);
    // Both could be wrong.
    let rows = paths["rows"].as_array().expect("rows");
    let row = |op: &str| {
        let row = rows.iter().find(|row| row["op"] == op);
        row.unwrap_or_else(|| panic!("no {op}: {paths:#}"))
    };
    let (sendfile, read) = (row("sendfile"), row("read"));
    assert_eq!(sendfile["moved"], TIMES * BODY);
    assert_eq!(sendfile["spliced"], TIMES * BODY);
    assert_eq!(sendfile["copied"], 0);
    assert_eq!(read["moved"], BODY);
    assert_eq!(read["copied_to_user"], BODY);
    top.press("q");
    assert_eq!(top.ends(), 0);
}

/// Processes that go on until this is dropped.
struct Load(Child);

impl Load {
    /// Runs families of traffic again and again, once it is told to.
    fn new(families: &str) -> Self {
        let script = format!(
            "read -r _; while \"$0\" traffic --bytes 1048576 {families}; do sleep 0.2; done"
        );
        let shell = Command::new("bash")
            .args(["-c", &script])
            .arg(zctrace())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Self(shell.expect("a shell"))
    }

    fn begin(&mut self) {
        drop(self.0.stdin.take().map(|mut stdin| stdin.write_all(b"\n")));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Faults, which stand out after a fork, and Linux AIO. Tracepoints count both, and see no copy on write.
#[test]
#[ignore = "needs root and BPF"]
fn forks_and_requests_show_while_they_happen() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut load = Load::new("fault-fork-parent fault-cow-file aio-tmpfs");
    let pid = load.0.id().to_string();
    let mut top = Top::start(&["-p", &pid, "--refresh", "200ms"], directory.path());
    let text = top.until("a backend", |text| {
        text.contains("· functions") || text.contains("· tracepoints")
    });
    let functions = text.contains("· functions");
    load.begin();
    top.press("3");
    if functions {
        copies_stand_out(&mut top);
    } else {
        writes_are_counted(&mut top);
    }
    top.press("4");
    top.until("requests", |text| {
        text.contains("aio.read") && text.contains("aio.write")
    });
    let json = top.exported();
    let rows = json["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["op"] == "aio.read");
    let row = row.unwrap_or_else(|| panic!("no aio.read: {json:#}"));
    assert_ne!(row["moved"], 0, "{row}");
    assert_eq!(row["submitted"], row["inline"], "{row}");
    top.press("q");
    assert_eq!(top.ends(), 0);
}

/// What may be copies on write is a number of faults, and no byte.
fn writes_are_counted(top: &mut Top) {
    top.until("writes that may have copied a page", |text| {
        text.contains("fault.write") && text.contains("Copies on write are not seen here")
    });
    let json = top.exported();
    let rows = json["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["op"] == "fault.write");
    let row = row.unwrap_or_else(|| panic!("no fault.write: {json:#}"));
    assert_ne!(row["ops"], 0, "{row}");
    assert_eq!(
        (&row["cow"], &row["mapped"]),
        (&0.into(), &0.into()),
        "{row}"
    );
}

fn copies_stand_out(top: &mut Top) {
    // Its own series beside ordinary copies on write. What was loaded is copied on write too.
    top.until("copies after a fork", |text| {
        let has_row = |object| {
            text.lines()
                .any(|line| line.contains("fault.cow") && line.contains(object))
        };
        has_share(text, "copied after fork")
            && has_share(text, "copied on write")
            && has_row("file:tmpfs")
            && has_row("anon")
    });
    let json = top.exported();
    let rows = json["rows"].as_array().expect("rows");
    for (op, object) in [("fault.cow", "anon"), ("fault.cow", "file:tmpfs")] {
        let row = rows
            .iter()
            .find(|row| row["op"] == op && row["object"] == object);
        let row = row.unwrap_or_else(|| panic!("no {op} of {object}: {json:#}"));
        assert_ne!(row["cow"], 0, "{row}");
    }
}

/// Whether a chart has something of a series.
fn has_share(text: &str, series: &str) -> bool {
    let line = text.lines().find(|line| line.contains(series));
    line.is_some_and(|line| {
        let share = line.split(series).nth(1).unwrap_or_default();
        share
            .split_whitespace()
            .next()
            .is_some_and(|share| share != "0%")
    })
}
