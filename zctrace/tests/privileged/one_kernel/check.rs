//! A verdict rests on probes: what `zctrace check` says without them.

use std::{
    fs,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    process::Command,
};

use crate::common::{attached::Attached, zctrace};
use io_uring::{IoUring, opcode, types::Fd};
use zctrace::claims::{Document, Verdict};

/// Bytes of a case.
const BYTES: &str = "2097152";

/// `zctrace check` of a server's sendfile.
fn check(options: &[&str]) -> Document {
    let output = Command::new(zctrace())
        .args([
            "check",
            "--json",
            "--max-copies-per-byte",
            "0.02",
            "--path",
            "sendfile",
        ])
        .args(options)
        .arg("--")
        .arg(zctrace())
        .args(["traffic", "--bytes", BYTES, "sendfile-tcp"])
        .output()
        .expect("the program starts");
    // A traced command has standard output for itself.
    let document: Document = serde_json::from_slice(&output.stderr)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let code = if document.verdict == Verdict::Pass {
        0
    } else {
        3
    };
    assert_eq!(output.status.code(), Some(code), "{:#?}", document.reasons);
    document
}

#[test]
#[ignore = "needs root and BPF"]
fn a_missing_probe_takes_the_verdict_of_a_pass_away() {
    let whole = check(&[]);
    let expected = match whole.stat.backend.as_str() {
        "functions" => Verdict::Pass,
        _ => Verdict::Inconclusive,
    };
    assert_eq!(whole.verdict, expected);
    for probe in ["skb_copy_ubufs", "tcp_sendmsg_locked", "filemap_read"] {
        let without = check(&["--without-probe", probe]);
        assert_eq!(without.verdict, Verdict::Inconclusive, "{probe}");
    }
}

/// A server whose ring has a receive armed for each idle connection is never without requests.
#[test]
#[ignore = "needs root and BPF"]
fn receives_that_wait_are_no_open_operations() {
    let (here, there) = UnixStream::pair().expect("sockets");
    let mut ring = IoUring::new(4).expect("a ring");
    let mut buffer = [0_u8; 64];
    let receive = opcode::Recv::new(Fd(here.as_raw_fd()), buffer.as_mut_ptr(), 64)
        .build()
        .user_data(7);
    let pid = std::process::id().to_string();
    let target = [
        "check",
        "--json",
        "--max-copies-per-byte",
        "1",
        "--path",
        "write",
        "-p",
        &pid,
    ];
    let check = Attached::start(&target);
    // SAFETY: the buffer outlives the ring.
    unsafe { ring.submission().push(&receive) }.expect("room");
    assert_eq!(ring.submit().expect("submitted"), 1);
    fs::write("/dev/shm/written", vec![0_u8; 2 << 20]).expect("a file");
    let output = check.interrupt();
    let document: Document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let own = &document.stat.processes[0];
    let functions = document.stat.backend == "functions";
    assert!(own.in_flight > 0, "{own:?}");
    let open = document.reasons.iter().any(|r| r.code == "operations-open");
    assert_eq!(open, !functions, "{:#?}", document.reasons);
    fs::remove_file("/dev/shm/written").expect("the file");
    drop(there);
}
