//! TCP over loopback without any zero-copy interface: copied in, copied out.

use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Result, ensure};
use nix::{
    libc,
    poll::{PollFd, PollFlags, poll},
    sys::socket::{MsgFlags, recv, send},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    stage::{
        buffer::Buffer,
        sockets::{recvmmsg, recvmsg, sendmmsg, sendmsg, tcp_pair, wait_for},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "tcp",
        "a TCP connection, by every call that sends and receives",
        every_call,
    ),
    Traffic::new(
        "tcp-trunc",
        "TCP receives with MSG_TRUNC, which throw the bytes away",
        trunc,
    ),
];

/// Messages per `sendmmsg`.
const BATCH: usize = 4;

fn every_call(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    let calls = calls(bytes, chunk);
    let batch = (BATCH * 1000) as u64;
    let expected = Expected::new()
        .moves(Op::Write, "tcp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Read, "tcp", Class::CopiedToUser, calls, bytes)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 2 * calls, 2 * bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 2 * calls, 2 * bytes)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, BATCH as u64, batch)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 1, batch)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 1, 800)
        .moves(Op::RecvPeek, "tcp", Class::CopiedToUser, 1, 800)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 1, 800)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 2, 2)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 1, 1)
        .moves(Op::Recv, "tcp", Class::Synthetic, 1, 1);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let (near_fd, far_fd) = (near.as_raw_fd(), far.as_raw_fd());
        exactly(bytes, chunk, |_, length| {
            write(&near, &from[..length])?;
            wait_for(&far, length)?;
            read(&far, &mut to[..length])
        })?;
        exactly(bytes, chunk, |_, length| {
            send(near_fd, &from[..length], MsgFlags::empty())?;
            recv(far_fd, &mut to[..length], MsgFlags::MSG_WAITALL)
        })?;
        exactly(bytes, chunk, |_, length| {
            sendmsg(&near, &from[..length], 0)?;
            recvmsg(&far, &mut to[..length], libc::MSG_WAITALL)
        })?;

        ensure!(
            sendmmsg(&near, &from[..1000], BATCH)? == BATCH,
            "short batch"
        );
        wait_for(&far, BATCH * 1000)?;
        let lengths = recvmmsg(&far, &mut to[..BATCH * 1000], BATCH * 1000, 0)?;
        ensure!(lengths == [BATCH * 1000], "batch of {lengths:?}");

        send(near_fd, &from[..800], MsgFlags::empty())?;
        wait_for(&far, 800)?;
        for flags in [MsgFlags::MSG_PEEK, MsgFlags::empty()] {
            ensure!(recv(far_fd, &mut to[..800], flags)? == 800, "short recv");
        }
        // The urgent byte is beside the stream.
        for flags in [MsgFlags::empty(), MsgFlags::MSG_TRUNC] {
            send(near_fd, &from[..1], MsgFlags::MSG_OOB)?;
            let mut waiting = [PollFd::new(far.as_fd(), PollFlags::POLLPRI)];
            ensure!(poll(&mut waiting, 2_000_u16)? == 1, "nothing urgent came");
            let length = recv(far_fd, &mut to[..8], MsgFlags::MSG_OOB | flags)?;
            ensure!(length == 1, "{length} urgent bytes");
        }
        Ok(())
    }))
}

fn trunc(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Recv, "tcp", Class::Synthetic, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let flags = MsgFlags::MSG_WAITALL | MsgFlags::MSG_TRUNC;
        exactly(bytes, chunk, |_, length| {
            send(near.as_raw_fd(), &from[..length], MsgFlags::empty())?;
            recv(far.as_raw_fd(), &mut to[..length], flags)
        })
    }))
}
