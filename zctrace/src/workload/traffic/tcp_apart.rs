//! Receives from a TCP socket that take nothing off its receive queue.

use std::{
    net::TcpStream,
    os::fd::{AsFd as _, AsRawFd as _},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, poll},
    sys::socket::{MsgFlags, recv, send},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    stage::{
        buffer::Buffer,
        sockets::{tcp_pair, wait_for},
    },
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "tcp-error-queue",
        "a TCP socket's own packets from its error queue, when they are acknowledged: copied, not received",
        error_queue,
    )
    .tag("tcp-errq"),
    Traffic::new(
        "tcp-repair",
        "MSG_TRUNC on the send queue of a TCP connection that is repaired: copied in spite of it",
        repaired,
    ),
];

const LENGTH: usize = 1000;
const TIMES: u64 = 8;

fn set(socket: &TcpStream, level: i32, option: i32, value: libc::c_int) -> Result<()> {
    // SAFETY: an option that takes an integer, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop).context("setsockopt")
}

fn error_queue(_: &Arena) -> Result<Prepared> {
    let (near, far) = tcp_pair()?;
    // The timestamp of an acknowledgement comes with the packet, as it is without headers.
    let wanted = libc::SOF_TIMESTAMPING_TX_ACK | libc::SOF_TIMESTAMPING_SOFTWARE;
    set(
        &near,
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPING,
        wanted.cast_signed(),
    )?;
    let bytes = TIMES * LENGTH as u64;
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, TIMES, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, TIMES, bytes)
        .moves(Op::RecvPeek, "tcp", Class::CopiedToUser, TIMES, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(LENGTH)?;
        let mut to = Buffer::zeroed(2 * LENGTH)?;
        for _ in 0..TIMES {
            send(near.as_raw_fd(), &from, MsgFlags::empty())?;
            wait_for(&far, LENGTH)?;
            let length = recv(far.as_raw_fd(), &mut to, MsgFlags::empty())?;
            ensure!(length == LENGTH, "{length} bytes received");
            let mut waiting = [PollFd::new(near.as_fd(), PollFlags::POLLERR)];
            ensure!(poll(&mut waiting, 2_000_u16)? == 1, "no acknowledgement");
            to.fill(0);
            // With MSG_TRUNC, which changes nothing here.
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_TRUNC;
            let length = recv(near.as_raw_fd(), &mut to, flags)?;
            ensure!(length == LENGTH, "{length} bytes in the error queue");
            ensure!(to[..LENGTH] == from[..], "other bytes");
        }
        Ok(())
    }))
}

fn repaired(_: &Arena) -> Result<Prepared> {
    /// `TCP_SEND_QUEUE` of include/uapi/linux/tcp.h.
    const SEND_QUEUE: libc::c_int = 2;
    /// `TCP_REPAIR_OFF_NO_WP`: without a probe of the window.
    const OFF: libc::c_int = -1;
    let (near, far) = tcp_pair()?;
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 1, LENGTH as u64)
        .moves(Op::RecvPeek, "tcp", Class::CopiedToUser, 1, LENGTH as u64);
    let mut prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(LENGTH)?;
        let mut to = Buffer::zeroed(LENGTH)?;
        // What is sent while a connection is repaired stays in its queue.
        set(&near, libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)?;
        set(&near, libc::IPPROTO_TCP, libc::TCP_REPAIR_QUEUE, SEND_QUEUE)?;
        send(near.as_raw_fd(), &from, MsgFlags::empty())?;
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        let length = recv(near.as_raw_fd(), &mut to, flags)?;
        ensure!(length == LENGTH, "{length} bytes in the send queue");
        ensure!(to[..] == from[..], "other bytes");
        set(&near, libc::IPPROTO_TCP, libc::TCP_REPAIR, OFF)
    });
    prepared.keep.push(Box::new(far));
    Ok(prepared)
}
