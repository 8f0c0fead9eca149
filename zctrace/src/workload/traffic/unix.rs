//! Unix domain sockets: copied in, copied out, as stream and as datagrams.

use std::os::{
    fd::{AsFd, AsRawFd as _},
    unix::net::{UnixDatagram, UnixStream},
};

use anyhow::{Result, ensure};
use nix::{
    libc,
    sys::socket::{MsgFlags, recv, send},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    stage::{
        buffer::Buffer,
        sockets::{enlarge, recvmmsg, recvmsg, sendmmsg, sendmsg},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "unix-stream",
        "a unix stream, by every call that sends and receives",
        stream,
    ),
    Traffic::new(
        "unix-dgram",
        "unix datagrams, by every call that sends and receives",
        dgram,
    ),
];

/// Messages per `sendmmsg` and `recvmmsg`: within the default queue length of 10 datagrams.
const BATCH: usize = 4;

fn stream(arena: &Arena) -> Result<Prepared> {
    let (near, far) = UnixStream::pair()?;
    Ok(every_call(arena, near, far, arena.sizes.chunk, false))
}

fn dgram(arena: &Arena) -> Result<Prepared> {
    let (near, far) = UnixDatagram::pair()?;
    Ok(every_call(arena, near, far, 40_000, true))
}

/// One pass each by write and read, send and recv, sendmsg and recvmsg; then a batch, a peek, and
/// for datagrams a receive that asks for the true length of a message it has no room for.
fn every_call(
    arena: &Arena,
    near: impl AsFd + 'static,
    far: impl AsFd + 'static,
    chunk: usize,
    truncates: bool,
) -> Prepared {
    enlarge(&near);
    enlarge(&far);
    let bytes = arena.sizes.bytes;
    let calls = calls(bytes, chunk);
    let batch = (BATCH * 1000) as u64;
    let mut expected = Expected::new()
        .moves(Op::Write, "unix", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Read, "unix", Class::CopiedToUser, calls, bytes)
        .moves(
            Op::Send,
            "unix",
            Class::CopiedFromUser,
            2 * calls,
            2 * bytes,
        )
        .moves(Op::Recv, "unix", Class::CopiedToUser, 2 * calls, 2 * bytes)
        .moves(Op::Send, "unix", Class::CopiedFromUser, BATCH as u64, batch)
        .moves(Op::Recv, "unix", Class::CopiedToUser, BATCH as u64, batch)
        .moves(Op::Send, "unix", Class::CopiedFromUser, 1, 800)
        .moves(Op::RecvPeek, "unix", Class::CopiedToUser, 1, 800)
        .moves(Op::Recv, "unix", Class::CopiedToUser, 1, 800);
    if truncates {
        expected = expected
            .moves(Op::Send, "unix", Class::CopiedFromUser, 1, 5000)
            .row(
                ExpectedRow::new(Op::Recv, "unix")
                    .ops(1)
                    .class(Class::CopiedToUser, 800),
            );
    }
    Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let (near_fd, far_fd) = (near.as_fd().as_raw_fd(), far.as_fd().as_raw_fd());
        exactly(bytes, chunk, |_, length| {
            write(&near, &from[..length])?;
            read(&far, &mut to[..length])
        })?;
        exactly(bytes, chunk, |_, length| {
            send(near_fd, &from[..length], MsgFlags::empty())?;
            recv(far_fd, &mut to[..length], MsgFlags::empty())
        })?;
        exactly(bytes, chunk, |_, length| {
            sendmsg(&near, &from[..length], 0)?;
            recvmsg(&far, &mut to[..length], 0)
        })?;

        ensure!(
            sendmmsg(&near, &from[..1000], BATCH)? == BATCH,
            "short batch"
        );
        let lengths = recvmmsg(&far, &mut to[..BATCH * 1000], 1000, 0)?;
        ensure!(lengths == [1000; BATCH], "batch of {lengths:?}");

        send(near_fd, &from[..800], MsgFlags::empty())?;
        for flags in [MsgFlags::MSG_PEEK, MsgFlags::empty()] {
            ensure!(recv(far_fd, &mut to[..800], flags)? == 800, "short recv");
        }
        if truncates {
            send(near_fd, &from[..5000], MsgFlags::empty())?;
            let length = recvmsg(&far, &mut to[..800], libc::MSG_TRUNC)?;
            ensure!(length == 5000, "MSG_TRUNC returned {length}");
        }
        Ok(())
    })
}
