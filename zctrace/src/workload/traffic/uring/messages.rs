//! Sends and receives.

use std::os::fd::{AsRawFd as _, RawFd};

use anyhow::{Result, ensure};
use io_uring::{opcode, squeue, types::Fd};
use nix::{
    libc,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair},
};
use zctrace_common::{Class, Op};

use super::ring::{Issue, Ring, needs};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared,
    stage::{
        buffer::Buffer,
        sockets::{header, tcp_pair, udp_pair},
    },
    traffic::zerocopy::sent_again,
    truth::exact::{calls, exactly},
};

/// Counters of what zero-copy sends the kernel has sent again, and so copied again.
const AGAIN: [usize; 2] = [0, 1];

/// The receive comes first and has to wait, so it is tried again by task work, or blocks a worker.
pub(super) fn tcp(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    let expected = both_ways("tcp", calls(bytes, chunk), bytes);
    Ok(Prepared::new(expected, move || {
        exchange(issue, near.as_raw_fd(), far.as_raw_fd(), bytes, chunk)
    }))
}

pub(super) fn udp(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes.min(400_000), 7001);
    let (near, far) = udp_pair()?;
    let expected = both_ways("udp", calls(bytes, chunk), bytes);
    Ok(Prepared::new(expected, move || {
        exchange(issue, near.as_raw_fd(), far.as_raw_fd(), bytes, chunk)
    }))
}

/// Receives that do not report success, two at a time: each message wakes both, and one waits again.
pub(super) fn silent(_arena: &Arena, issue: Issue) -> Result<Prepared> {
    const LENGTHS: [usize; 2] = [4000, 65];
    const ROUNDS: u64 = 20;
    let (near, far) = socketpair(
        AddressFamily::Unix,
        SockType::Datagram,
        None,
        SockFlag::empty(),
    )?;
    let (ops, bytes) = (2 * ROUNDS, ROUNDS * LENGTHS.iter().sum::<usize>() as u64);
    let expected = Expected::new()
        .moves(Op::Send, "unix", Class::CopiedFromUser, ops, bytes)
        .row(
            ExpectedRow::new(Op::UringRecv, "unix")
                .ops(ops)
                .class(Class::CopiedToUser, bytes)
                .needs_functions(),
        );
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        let from = Buffer::filled(LENGTHS[0])?;
        let mut into = [Buffer::zeroed(LENGTHS[0])?, Buffer::zeroed(LENGTHS[0])?];
        for _ in 0..ROUNDS {
            for to in &mut into {
                to[0] = 0;
                let receive =
                    opcode::Recv::new(Fd(far.as_raw_fd()), to.as_mut_ptr(), to.len() as u32);
                let receive = receive.build().flags(squeue::Flags::SKIP_SUCCESS);
                // SAFETY: the buffers outlive the requests.
                unsafe { ring.submit(receive, 7) }?;
            }
            for length in LENGTHS {
                let sent = send(near.as_raw_fd(), &from[..length], MsgFlags::empty())?;
                ensure!(sent == length, "{sent} of {length} bytes");
            }
            for to in &into {
                // SAFETY: the buffer is there.
                unsafe { ring.written(to.as_ptr()) }?;
            }
        }
        Ok(())
    }))
}

/// What is only looked at stays in the queue: it was copied, and not received.
pub(super) fn peek(_arena: &Arena, issue: Issue) -> Result<Prepared> {
    const LENGTH: usize = 900;
    const ROUNDS: u64 = 6;
    let (near, far) = tcp_pair()?;
    let bytes = ROUNDS * LENGTH as u64;
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, ROUNDS, bytes)
        .moves(
            Op::UringRecvPeek,
            "tcp",
            Class::CopiedToUser,
            2 * ROUNDS,
            2 * bytes,
        )
        .moves(Op::UringRecv, "tcp", Class::CopiedToUser, ROUNDS, bytes);
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        let from = Buffer::filled(LENGTH)?;
        let mut to = Buffer::zeroed(LENGTH)?;
        let far = Fd(far.as_raw_fd());
        for _ in 0..ROUNDS {
            let sent = send(near.as_raw_fd(), &from, MsgFlags::empty())?;
            ensure!(sent == LENGTH, "{sent} of {LENGTH} bytes");
            let to = &mut to;
            let [look, take] = [libc::MSG_PEEK, 0].map(|flags| {
                opcode::Recv::new(far, to.as_mut_ptr(), LENGTH as u32)
                    .flags(flags)
                    .build()
            });
            let mut pieces = [piece(&to[..LENGTH / 3]), piece(&to[LENGTH / 3..])];
            let mut into = header(&mut pieces);
            let look_again = opcode::RecvMsg::new(far, &raw mut into)
                .flags(libc::MSG_PEEK as u32)
                .build();
            for receive in [look, look_again, take] {
                // SAFETY: the header, the vector and the buffer outlive the request.
                unsafe { ring.submit(receive, 1) }?;
                ring.complete(LENGTH)?;
            }
        }
        Ok(())
    }))
}

/// Pages of the application go into packets, and on loopback they are copied later after all.
pub(super) fn zerocopy(arena: &Arena, issue: Issue) -> Result<Prepared> {
    needs(&[opcode::SendZc::CODE, opcode::SendMsgZc::CODE])?;
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    let calls = calls(bytes, chunk);
    let mut expected =
        Expected::new().moves(Op::Recv, "tcp", Class::CopiedToUser, 2 * calls, 2 * bytes);
    for op in [Op::UringSendZc, Op::UringSendmsgZc] {
        expected.add(
            ExpectedRow::new(op, "tcp")
                .ops(calls)
                .class(Class::Spliced, bytes)
                .deferred(bytes),
        );
    }
    let shared = arena.shared;
    let prepared = Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let (fd, far) = (Fd(near.as_raw_fd()), far.as_raw_fd());
        exactly(bytes, chunk, |_, length| {
            let send = opcode::SendZc::new(fd, from.as_ptr(), length as u32).build();
            // SAFETY: the buffer outlives the request and its notification.
            let sent = unsafe { lend(&mut ring, send, length) };
            sent.and_then(|()| receive(far, &mut to[..length]))
        })?;
        let first = sent_again(&near)?;
        shared.count(AGAIN[0], first);
        exactly(bytes, chunk, |_, length| {
            let mut pieces = [piece(&from[..length / 2]), piece(&from[length / 2..length])];
            let message = header(&mut pieces);
            let send = opcode::SendMsgZc::new(fd, &raw const message).build();
            // SAFETY: as above, and so do the vector and the header.
            let sent = unsafe { lend(&mut ring, send, length) };
            sent.and_then(|()| receive(far, &mut to[..length]))
        })?;
        shared.count(AGAIN[1], sent_again(&near)? - first);
        Ok(())
    });
    Ok(prepared.finish(move |expected| {
        for (op, counter) in [Op::UringSendZc, Op::UringSendmsgZc].into_iter().zip(AGAIN) {
            expected.add(ExpectedRow::new(op, "tcp").deferred(shared.counted(counter)));
        }
        Ok(())
    }))
}

/// A zero-copy send and its notification. On loopback that comes without a receiver: the pages are
/// copied on the way.
///
/// # Safety
/// What the entry points to outlives this call.
unsafe fn lend(ring: &mut Ring, send: squeue::Entry, length: usize) -> nix::Result<()> {
    // SAFETY: the caller's promise.
    let sent = unsafe { ring.submit(send, 1) };
    sent.and_then(|()| ring.complete(length))
        .and_then(|_| ring.notifications(1))
        .map_err(|_| nix::errno::Errno::EIO)
}

fn receive(from: RawFd, to: &mut [u8]) -> nix::Result<usize> {
    recv(from, to, MsgFlags::MSG_WAITALL)
}

fn both_ways(object: &str, calls: u64, bytes: u64) -> Expected {
    let mut expected = Expected::new();
    for op in [Op::UringSend, Op::UringSendmsg] {
        expected = expected.moves(op, object, Class::CopiedFromUser, calls, bytes);
    }
    for op in [Op::UringRecv, Op::UringRecvmsg] {
        expected = expected.moves(op, object, Class::CopiedToUser, calls, bytes);
    }
    expected
}

fn exchange(issue: Issue, near: RawFd, far: RawFd, bytes: u64, chunk: usize) -> Result<()> {
    let mut ring = Ring::new(issue)?;
    let from = Buffer::filled(chunk)?;
    let mut to = Buffer::zeroed(chunk)?;
    let (near, far) = (Fd(near), Fd(far));
    let mut rest = bytes;
    while rest > 0 {
        let length = rest.min(chunk as u64) as usize;
        let recv = opcode::Recv::new(far, to.as_mut_ptr(), length as u32).flags(libc::MSG_WAITALL);
        let send = opcode::Send::new(near, from.as_ptr(), length as u32);
        // SAFETY: the buffers outlive the requests.
        unsafe { pair(&mut ring, recv.build(), send.build(), length) }?;

        let mut pieces = [
            [piece(&to[..length / 3]), piece(&to[length / 3..length])],
            [piece(&from[..length / 2]), piece(&from[length / 2..length])],
        ];
        let [mut into, out] = pieces.each_mut().map(header);
        let recv = opcode::RecvMsg::new(far, &raw mut into).flags(libc::MSG_WAITALL as u32);
        let send = opcode::SendMsg::new(near, &raw const out);
        // SAFETY: the headers, the vectors and the buffers outlive the requests.
        unsafe { pair(&mut ring, recv.build(), send.build(), length) }?;
        rest -= length as u64;
    }
    Ok(())
}

fn piece(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

/// A receive, and the send that it waits for.
///
/// # Safety
/// What they point to outlives this call.
unsafe fn pair(
    ring: &mut Ring,
    recv: squeue::Entry,
    send: squeue::Entry,
    length: usize,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        ring.submit(recv, 1)?;
        ring.submit(send, 2)?;
    }
    let done = ring.complete(length)? + ring.complete(length)?;
    ensure!(done == 3, "not one of each");
    Ok(())
}
