//! What becomes of pages that were sent by reference while the receiver does not read: they are
//! pending, and what is copied later is the sender's, even after its end.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use crate::common::shared::{self, Shared};
use nix::{
    libc,
    sys::{
        socket::{MsgFlags, send, setsockopt, sockopt},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, fork},
};
use zctrace::{
    ledger::{Process, Totals},
    tracer::Session,
    workload::traffic::zerocopy::allow,
};

/// Bytes of a send; several exceed the receiver's room by far.
const SEND: usize = 64 * 1024;
const SENDS: usize = 8;
const ALL: u64 = (SEND * SENDS) as u64;

/// A connection whose far end has little room.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    setsockopt(&listener, sockopt::RcvBuf, &8192).expect("SO_RCVBUF");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connecting");
    let (far, _) = listener.accept().expect("accepting");
    setsockopt(&near, sockopt::SndBufForce, &(4 << 20)).expect("SO_SNDBUFFORCE");
    allow(&near).expect("SO_ZEROCOPY");
    (near, far)
}

/// The shared session; `None`, said why, where functions cannot be traced.
fn session(test: &str) -> Option<Shared> {
    let session = shared::session();
    if session.backend() == "functions" {
        return Some(session);
    }
    println!(
        "SKIP: {test}: the {} backend sees no pages",
        session.backend()
    );
    None
}

fn send_all(near: &TcpStream, bytes: &[u8]) -> nix::Result<()> {
    let flags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY | libc::MSG_DONTWAIT);
    for _ in 0..SENDS {
        let sent = send(near.as_raw_fd(), bytes, flags)?;
        if sent != bytes.len() {
            return Err(nix::errno::Errno::EIO);
        }
    }
    Ok(())
}

fn process(session: &mut Session, pid: u32) -> Process {
    let reading = session.read().expect("the maps");
    let process = reading.processes.into_iter().find(|p| p.pid == pid);
    process.expect("the process has rows")
}

/// The row of the sends.
fn sends(process: &Process) -> Totals {
    let row = process.paths.iter().find(|path| path.op == "send.zerocopy");
    let row = row.expect("a row of the sends");
    assert_eq!(
        (row.object.as_str(), row.evidence.as_str()),
        ("tcp", "measured")
    );
    row.totals
}

/// Reads until nothing is pending.
fn settled(session: &mut Session, pid: u32) -> Process {
    for _ in 0..500 {
        let process = process(session, pid);
        if process.pending == 0 {
            return process;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("still pending");
}

fn assert_all_sent(totals: &Totals) {
    assert_eq!(
        (totals.ops, totals.moved, totals.spliced),
        (SENDS as u64, ALL, ALL)
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn pages_for_a_stalled_receiver_are_pending() {
    let (near, mut far) = connection();
    let Some(mut session) = session("pages_for_a_stalled_receiver_are_pending") else {
        return;
    };
    let pid = std::process::id();
    // The session tries its probes with a send of its own, in this thread.
    let before = sends(&process(&mut session, pid));
    send_all(&near, &[7; SEND]).expect("room to send");
    let stalled = process(&mut session, pid);
    let mut totals = sends(&stalled);
    totals.subtract(&before);
    assert_all_sent(&totals);
    assert!(
        stalled.pending > 0 && stalled.pending <= ALL,
        "{}",
        stalled.pending
    );
    assert!(totals.deferred < ALL, "all delivered already");

    far.read_exact(&mut vec![0; ALL as usize])
        .expect("the bytes");
    let mut totals = sends(&settled(&mut session, pid));
    totals.subtract(&before);
    assert_all_sent(&totals);
    // A packet that was sent again was copied again.
    assert!(totals.deferred >= ALL, "{}", totals.deferred);
}

#[test]
#[ignore = "needs root and BPF"]
fn what_is_copied_after_its_end_is_the_senders() {
    let (near, mut far) = connection();
    let Some(mut session) = session("what_is_copied_after_its_end_is_the_senders") else {
        return;
    };
    let before = process(&mut session, std::process::id()).total.deferred;
    let bytes = [7; SEND];
    // SAFETY: the child only sends and ends.
    let child = match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let code = i32::from(send_all(&near, &bytes).is_err());
            // SAFETY: ends the process.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => child,
    };
    drop(near);
    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
    let pid = child.as_raw().cast_unsigned();
    let ended = process(&mut session, pid);
    let totals = sends(&ended);
    assert_all_sent(&totals);
    assert!(ended.pending > 0, "nothing is pending");
    assert!(totals.deferred < ALL, "all delivered already");

    let mut received = Vec::new();
    far.read_to_end(&mut received).expect("the bytes");
    assert_eq!(received.len() as u64, ALL);
    let settled = settled(&mut session, pid);
    let totals = sends(&settled);
    assert_all_sent(&totals);
    assert!(totals.deferred >= ALL, "{}", totals.deferred);
    // Its slots are free again, and its numbers stay.
    assert_eq!(process(&mut session, pid), settled);
    let own = process(&mut session, std::process::id());
    assert_eq!(own.total.deferred, before, "blamed on the receiver");
}
