//! Provided buffers: the kernel takes them when it has something to put there. Requests that use
//! them can complete many times.

use std::{
    os::fd::AsRawFd,
    sync::atomic::{AtomicU16, Ordering::Release},
};

use anyhow::{Result, bail, ensure};
use io_uring::{
    cqueue, opcode, squeue,
    types::{BufRingEntry, Fd},
};
use nix::{
    libc,
    sys::socket::{MsgFlags, send},
    unistd::write,
};
use zctrace_common::{Class, Op};

use super::ring::{Issue, Ring, needs, result};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared,
    stage::{
        buffer::Buffer,
        sockets::{tcp_pair, udp_pair},
    },
    traffic::pipe::roomy_pipe,
};

/// Buffers in the ring, and the size of each.
const COUNT: u16 = 16;
const SIZE: usize = 4096;
const GROUP: u16 = 7;

/// A ring of buffers that is registered with an io_uring.
struct Pool {
    entries: Buffer,
    bytes: Buffer,
    size: usize,
    tail: u16,
}

impl Pool {
    fn new(ring: &Ring, size: usize) -> Result<Self> {
        let mut pool = Self {
            entries: Buffer::zeroed(4096)?,
            bytes: Buffer::filled(size * usize::from(COUNT))?,
            size,
            tail: 0,
        };
        let address = pool.entries.as_ptr() as u64;
        // SAFETY: callers drop the pool after the requests that use it have ended.
        unsafe {
            ring.inner()
                .submitter()
                .register_buf_ring_with_flags(address, COUNT, GROUP, 0)
        }?;
        for id in 0..COUNT {
            pool.give(id);
        }
        Ok(pool)
    }

    /// Gives a buffer to the kernel.
    fn give(&mut self, id: u16) {
        let entries: *mut BufRingEntry = self.entries.as_mut_ptr().cast();
        let address = self.bytes[self.size * usize::from(id)..].as_ptr() as u64;
        // SAFETY: the page holds COUNT entries, and the kernel does not look beyond the tail.
        unsafe {
            let entry = &mut *entries.add(usize::from(self.tail % COUNT));
            entry.set_addr(address);
            entry.set_len(self.size as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Release);
        }
    }

    /// Gives back the buffers that a completion has used.
    fn give_back(&mut self, done: &cqueue::Entry, moved: usize) {
        if let Some(first) = cqueue::buffer_select(done.flags()) {
            // Those of a bundle follow one another in the ring, which is kept in order.
            for i in 0..moved.div_ceil(self.size).max(1) as u16 {
                self.give((first + i) % COUNT);
            }
        }
    }
}

// What completions are told apart by.
const REQUEST: u64 = 1;
const CANCELLATION: u64 = 2;

/// A request that completes until `bytes` have come; it is submitted again when it ends.
fn take_all(
    ring: &mut Ring,
    pool: &mut Pool,
    bytes: u64,
    entry: impl Fn() -> squeue::Entry,
    mut feed: impl FnMut(u64) -> Result<u64>,
    header: usize,
) -> Result<Taken> {
    let (mut come, mut fed) = (0, 0);
    let mut taken = Taken::default();
    let mut armed = false;
    while come < bytes {
        if !armed {
            // SAFETY: the pool outlives the request: see the end.
            unsafe { ring.submit(entry(), REQUEST) }?;
        }
        while fed < bytes && fed - come < (pool.size * usize::from(COUNT) / 2) as u64 {
            fed += feed(fed)?;
        }
        let done = ring.completion()?;
        if done.result() == -libc::ENOBUFS {
            taken.unbuffered += 1;
            armed = false;
            continue;
        }
        let moved = result(&done)?;
        ensure!(moved > header, "nothing came");
        pool.give_back(&done, moved);
        come += (moved - header) as u64;
        taken.ops += 1;
        armed = cqueue::more(done.flags());
    }
    if armed {
        let cancel = opcode::AsyncCancel::new(REQUEST).build();
        // SAFETY: it points to nothing.
        unsafe { ring.submit(cancel, CANCELLATION) }?;
        // The cancellation and the end of the request.
        for _ in 0..2 {
            let done = ring.completion()?;
            match (done.user_data(), -done.result()) {
                (REQUEST, libc::ECANCELED) => taken.cancelled += 1,
                // A worker had looked for a buffer before it was cancelled.
                (REQUEST, libc::ENOBUFS) => taken.unbuffered += 1,
                (REQUEST, other) => bail!("a cancelled request ended with {other}"),
                _ => {}
            }
        }
    }
    Ok(taken)
}

/// Takes `bytes` from a descriptor with requests into buffers of a pool, while this process puts
/// pieces of at most `piece` bytes into the other end.
fn fed(
    issue: Issue,
    bytes: u64,
    piece: u64,
    entry: impl Fn() -> squeue::Entry,
    put: impl Fn(&[u8]) -> nix::Result<usize>,
    header: usize,
) -> Result<Taken> {
    let mut ring = Ring::new(issue)?;
    let mut pool = Pool::new(&ring, SIZE)?;
    let from = Buffer::filled(piece as usize)?;
    let feed = |fed| {
        let length = piece.min(bytes - fed) as usize;
        Ok(put(&from[..length])? as u64)
    };
    take_all(&mut ring, &mut pool, bytes, entry, feed, header)
}

/// Receives what another process sends, `bytes` in all, into buffers of `size`.
pub fn received(from: &impl AsRawFd, issue: Issue, bytes: u64, size: usize) -> Result<Taken> {
    let mut ring = Ring::new(issue)?;
    let mut pool = Pool::new(&ring, size)?;
    let fd = Fd(from.as_raw_fd());
    let entry = || opcode::RecvMulti::new(fd, GROUP).build();
    let all = |fed| Ok(bytes - fed);
    take_all(&mut ring, &mut pool, bytes, entry, all, 0)
}

/// Completions of a request.
#[derive(Debug, Default)]
pub struct Taken {
    /// That brought something.
    pub ops: u64,
    /// That ended it because there was no buffer left.
    pub unbuffered: u64,
    /// That ended it because it was still waiting when all had come.
    pub cancelled: u64,
}

/// A family with two rows of which only the run tells the number of operations.
fn counted(
    arena: &Arena,
    op: Op,
    object: &'static str,
    bytes: u64,
    sends: Expected,
    run: impl FnOnce() -> Result<Taken> + 'static,
) -> Prepared {
    let shared = arena.shared;
    Prepared::new(sends, move || {
        let taken = run()?;
        shared.count(0, taken.ops);
        shared.count(1, taken.unbuffered);
        shared.count(2, taken.cancelled);
        Ok(())
    })
    .finish(move |expected| {
        expected.add(
            ExpectedRow::new(op, object)
                .ops(shared.counted(0))
                .errors(libc::ENOBUFS, shared.counted(1))
                .errors(libc::ECANCELED, shared.counted(2))
                .class(Class::CopiedToUser, bytes),
        );
        Ok(())
    })
}

fn some(arena: &Arena) -> u64 {
    arena.sizes.bytes.min(400_000)
}

pub(super) fn multishot(arena: &Arena, issue: Issue) -> Result<Prepared> {
    const PIECE: u64 = 3001;
    let bytes = some(arena);
    let (near, far) = tcp_pair()?;
    let sends = Expected::new().moves(
        Op::Send,
        "tcp",
        Class::CopiedFromUser,
        bytes.div_ceil(PIECE),
        bytes,
    );
    let run = move || {
        let fd = Fd(far.as_raw_fd());
        let entry = || opcode::RecvMulti::new(fd, GROUP).build();
        let put = |bytes: &[u8]| send(near.as_raw_fd(), bytes, MsgFlags::empty());
        fed(issue, bytes, PIECE, entry, put, 0)
    };
    Ok(counted(arena, Op::UringRecv, "tcp", bytes, sends, run))
}

/// Each completion has a header before the message, which is not of the socket.
pub(super) fn multishot_messages(arena: &Arena, issue: Issue) -> Result<Prepared> {
    const PIECE: u64 = 1999;
    /// Size of `struct io_uring_recvmsg_out`.
    const HEADER: usize = 16;
    let bytes = some(arena);
    let (near, far) = udp_pair()?;
    let messages = bytes.div_ceil(PIECE);
    let sends = Expected::new().moves(Op::Send, "udp", Class::CopiedFromUser, messages, bytes);
    let run = move || {
        let fd = Fd(far.as_raw_fd());
        // SAFETY: integers and pointers, for which zero is fine.
        let message: libc::msghdr = unsafe { std::mem::zeroed() };
        let entry = || opcode::RecvMsgMulti::new(fd, &raw const message, GROUP).build();
        let put = |bytes: &[u8]| send(near.as_raw_fd(), bytes, MsgFlags::empty());
        fed(issue, bytes, PIECE, entry, put, HEADER)
    };
    let with_headers = bytes + messages * HEADER as u64;
    let prepared = counted(arena, Op::UringRecvmsg, "udp", with_headers, sends, run);
    Ok(prepared)
}

pub(super) fn multishot_reads(arena: &Arena, issue: Issue) -> Result<Prepared> {
    const PIECE: u64 = 3001;
    needs(&[opcode::ReadMulti::CODE])?;
    let bytes = some(arena);
    let (from_pipe, to_pipe) = roomy_pipe()?;
    let writes = Expected::new().moves(
        Op::Write,
        "pipe",
        Class::CopiedFromUser,
        bytes.div_ceil(PIECE),
        bytes,
    );
    let run = move || {
        let fd = Fd(from_pipe.as_raw_fd());
        let entry = || opcode::ReadMulti::new(fd, 0, GROUP).build();
        let put = |bytes: &[u8]| write(&to_pipe, bytes);
        fed(issue, bytes, PIECE, entry, put, 0)
    };
    Ok(counted(
        arena,
        Op::UringReadMultishot,
        "pipe",
        bytes,
        writes,
        run,
    ))
}

/// The counter of what a family of [`counted`] sends; those before it are the receiver's.
const SENT: usize = 3;

/// Several buffers for one completion: sent from one pool, received into another one.
pub(super) fn bundles(arena: &Arena, issue: Issue) -> Result<Prepared> {
    const ROUNDS: u64 = 20;
    if !Ring::new(Issue::Inline)?
        .inner()
        .params()
        .is_feature_recvsend_bundle()
    {
        let reason = "this kernel's io_uring has no bundles".to_owned();
        return Err(crate::workload::Skip(reason).into());
    }
    let (near, far) = tcp_pair()?;
    let per_round = (SIZE * usize::from(COUNT)) as u64;
    let bytes = ROUNDS * per_round;
    let shared = arena.shared;
    let run = move || {
        let mut ring = Ring::new(issue)?;
        // The kernel refuses to leave a bundle to a worker if it could be sent at once.
        let mut sender = Ring::new(match issue {
            Issue::Worker => Issue::Inline,
            issue => issue,
        })?;
        let mut pool = Pool::new(&ring, SIZE)?;
        let mut full = Pool::new(&sender, SIZE)?;
        let (near, far) = (Fd(near.as_raw_fd()), Fd(far.as_raw_fd()));
        let mut received = Taken::default();
        for _ in 0..ROUNDS {
            let mut sent = 0;
            while sent < per_round {
                let send = opcode::SendBundle::new(near, GROUP).build();
                // SAFETY: the pool outlives the request.
                unsafe { sender.submit(send, 1) }?;
                loop {
                    let done = sender.completion()?;
                    let moved = result(&done)?;
                    sent += moved as u64;
                    shared.count(SENT, 1);
                    if !cqueue::more(done.flags()) {
                        break;
                    }
                }
            }
            for id in 0..COUNT {
                full.give(id);
            }
            let mut come = 0;
            while come < per_round {
                let recv = opcode::RecvBundle::new(far, GROUP).build();
                // SAFETY: as above.
                unsafe { ring.submit(recv, 1) }?;
                loop {
                    let done = ring.completion()?;
                    let moved = result(&done)?;
                    pool.give_back(&done, moved);
                    come += moved as u64;
                    received.ops += 1;
                    if !cqueue::more(done.flags()) {
                        break;
                    }
                }
            }
        }
        Ok(received)
    };
    let mut prepared = counted(arena, Op::UringRecv, "tcp", bytes, Expected::new(), run);
    let receives = prepared.finish.take();
    Ok(prepared.finish(move |expected| {
        expected.add(
            ExpectedRow::new(Op::UringSend, "tcp")
                .ops(shared.counted(SENT))
                .class(Class::CopiedFromUser, bytes),
        );
        receives.map_or(Ok(()), |receives| receives(expected))
    }))
}
