//! What the privileged tests share.

pub(crate) mod attached;
pub(crate) mod bench;
pub(crate) mod nginx;
pub(crate) mod serve;
pub(crate) mod shared;
pub(crate) mod skips;
pub(crate) mod terminal;

use std::{
    env,
    ffi::OsString,
    fs,
    net::TcpStream,
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Child, Command, Output},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, Pid, fork},
};
use zctrace::{
    claims::Claim,
    ledger::{Loss, Process, Snapshot, Totals},
    tracer::Reading,
    workload::truth::{
        compare::Strictness,
        report::{Outcome, Report, Status},
        verify,
    },
};
use zctrace_common::Op;

/// The program under test.
pub(crate) fn zctrace() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_zctrace"))
}

/// The name by which this program knows one of its functions; `module` is its `module_path!()`.
pub(crate) fn name_of(module: &str, function: &str) -> String {
    let (_, module) = module.split_once("::").expect("a module");
    format!("{module}::{function}")
}

/// The words of a command that runs one of these functions as a program of its own.
pub(crate) fn program_of(module: &str, function: &str) -> [OsString; 7] {
    let own = env::current_exe().expect("this program");
    let name = name_of(module, function);
    [
        own.into(),
        "--exact".into(),
        name.into(),
        "--ignored".into(),
        "--nocapture".into(),
        "--test-threads".into(),
        "1".into(),
    ]
}

/// A new process sends and ends. What it has sent can still be in its socket, which nobody else has then.
pub(crate) fn send_and_end(
    near: TcpStream,
    send: impl FnOnce(&TcpStream) -> nix::Result<()>,
) -> Pid {
    // SAFETY: the child only makes system calls until its end.
    let child = match unsafe { fork() }.expect("a process") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let failed = send(&near).is_err();
            // SAFETY: it returns to nobody.
            unsafe { libc::_exit(i32::from(failed)) }
        }
    };
    drop(near);
    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
    child
}

/// Where a program is that this machine may have.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).map(|place| place.join(program));
    places.find(|place| place.is_file())
}

/// Whether this machine is an emulated one, whose processors take fifty times as long.
pub(crate) fn is_emulated() -> bool {
    env::var_os("ZCTRACE_EMULATED").is_some()
}

/// Waits for what must come within a time, and says what did not.
pub(crate) fn eventually(within: Duration, what: &str, mut is_there: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_there() {
        assert!(begin.elapsed() < within, "never {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a process has read everything from the pipe that is its standard input, and waits in `read` for more.
pub(crate) fn until_it_waits(child: &Child) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let pipe = child.stdin.as_ref().expect("a pipe").as_raw_fd();
    // Before it has read everything it is not back in `read`.
    let is_empty = || {
        let mut queued = 0;
        // SAFETY: FIONREAD writes an int.
        let asked = unsafe { libc::ioctl(pipe, libc::FIONREAD, &raw mut queued) };
        asked == 0 && queued == 0
    };
    eventually(PATIENCE, "empty", is_empty);
    let syscall = format!("/proc/{}/syscall", child.id());
    let reading = format!("{} ", libc::SYS_read);
    eventually(PATIENCE, "reading", || {
        fs::read_to_string(&syscall).is_ok_and(|line| line.starts_with(&reading))
    });
}

/// Runs the program and returns what it said.
pub(crate) fn run(args: &[&str]) -> Output {
    shared::end();
    Command::new(zctrace())
        .args(args)
        .output()
        .expect("the program starts")
}

/// `zctrace stat OPTIONS -- zctrace traffic ARGS`: what was measured, and the truth.
pub(crate) fn trace_traffic(options: &[&str], traffic: &[&str]) -> (Snapshot, Report) {
    shared::end();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("stat.json");
    let output = Command::new(zctrace())
        .args(["stat", "--json", "-o"])
        .arg(&file)
        .args(options)
        .arg("--")
        .arg(zctrace())
        .args(["traffic", "--json"])
        .args(traffic)
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let snapshot = serde_json::from_str(&text).expect("a stat document");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("traffic report: {error}: {stderr}"));
    (snapshot, report)
}

/// Sets an option of a socket.
pub(crate) fn set_option<T>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> nix::Result<()> {
    // SAFETY: the value outlives the call, which only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// A run of traffic in which nothing was lost, in the shared session. On a kernel with preemption
/// the odd event can be, and is counted: such a run says nothing of the truth, and one of three must
/// be whole.
pub(crate) fn trace_whole(
    variables: &[(&str, Option<&str>)],
    traffic: &[&str],
) -> (Snapshot, Report) {
    trace_until(variables, traffic, |snapshot| {
        // Rings stay: those of families before this one are still told of. What the tracepoints backend cannot follow of
        // io_uring it tells, and others on this machine can be in the middle of a call. None of it is a loss.
        let mut loss = snapshot.loss.clone();
        let told = &mut loss.unfollowed_calls;
        (told.rings, told.requests) = (0, 0);
        (told.begun, told.begun_bytes) = (0, 0);
        loss == Loss::default()
    })
}

/// The same, where what counts as whole is another question.
pub(crate) fn trace_until(
    variables: &[(&str, Option<&str>)],
    traffic: &[&str],
    is_whole: impl Fn(&Snapshot) -> bool,
) -> (Snapshot, Report) {
    for _ in 0..3 {
        let (snapshot, report) = shared::session().trace_traffic(variables, traffic);
        if is_whole(&snapshot) {
            return (snapshot, report);
        }
        println!("again, because of {:?}", snapshot.loss);
    }
    panic!("three runs, and each lost something");
}

/// A claim that limits nothing yet.
pub(crate) fn claim() -> Claim {
    Claim::named("test")
}

/// What of the document is about these processes.
pub(crate) fn only(snapshot: &Snapshot, is_wanted: impl Fn(&Process) -> bool) -> Snapshot {
    let mut snapshot = snapshot.clone();
    snapshot.processes.retain(is_wanted);
    snapshot
}

/// What this process has of an operation on an object.
pub(crate) fn own_totals(reading: &Reading, op: Op, object: &str) -> Totals {
    let mut sum = Totals::default();
    let own = reading
        .processes
        .iter()
        .filter(|process| process.pid == std::process::id());
    let paths = own.flat_map(|process| &process.paths);
    for path in paths.filter(|path| path.op == op && path.object == object) {
        sum.add(&path.totals);
    }
    sum
}

/// What the backend of a document must know.
pub(crate) fn strictness(snapshot: &Snapshot) -> Strictness {
    verify::strictness(&snapshot.backend, &snapshot.coverage)
}

/// How one family's truth differs from what was measured, a line each.
pub(crate) fn differences(
    outcome: &Outcome,
    processes: &[Process],
    strictness: Strictness,
) -> Vec<String> {
    verify::differences(outcome, processes, strictness)
        .into_iter()
        .map(|line| format!("{}: {line}", outcome.name))
        .collect()
}

/// Prints what a family could not do here; true if it ran.
pub(crate) fn ran(outcome: &Outcome) -> bool {
    match outcome.status {
        Status::Ok => true,
        Status::Skipped => {
            println!(
                "SKIP: {}: {}",
                outcome.name,
                outcome.reason.as_deref().unwrap_or("?")
            );
            false
        }
        Status::Failed => panic!("{} failed: {:?}", outcome.name, outcome.reason),
    }
}

/// Every row of the document conserves its bytes.
pub(crate) fn assert_conservation(snapshot: &Snapshot) {
    for process in &snapshot.processes {
        for path in &process.paths {
            assert_eq!(
                path.totals.moved,
                path.totals.explained_and_unexplained(),
                "{} {} {}",
                process.comm,
                path.op,
                path.object
            );
        }
    }
}
