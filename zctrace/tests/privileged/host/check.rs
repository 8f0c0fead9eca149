//! `zctrace check` against the running kernel, as a user runs it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use crate::common::{attached::Attached, eventually, until_it_waits, zctrace};
use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket},
    },
    unistd::Pid,
};
use zctrace::claims::{Document, SCOPE, Verdict};

const MIB: usize = 1 << 20;

/// `zctrace check --json OPTIONS -- COMMAND`.
fn check(options: &[&str], command: &[&str]) -> (Output, Document) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("check.json");
    let output = Command::new(zctrace())
        .args(["check", "--json", "-o"])
        .arg(&file)
        .args(options)
        .arg("--")
        .args(command)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let document: Document = serde_json::from_str(&text).unwrap();
    let code = match document.verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Inconclusive => 3,
    };
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(document.scope, SCOPE);
    (output, document)
}

fn codes(document: &Document) -> Vec<&str> {
    document.reasons.iter().map(|r| r.code.as_str()).collect()
}

fn file_of(directory: &Path, bytes: usize) -> String {
    let path = directory.join("data");
    fs::write(&path, vec![7; bytes]).unwrap();
    path.to_str().unwrap().to_owned()
}

const ZERO_COPY: [&str; 2] = ["--max-copies-per-byte", "0.02"];

#[test]
#[ignore = "needs root and BPF"]
fn a_program_that_copies_fails_and_passes_by_what_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), 4 * MIB);
    let cat = ["sh", "-c", "cat \"$0\" > /dev/null", &file];
    let (_, document) = check(&ZERO_COPY, &cat);
    assert_eq!(document.verdict, Verdict::Fail, "{:?}", codes(&document));
    let reason = &document.reasons[0];
    assert_eq!(reason.code, "above-limit");
    // The loader reads a little too.
    let bytes = 4 * MIB as u64;
    assert!((bytes..bytes + 65_536).contains(&reason.bytes));
    assert_eq!(reason.row.as_ref().unwrap().op, "read");
    assert!(
        document.summary[0].contains("read file:"),
        "{:?}",
        document.summary
    );
    // One copy is what this program may do.
    let one = [
        "--max-copies-per-byte",
        "1",
        "--path",
        "read",
        "--accept-inferred",
    ];
    let (_, document) = check(&one, &cat);
    assert_eq!(document.verdict, Verdict::Pass, "{:?}", codes(&document));
    let inferred = document.stat.backend == "tracepoints";
    assert_eq!(document.claims[0].rests_on_inferred, inferred);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_target_that_moves_nothing_is_inconclusive() {
    let (_, document) = check(&ZERO_COPY, &["sleep", "0.1"]);
    assert_eq!(document.verdict, Verdict::Inconclusive);
    assert!(codes(&document).contains(&"too-few-bytes"));
    let reason = document
        .reasons
        .iter()
        .find(|reason| reason.code == "too-few-bytes")
        .unwrap();
    assert!(reason.bytes < MIB as u64);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_that_fails_shows_nothing_unless_that_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), 2 * MIB);
    let cat = ["sh", "-c", "cat \"$0\" > /dev/null; exit 7", &file];
    let (_, document) = check(&ZERO_COPY, &cat);
    assert_eq!(document.verdict, Verdict::Inconclusive);
    assert!(codes(&document).contains(&"command-failed"));
    let all_the_same = [&ZERO_COPY[..], &["--ignore-command-status"]].concat();
    let (_, document) = check(&all_the_same, &cat);
    assert_eq!(document.verdict, Verdict::Fail);
    // Whom zctrace ends because the time is up has not failed.
    let cut = [&ZERO_COPY[..], &["--duration", "3s"]].concat();
    let endless = ["sh", "-c", "cat \"$0\" > /dev/null; exec sleep 60", &file];
    let (_, document) = check(&cut, &endless);
    assert_eq!(document.stat.exit_status.unwrap().signal, Some(15));
    assert_eq!(document.verdict, Verdict::Fail, "{:?}", codes(&document));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_policy_judges_several_claims_and_tells_ci() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), 2 * MIB);
    let policy = directory.path().join("policy.toml");
    let junit = directory.path().join("junit.xml");
    fs::write(
        &policy,
        "[[claim]]\nname = \"one <copy>\"\npath = \"read\"\nmax-copies-per-byte = 1\naccept-inferred = true\n\
         [[claim]]\nname = \"none\"\npath = \"read\"\nmax-copies-per-byte = 0\n\
         [[claim]]\nname = \"nothing there\"\npath = \"sendfile\"\nmax-copies-per-byte = 0\n",
    )
    .unwrap();
    let options = [
        "--policy",
        policy.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ];
    let (_, document) = check(&options, &["sh", "-c", "cat \"$0\" > /dev/null", &file]);
    let verdicts: Vec<_> = document.claims.iter().map(|claim| claim.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive]
    );
    assert_eq!(document.verdict, Verdict::Fail);
    let xml = fs::read_to_string(junit).unwrap();
    for part in [
        "tests=\"3\" failures=\"1\" errors=\"1\"",
        "name=\"one &lt;copy&gt;\"",
        "<failure type=\"above-limit\"",
        "<error type=\"too-few-bytes\"",
        "Judged: copies by the kernel",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
}

/// A server that goes to the background: all it does comes later.
#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_outlives_the_command_is_no_pass() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), 4 * MIB);
    let left = directory.path().join("pid");
    let options = ["--max-copies-per-byte", "1", "--accept-inferred"];
    let judge = |script: &str| {
        let command = ["sh", "-c", script, &file, left.to_str().unwrap()];
        check(&options, &command).1
    };
    let waited = judge("cat \"$0\" > /dev/null; sleep 0.01 & wait");
    assert_eq!(waited.verdict, Verdict::Pass, "{:?}", codes(&waited));
    let document = judge("cat \"$0\" > /dev/null; sleep 60 <&- >&- 2>&- & echo $! > \"$1\"");
    let pid: i32 = fs::read_to_string(&left).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert_eq!(document.verdict, Verdict::Inconclusive);
    assert!(codes(&document).contains(&"processes-left"), "{document:?}");
}

/// A server with a process for each connection, which has closed the socket that listens; and another one that begins
/// to listen on the same port when tracing has begun.
#[test]
#[ignore = "needs root and BPF"]
fn all_who_serve_a_port_are_traced_or_missed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect(("127.0.0.1", number)).unwrap();
    let (connection, _) = listener.accept().unwrap();
    let twice = "for i in 1 2; do head -c 4194304 > /dev/null; echo read; done";
    let mut backend = Command::new("sh")
        .args(["-c", twice])
        .stdin(OwnedFd::from(connection))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(backend.stdout.take().unwrap());
    let mut serve = || {
        client.write_all(&vec![1; 4 * MIB]).unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "read\n");
    };
    let judge = |meanwhile: &mut dyn FnMut()| {
        let check = Attached::check_of_port(number, &[]);
        meanwhile();
        let output = check.interrupt();
        serde_json::from_slice::<Document>(&output.stdout).unwrap()
    };
    let document = judge(&mut || serve());
    assert!(!codes(&document).contains(&"target-incomplete"));
    let served = document.stat.processes.iter().any(|process| {
        let mut rows = process.paths.iter();
        process.comm == "head" && rows.any(|row| row.totals.moved >= 4 * MIB as u64)
    });
    assert!(served, "{:?}", document.stat.processes);
    // It is there before, with a socket that does not listen yet. This process is a target, so a later child is one too.
    let later = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    let address = SockaddrIn::new(127, 0, 0, 2, number);
    bind(later.as_raw_fd(), &address).unwrap();
    let mut other = Command::new("sleep")
        .arg("60")
        .stdin(later.try_clone().unwrap())
        .spawn()
        .unwrap();
    let document = judge(&mut || {
        serve();
        listen(&later, Backlog::new(1).unwrap()).unwrap();
    });
    assert!(
        codes(&document).contains(&"target-incomplete"),
        "{:?}",
        codes(&document)
    );
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(backend.wait().unwrap().success());
}

/// A server in a thread per connection: it waits in `recv` most of the time, which copies nothing.
#[test]
#[ignore = "needs root and BPF"]
fn who_only_waits_is_judged_by_what_it_did() {
    let server = Command::new("sh")
        .args(["-c", "exec cat > /dev/null"])
        .stdin(Stdio::piped())
        .spawn();
    let mut server = server.unwrap();
    let pid = server.id().to_string();
    let options = [
        "check",
        "--json",
        "--max-copies-per-byte",
        "1",
        "--accept-inferred",
        "--pid",
        &pid,
    ];
    let check = Attached::start(&options);
    let stdin = server.stdin.as_mut().unwrap();
    stdin.write_all(&vec![1; 4 * MIB]).unwrap();
    until_it_waits(&server);
    let output = check.interrupt();
    let document: Document = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        !codes(&document).contains(&"operations-open"),
        "{:?}",
        codes(&document)
    );
    assert_eq!(document.stat.processes[0].in_flight, 1);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

/// A write that blocks when tracing begins, and goes on. Where functions are traced, it is in its row.
#[test]
#[ignore = "needs root and BPF"]
fn a_call_that_had_begun_before_is_not_forgotten() {
    let (mut from, to) = std::io::pipe().unwrap();
    let mut writer = Command::new("dd")
        .args(["if=/dev/zero", "bs=4M", "count=1", "status=none"])
        .stdout(to)
        .spawn()
        .unwrap();
    let writes = format!("/proc/{}/syscall", writer.id());
    let number = format!("{} ", libc::SYS_write);
    eventually(Duration::from_secs(60), "writing", || {
        fs::read_to_string(&writes).is_ok_and(|line| line.starts_with(&number))
    });
    let pid = writer.id().to_string();
    let options = [
        "check",
        "--json",
        "--max-copies-per-byte",
        "1",
        "--accept-inferred",
        "--path",
        "write",
        "--pid",
        &pid,
    ];
    let check = Attached::start(&options);
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 4 * MIB);
    assert!(writer.wait().unwrap().success());
    let output = check.finish();
    let document: Document = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document.verdict, Verdict::Inconclusive);
    let unfollowed = document.stat.loss.unfollowed_calls;
    if document.stat.backend == "tracepoints" {
        assert!(codes(&document).contains(&"unfollowed-calls"));
        assert_eq!(
            (unfollowed.begun, unfollowed.begun_bytes),
            (1, bytes.len() as u64)
        );
    } else {
        assert_eq!(unfollowed.begun, 0);
        assert_eq!(document.stat.total.moved, bytes.len() as u64);
    }
}

/// A request of io_uring that does not report success has no end that a tracepoint shows.
#[test]
#[ignore = "needs root and BPF"]
fn requests_without_an_end_are_counted() {
    let options = ["--max-copies-per-byte", "1", "--accept-inferred"];
    let family = "uring-silent";
    let (_, document) = check(&options, &[zctrace().to_str().unwrap(), "traffic", family]);
    let inferring = document.stat.backend == "tracepoints";
    let requests = document.stat.loss.unfollowed_calls.requests;
    assert_eq!(inferring, requests > 0, "{requests}");
    assert_eq!(inferring, codes(&document).contains(&"unfollowed-calls"));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_target_that_ends_in_the_middle_is_judged_by_what_it_did() {
    let mut target = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = target.id().to_string();
    // Longer than anybody waits for this test.
    let options = [
        "check",
        "--json",
        "--max-copies-per-byte",
        "0.02",
        "--duration",
        "1d",
        "--pid",
        &pid,
    ];
    let check = Attached::start(&options);
    target
        .stdin
        .as_mut()
        .unwrap()
        .write_all(&vec![1; 2 * MIB])
        .unwrap();
    drop(target.stdin.take());
    target.wait().unwrap();
    let output = check.finish();
    assert_eq!(output.status.code(), Some(1));
    let document: Document = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document.verdict, Verdict::Fail);
    // And one that is gone before anything starts is an error.
    let output = crate::common::run(&["check", "--max-copies-per-byte", "1", "--pid", &pid]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn two_checks_at_once_judge_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), 2 * MIB);
    let copies = thread::spawn(move || {
        check(
            &ZERO_COPY,
            &["sh", "-c", "sleep 0.3; cat \"$0\" > /dev/null", &file],
        )
        .1
    });
    let (_, nothing) = check(&ZERO_COPY, &["sleep", "1"]);
    assert_eq!(nothing.verdict, Verdict::Inconclusive);
    let copies = copies.join().unwrap();
    assert_eq!(copies.verdict, Verdict::Fail);
    let read = |document: &Document| {
        let rows = document.stat.processes.iter().flat_map(|p| &p.paths);
        rows.map(|path| path.totals.moved).sum::<u64>()
    };
    assert!(read(&copies) >= 2 * MIB as u64);
    assert!(read(&nothing) < MIB as u64);
}

/// The sending side of a connection that copies is not excused by what it receives by reference.
#[test]
#[ignore = "needs root and BPF"]
fn copies_are_counted_over_what_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reader = thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.len()
    });
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), 4 * MIB);
    let send = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; exec cat '{file}' >&3");
    let sent = |limit| {
        let options = ["--max-copies-per-sent-byte", limit, "--accept-inferred"];
        check(&options, &["bash", "-c", &send]).1
    };
    let document = sent("1.5");
    assert_eq!(reader.join().unwrap(), 4 * MIB);
    assert_eq!(document.verdict, Verdict::Fail, "{:#?}", document.claims);
    let whole = &document.claims[0].judged[0];
    assert!((1.99..2.01).contains(&whole.ratio.unwrap()), "{whole:?}");
}
