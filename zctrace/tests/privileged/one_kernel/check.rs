//! A verdict rests on probes: what `zctrace check` says without them.

use std::{
    fs,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
};

use crate::common::{
    attached::Attached,
    claim, only, ran,
    shared::{self, Shared},
};
use io_uring::{IoUring, opcode, types::Fd};
use zctrace::claims::{Circumstances, Claim, Document, Verdict, judge};

/// Bytes of a case.
const BYTES: &str = "2097152";

/// The verdict about a server's sendfile.
fn judge_sendfile(session: &mut Shared) -> Verdict {
    let (snapshot, report) = session.trace_traffic(&[], &["--bytes", BYTES, "sendfile-tcp"]);
    let outcome = &report.traffic[0];
    assert!(ran(outcome), "every kernel can");
    let own = only(&snapshot, |process| {
        outcome.processes.iter().any(|one| one.pid == process.pid)
    });
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("sendfile".into()),
        ..claim()
    };
    judge(&claim, &own, Circumstances::default()).verdict
}

#[test]
#[ignore = "needs root and BPF"]
fn a_missing_probe_takes_the_verdict_of_a_pass_away() {
    let mut session = shared::session();
    if session.backend() != "functions" {
        assert_eq!(judge_sendfile(&mut session), Verdict::Inconclusive);
        return;
    }
    assert_eq!(judge_sendfile(&mut session), Verdict::Pass);
    for probe in ["skb_copy_ubufs", "tcp_sendmsg_locked", "filemap_read"] {
        assert!(session.unplug(probe), "{probe} is attached");
        assert_eq!(
            judge_sendfile(&mut session),
            Verdict::Inconclusive,
            "{probe}"
        );
        assert!(session.plug(probe), "{probe} can be attached again");
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
