//! What becomes of pages that were sent by reference while the receiver does not read: they are
//! pending, and what is copied later is the sender's, even after its end. How long the sender waits for
//! its notification, by its own clock.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    claim, only, send_and_end,
    shared::{self, Shared},
};
use io_uring::{IoUring, cqueue, opcode, types::Fd};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, send, setsockopt, sockopt},
};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::{Notified, Path, Process, Totals},
    tracer::Session,
    workload::traffic::zerocopy::{allow, notification},
};
use zctrace_common::Op;

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
    let process = process.expect("the process has rows");
    let row = row_of_sends(&process);
    // What an earlier test lost may have been of this process, which was there already, and of no other one.
    let may_miss_some = pid == std::process::id() && reading.loss.lost() > 0;
    assert!(
        row.is_none_or(|row| may_miss_some || row.evidence == "measured"),
        "{process:#?}"
    );
    process
}

fn row_of_sends(process: &Process) -> Option<&Path> {
    process.paths.iter().find(|path| path.op == "send.zerocopy")
}

/// What was sent.
fn sends(process: &Process) -> Totals {
    let row = row_of_sends(process).expect("a row of the sends");
    assert_eq!(row.object.as_str(), "tcp", "{process:#?}");
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
    let child = send_and_end(near, |near| send_all(near, &[7; SEND]));
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

/// How late a receiver begins to read.
const LATE: Duration = Duration::from_millis(10);

/// What the rows of this process count for an operation.
fn notified(session: &mut Session, op: Op) -> Notified {
    let process = process(session, std::process::id());
    let mut sum = Notified::default();
    for path in process.paths.iter().filter(|path| path.op == op) {
        sum.add(&path.notified);
    }
    sum
}

/// The times that `work` says its sends waited are the times that the rows of an operation have. The longest are left
/// out: they are of sends whose notification the application read late, because it had no processor.
fn assert_same_clock(session: &mut Session, op: Op, work: impl FnOnce() -> Vec<Duration>) {
    let before = notified(session, op);
    let mut waits = work();
    let mut seen = notified(session, op);
    seen.subtract(&before);
    waits.sort();
    let sends = waits.len() as u64;
    assert_eq!((seen.sends, seen.bytes), (sends, sends * SEND as u64));
    let all: Duration = waits.iter().sum();
    let median = waits[waits.len() / 2];
    let most = waits[waits.len() * 9 / 10];
    println!("{op:?}: {all:?} in {sends} sends, half within {median:?}, 90 % within {most:?}");
    println!("seen: {}", seen.words(all).expect("sends"));
    let is_close = |what: &str, seen: f64, known: f64| {
        assert!(
            (seen / known - 1.0).abs() <= 0.1,
            "{what}: {seen} of {known}"
        );
    };
    let quantile = |thousandths| seen.within(thousandths).expect("sends").as_secs_f64();
    is_close("time", seen.ns as f64, all.as_nanos() as f64);
    is_close("median", quantile(500), median.as_secs_f64());
    is_close("90 %", quantile(900), most.as_secs_f64());
    let pinned = all.as_micros() as f64 * SEND as f64;
    is_close("pinned", seen.pinned_byte_us as f64, pinned);
}

/// Waits until so many sends are notified.
fn wait(near: &TcpStream, sends: u32) {
    let patience = PollTimeout::from(20_000_u16);
    let mut seen = 0;
    while seen < sends {
        let mut error = [PollFd::new(near.as_fd(), PollFlags::empty())];
        assert_ne!(poll(&mut error, patience), Ok(0), "never notified");
        let next = notification(near).expect("the error queue");
        seen += next.map_or(0, |(sends, _)| sends);
    }
}

/// A receiver that does not read: what was sent to it by reference may still be copied when the time is up.
#[test]
#[ignore = "needs root and BPF"]
fn sends_that_are_still_queued_are_no_pass() {
    let (near, far) = connection();
    let mut session = shared::session();
    let (snapshot, child) =
        session.trace_new_processes(|| send_and_end(near, |near| send_all(near, &[7; SEND])));
    let sender = only(&snapshot, |one| one.pid == child.as_raw().cast_unsigned());
    let claim = Claim {
        max_copies_per_byte: Some(0.5),
        path: Some("send.zerocopy".to_owned()),
        min_bytes: ALL,
        ..claim()
    };
    let judgement = judge(&claim, &sender, Circumstances::default());
    let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{codes:?}");
    let code = if session.backend() == "functions" {
        "zerocopy-pending"
    } else {
        // What is pending is not known there, nor how the bytes went.
        "too-much-unexplained"
    };
    assert!(codes.contains(&code), "{codes:?}");
    drop(far);
}

#[test]
#[ignore = "needs root and BPF"]
fn notifications_take_as_long_as_the_sender_waits() {
    /// Sends that are under way at once: their times differ by those of the reads before them.
    const AT_ONCE: usize = 20;
    const ROUNDS: usize = 500;
    let Some(mut session) = session("notifications_take_as_long_as_the_sender_waits") else {
        return;
    };
    let mut connections: Vec<_> = (0..AT_ONCE).map(|_| connection()).collect();
    let (bytes, mut room) = (vec![7; SEND], vec![0; SEND]);
    let flags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY | libc::MSG_DONTWAIT);
    assert_same_clock(&mut session, Op::SendZerocopy, || {
        let mut waits = Vec::new();
        for _ in 0..ROUNDS {
            let mut begun = Vec::new();
            for (near, _) in &connections {
                begun.push(Instant::now());
                assert_eq!(send(near.as_raw_fd(), &bytes, flags), Ok(SEND));
            }
            thread::sleep(LATE);
            for ((near, far), begun) in connections.iter_mut().zip(begun) {
                far.read_exact(&mut room).expect("the bytes");
                wait(near, 1);
                waits.push(begun.elapsed());
            }
        }
        waits
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn sends_that_share_a_notification_count_each() {
    let (near, mut far) = connection();
    let Some(mut session) = session("sends_that_share_a_notification_count_each") else {
        return;
    };
    assert_same_clock(&mut session, Op::SendZerocopy, || {
        let flags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY | libc::MSG_DONTWAIT);
        let mut begun = Vec::new();
        for _ in 0..SENDS {
            begun.push(Instant::now());
            assert_eq!(send(near.as_raw_fd(), &[7; SEND], flags), Ok(SEND));
        }
        // Long beside the time of all sends: the mean of those that share a notification is the time of each.
        thread::sleep(50 * LATE);
        far.read_exact(&mut vec![0; ALL as usize])
            .expect("the bytes");
        wait(&near, SENDS as u32);
        begun.iter().map(Instant::elapsed).collect()
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn notifications_of_requests_take_as_long_as_the_sender_waits() {
    const AT_ONCE: usize = 20;
    const ROUNDS: usize = 500;
    let test = "notifications_of_requests_take_as_long_as_the_sender_waits";
    let Some(mut session) = session(test) else {
        return;
    };
    let Ok(mut ring) = IoUring::new(2 * AT_ONCE as u32) else {
        println!("SKIP: {test}: this kernel has no io_uring");
        return;
    };
    let mut connections: Vec<_> = (0..AT_ONCE).map(|_| connection()).collect();
    let (bytes, mut room) = (vec![7; SEND], vec![0; SEND]);
    assert_same_clock(&mut session, Op::UringSendZc, || {
        let mut waits = Vec::new();
        for _ in 0..ROUNDS {
            let mut begun = Vec::new();
            for (near, _) in &connections {
                let fd = Fd(near.as_raw_fd());
                let request = opcode::SendZc::new(fd, bytes.as_ptr(), SEND as u32).build();
                let request = request.user_data(begun.len() as u64);
                begun.push(Instant::now());
                // SAFETY: the socket and the bytes are there until it is notified.
                unsafe { ring.submission().push(&request) }.expect("room");
                assert_eq!(ring.submit().expect("submitting"), 1);
            }
            thread::sleep(LATE);
            let mut notified = 0;
            for (place, (_, far)) in connections.iter_mut().enumerate() {
                far.read_exact(&mut room).expect("the bytes");
                while notified <= place {
                    ring.submit_and_wait(1).expect("waiting");
                    for one in ring.completion() {
                        if cqueue::notif(one.flags()) {
                            waits.push(begun[one.user_data() as usize].elapsed());
                            notified += 1;
                        } else {
                            let sent = (one.result(), cqueue::more(one.flags()));
                            assert_eq!(sent, (SEND as i32, true));
                        }
                    }
                }
            }
        }
        waits
    });
}
