//! Sockets over IP that are neither TCP nor UDP.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    libc,
    sys::{
        sendfile::sendfile,
        socket::{
            Backlog, MsgFlags, SockaddrIn, accept, bind, connect, getsockname, listen, recv, send,
        },
    },
    unistd::{read, write},
};
use zctrace_common::{Class, IPPROTO_MPTCP, IPPROTO_SCTP, Op};

use crate::workload::{
    Arena, Expected, Prepared, Skip, Traffic,
    scene::mounts::Fs,
    stage::{
        buffer::Buffer,
        sockets::{enlarge, recvmsg, sendmsg},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "mptcp",
        "an MPTCP connection, sendfile included: copied in and out",
        mptcp,
    ),
    Traffic::new(
        "sctp",
        "an SCTP association: no site tells what becomes of what is sent",
        sctp,
    ),
    Traffic::new("raw", "packets of a raw socket", raw),
];

/// This machine, and any port.
fn here() -> SockaddrIn {
    SockaddrIn::new(127, 0, 0, 1, 0)
}

/// A socket that nix has no protocol for.
fn with_protocol(kind: libc::c_int, protocol: u16) -> Result<OwnedFd> {
    // SAFETY: the call has no memory arguments.
    let result = unsafe { libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, protocol.into()) };
    match Errno::result(result) {
        // SAFETY: a descriptor that nobody else has.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(errno) => Err(Skip(format!("no socket of protocol {protocol}: {errno}")).into()),
    }
}

/// Two ends of a connection over the loopback device.
fn connected(protocol: u16) -> Result<(OwnedFd, OwnedFd)> {
    let listener = with_protocol(libc::SOCK_STREAM, protocol)?;
    enlarge(&listener);
    bind(listener.as_raw_fd(), &here()).context("binding it")?;
    listen(&listener, Backlog::new(1)?)?;
    let address: SockaddrIn = getsockname(listener.as_raw_fd())?;
    let near = with_protocol(libc::SOCK_STREAM, protocol)?;
    enlarge(&near);
    connect(near.as_raw_fd(), &address).context("connecting over loopback")?;
    let far = accept(listener.as_raw_fd())?;
    // SAFETY: a descriptor that nobody else has.
    Ok((near, unsafe { OwnedFd::from_raw_fd(far) }))
}

fn mptcp(arena: &Arena) -> Result<Prepared> {
    const OBJECT: &str = "socket:mptcp";
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (near, far) = connected(IPPROTO_MPTCP)?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, OBJECT, Class::CopiedFromUser, calls, bytes)
        .moves(
            Op::Send,
            OBJECT,
            Class::CopiedFromUser,
            2 * calls,
            2 * bytes,
        )
        .moves(Op::Recv, OBJECT, Class::CopiedToUser, 4 * calls, 4 * bytes)
        .moves(
            Op::Sendfile,
            "file:tmpfs->socket:mptcp",
            Class::CopiedInKernel,
            calls,
            bytes,
        );
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let (near_fd, far_fd) = (near.as_raw_fd(), far.as_raw_fd());
        let mut receive = |length| recv(far_fd, &mut to[..length], MsgFlags::MSG_WAITALL);
        exactly(bytes, chunk, |_, length| {
            write(&near, &from[..length])?;
            receive(length)
        })?;
        exactly(bytes, chunk, |_, length| {
            send(near_fd, &from[..length], MsgFlags::empty())?;
            receive(length)
        })?;
        exactly(bytes, chunk, |_, length| {
            sendmsg(&near, &from[..length], 0)?;
            receive(length)
        })?;
        exactly(bytes, chunk, |_, length| {
            sendfile(&near, &file, None, length)?;
            receive(length)
        })
    }))
}

fn sctp(arena: &Arena) -> Result<Prepared> {
    const OBJECT: &str = "socket:sctp";
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = connected(IPPROTO_SCTP)?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Send, OBJECT, Class::Unexplained, calls, bytes)
        .moves(Op::Recv, OBJECT, Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            sendmsg(&near, &from[..length], 0)?;
            recvmsg(&far, &mut to[..length], 0)
        })
    }))
}

/// Each packet comes back to its sender, with the header that the kernel has put before it.
fn raw(arena: &Arena) -> Result<Prepared> {
    const OBJECT: &str = "socket:raw";
    /// For experiments (RFC 3692).
    const PROTOCOL: u16 = 253;
    const HEADER: usize = 20;
    // A packet of IP is no larger than 64 KiB.
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk.min(10_000));
    let both = with_protocol(libc::SOCK_RAW, PROTOCOL)?;
    enlarge(&both);
    connect(both.as_raw_fd(), &here())?;
    let calls = calls(bytes, chunk);
    let received = bytes + calls * HEADER as u64;
    let expected = Expected::new()
        .moves(Op::Send, OBJECT, Class::CopiedFromUser, calls, bytes)
        .moves(Op::Write, OBJECT, Class::CopiedFromUser, calls, bytes)
        .moves(Op::Recv, OBJECT, Class::CopiedToUser, calls, received)
        .moves(Op::Read, OBJECT, Class::CopiedToUser, calls, received);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk + HEADER)?;
        let fd = both.as_raw_fd();
        exactly(bytes, chunk, |_, length| {
            send(fd, &from[..length], MsgFlags::empty())?;
            Ok(recv(fd, &mut to, MsgFlags::empty())?.saturating_sub(HEADER))
        })?;
        exactly(bytes, chunk, |_, length| {
            write(&both, &from[..length])?;
            Ok(read(&both, &mut to)?.saturating_sub(HEADER))
        })
    }))
}
