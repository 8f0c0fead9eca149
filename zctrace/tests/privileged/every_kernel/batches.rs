//! How many requests of io_uring are submitted at a time, and how often a thread waits for completions.

use std::{
    io::{Write as _, pipe},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use io_uring::{IoUring, opcode, types::Fd};
use zctrace::{ledger::Ways, tracer::Session};
use zctrace_common::Op;

use crate::common::shared;

/// Submissions of so many requests.
const BATCHES: [usize; 3] = [1, 4, 7];
const WAITS: u64 = 3;

/// Submits `count` requests that complete at once.
fn submit(ring: &mut IoUring, count: usize) {
    for _ in 0..count {
        // SAFETY: the request refers to no memory.
        unsafe { ring.submission().push(&opcode::Nop::new().build()) }.expect("room");
    }
    assert_eq!(ring.submit().expect("a submission"), count);
    assert_eq!(ring.completion().count(), count);
}

/// Waits for a byte that another thread writes later.
fn wait(ring: &mut IoUring) {
    let mut buffer = [0_u8; 1];
    let (reader, mut writer) = pipe().expect("a pipe");
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        writer.write_all(&[1]).expect("room");
    });
    let read = opcode::Read::new(Fd(reader.as_raw_fd()), buffer.as_mut_ptr(), 1).build();
    // SAFETY: the buffer outlives the request, which has completed below.
    unsafe { ring.submission().push(&read) }.expect("room");
    ring.submit_and_wait(1).expect("a completion");
    assert_eq!(ring.completion().count(), 1);
    late.join().expect("the other thread");
}

/// What was counted of this process.
fn counted(session: &mut Session) -> Ways {
    let reading = session.read().expect("the maps");
    let pid = std::process::id();
    let mut requests = reading.requests.iter();
    let read = requests.find(|one| one.pid == pid && one.op == Op::UringRead);
    read.expect("requests").ways
}

#[test]
#[ignore = "needs root and BPF"]
fn submissions_and_waits_are_counted() {
    let mut ring = IoUring::new(16).expect("io_uring");
    let mut session = shared::session();
    // So that there is something to begin from.
    wait(&mut ring);
    let before = counted(&mut session);
    for count in BATCHES {
        submit(&mut ring, count);
    }
    for _ in 0..WAITS {
        wait(&mut ring);
    }
    let ways = counted(&mut session).since(before);
    let taken = BATCHES.iter().sum::<usize>() as u64 + WAITS;
    let submissions = BATCHES.len() as u64 + WAITS;
    assert_eq!(ways.batches(), [taken, submissions, WAITS]);
    assert_eq!(ways.submitted, WAITS);
}
