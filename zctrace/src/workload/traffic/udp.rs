//! UDP over loopback: copied in, copied out. How the kernel stores a datagram depends on its size
//! and on how it was sent, and so does which routine copies it out.

use std::{net::UdpSocket, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc,
    sys::socket::{MsgFlags, recv, send, setsockopt, sockopt},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Skip, Traffic,
    stage::{
        buffer::Buffer,
        sockets::{recvmmsg, recvmsg, sendmmsg, sendmsg, udp_pair, udp_pair_on},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new("udp-small", "UDP datagrams of 200 bytes", |arena| {
        of_size(arena, 200, udp_pair()?)
    }),
    Traffic::new("udp6", "UDP datagrams of 200 bytes over IPv6", |arena| {
        of_size(arena, 200, udp_pair_on("[::1]:0").map_err(no_ipv6)?)
    }),
    Traffic::new("udp-1400", "UDP datagrams of 1400 bytes", |arena| {
        of_size(arena, 1400, udp_pair()?)
    }),
    Traffic::new("udp-large", "UDP datagrams of 40000 bytes", |arena| {
        of_size(arena, 40_000, udp_pair()?)
    }),
    Traffic::new(
        "udp-corked",
        "UDP datagrams put together from three sends",
        corked,
    ),
    Traffic::new(
        "udp-trunc",
        "UDP receives with MSG_TRUNC and too little room",
        trunc,
    ),
    Traffic::new(
        "udp-gso",
        "UDP sends that the kernel cuts into datagrams",
        gso,
    ),
];

fn no_ipv6(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<std::io::Error>() {
        Some(cause) if cause.kind() == std::io::ErrorKind::AddrNotAvailable => {
            Skip("no address of IPv6".to_owned()).into()
        }
        _ => error,
    }
}

/// Messages per `sendmmsg` and `recvmmsg`.
const BATCH: usize = 8;
/// Datagrams of the families that test a special case.
const FEW: u64 = 16;

/// One pass each by write and read, send and recv, sendmsg and recvmsg; then a batch and a peek.
fn of_size(arena: &Arena, size: usize, (near, far): (UdpSocket, UdpSocket)) -> Result<Prepared> {
    // Small datagrams are many: a tenth of the bytes will do.
    let bytes = arena.sizes.bytes / if size < 10_000 { 10 } else { 1 };
    let calls = calls(bytes, size);
    let batch = (BATCH * size) as u64;
    let one = size as u64;
    let expected = Expected::new()
        .moves(Op::Write, "udp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Read, "udp", Class::CopiedToUser, calls, bytes)
        .moves(Op::Send, "udp", Class::CopiedFromUser, 2 * calls, 2 * bytes)
        .moves(Op::Recv, "udp", Class::CopiedToUser, 2 * calls, 2 * bytes)
        .moves(Op::Send, "udp", Class::CopiedFromUser, BATCH as u64, batch)
        .moves(Op::Recv, "udp", Class::CopiedToUser, BATCH as u64, batch)
        .moves(Op::Send, "udp", Class::CopiedFromUser, 1, one)
        .moves(Op::RecvPeek, "udp", Class::CopiedToUser, 1, one)
        .moves(Op::Recv, "udp", Class::CopiedToUser, 1, one);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(size)?;
        let mut to = Buffer::zeroed(BATCH * size)?;
        let (near_fd, far_fd) = (near.as_raw_fd(), far.as_raw_fd());
        exactly(bytes, size, |_, length| {
            write(&near, &from[..length])?;
            read(&far, &mut to[..length])
        })?;
        exactly(bytes, size, |_, length| {
            send(near_fd, &from[..length], MsgFlags::empty())?;
            recv(far_fd, &mut to[..length], MsgFlags::empty())
        })?;
        exactly(bytes, size, |_, length| {
            sendmsg(&near, &from[..length], 0)?;
            recvmsg(&far, &mut to[..length], 0)
        })?;

        ensure!(sendmmsg(&near, &from, BATCH)? == BATCH, "short batch");
        let lengths = recvmmsg(&far, &mut to, size, 0)?;
        ensure!(lengths == [size; BATCH], "batch of {lengths:?}");

        send(near_fd, &from, MsgFlags::empty())?;
        for flags in [MsgFlags::MSG_PEEK, MsgFlags::empty()] {
            ensure!(recv(far_fd, &mut to[..size], flags)? == size, "short recv");
        }
        Ok(())
    }))
}

fn corked(_: &Arena) -> Result<Prepared> {
    const PIECE: usize = 10_000;
    let (near, far) = udp_pair()?;
    let bytes = FEW * 3 * PIECE as u64;
    let expected = Expected::new()
        .moves(Op::Send, "udp", Class::CopiedFromUser, 3 * FEW, bytes)
        .moves(Op::Recv, "udp", Class::CopiedToUser, FEW, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(PIECE)?;
        let mut to = Buffer::zeroed(3 * PIECE)?;
        let more = MsgFlags::from_bits_retain(libc::MSG_MORE);
        exactly(bytes, 3 * PIECE, |_, length| {
            for flags in [more, more, MsgFlags::empty()] {
                send(near.as_raw_fd(), &from, flags)?;
            }
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::empty())
        })
    }))
}

/// What is returned is the datagram's length, but only what fits was moved.
fn trunc(_: &Arena) -> Result<Prepared> {
    const SENT: usize = 1400;
    const ROOM: usize = 100;
    /// Has room enough.
    const SHORT: usize = 40;
    let (near, far) = udp_pair()?;
    let messages = FEW + BATCH as u64;
    let sent = messages * SENT as u64;
    let moved = messages * ROOM as u64;
    let [room, short] = [ROOM, SHORT].map(|length| length as u64);
    let expected = Expected::new()
        .moves(Op::Send, "udp", Class::CopiedFromUser, messages, sent)
        .moves(Op::Send, "udp", Class::CopiedFromUser, 1, short)
        .moves(Op::RecvPeek, "udp", Class::CopiedToUser, 1, room)
        .moves(Op::Recv, "udp", Class::CopiedToUser, messages, moved)
        .moves(Op::Recv, "udp", Class::CopiedToUser, 1, short);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(SENT)?;
        let mut to = Buffer::zeroed((BATCH + 1) * ROOM)?;
        for _ in 0..FEW {
            send(near.as_raw_fd(), &from, MsgFlags::empty())?;
            let length = recvmsg(&far, &mut to[..ROOM], libc::MSG_TRUNC)?;
            ensure!(length == SENT, "MSG_TRUNC returned {length}");
        }

        ensure!(sendmmsg(&near, &from, BATCH)? == BATCH, "short batch");
        send(near.as_raw_fd(), &from[..SHORT], MsgFlags::empty())?;
        let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        let length = recv(far.as_raw_fd(), &mut to[..ROOM], peek)?;
        ensure!(length == SENT, "MSG_PEEK returned {length}");
        let lengths = recvmmsg(&far, &mut to, ROOM, libc::MSG_TRUNC)?;
        let mut expected = vec![SENT; BATCH];
        expected.push(SHORT);
        ensure!(lengths == expected, "batch of {lengths:?}");
        Ok(())
    }))
}

fn gso(_: &Arena) -> Result<Prepared> {
    const SEGMENT: usize = 1000;
    const SEGMENTS: usize = 20;
    let (near, far) = udp_pair()?;
    segment(&near, SEGMENT)?;
    let bytes = FEW * (SEGMENT * SEGMENTS) as u64;
    let received = FEW * SEGMENTS as u64;
    let expected = Expected::new()
        .moves(Op::Send, "udp", Class::CopiedFromUser, FEW, bytes)
        .moves(Op::Recv, "udp", Class::CopiedToUser, received, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(SEGMENT * SEGMENTS)?;
        let mut to = Buffer::zeroed(SEGMENT)?;
        exactly(bytes, from.len(), |_, length| {
            let sent = send(near.as_raw_fd(), &from[..length], MsgFlags::empty())?;
            for _ in 0..SEGMENTS {
                recv(far.as_raw_fd(), &mut to, MsgFlags::empty())?;
            }
            Ok(sent)
        })
    }))
}

fn segment(socket: &UdpSocket, size: usize) -> Result<()> {
    setsockopt(socket, sockopt::UdpGsoSegment, &(size as libc::c_int)).context("UDP_SEGMENT")
}
