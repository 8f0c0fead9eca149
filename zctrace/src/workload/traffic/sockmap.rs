//! A sockmap whose program puts what one socket sends into the queue of another one: past the network
//! stack, and copied in and out all the same.

use std::{net::TcpStream, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use aya::{Ebpf, maps::SockMap, programs::SkMsg};
use nix::{
    libc,
    sys::{
        sendfile::sendfile,
        socket::{MsgFlags, recv, send},
    },
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    scene::{mounts::Fs, object},
    stage::{
        buffer::Buffer,
        sockets::{recvmsg, sendmsg, tcp_pair},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "sockmap",
        "messages that a sockmap's program redirects to their receiver",
        prepare,
    ),
    Traffic::new(
        "sockmap-pulled",
        "messages that the kernel copies again for a sockmap's program",
        pulled,
    )
    .tag("sm-pulled"),
];

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/traffic-sockmap"));

/// Has a program work on what these sockets send, until what this returns is dropped.
fn work_on(sockets: &[&TcpStream], name: &str) -> Result<Ebpf> {
    let mut ebpf = object::load(OBJECT)?;
    let mut map: SockMap<_> = ebpf
        .take_map("SOCKETS")
        .context("no map of sockets")?
        .try_into()?;
    let program: &mut SkMsg = ebpf
        .program_mut(name)
        .context("no program for a sockmap")?
        .try_into()?;
    program.load().map_err(object::refused)?;
    program
        .attach(map.fd())
        .map_err(object::refused)
        .context("attaching a program to a sockmap")?;
    for (key, socket) in (0..).zip(sockets) {
        map.set(key, *socket, 0)
            .context("putting a socket into the map")?;
    }
    Ok(ebpf)
}

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    let redirected = work_on(&[&near, &far], "to_receiver")?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "tcp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Read, "tcp", Class::CopiedToUser, calls, bytes)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 2 * calls, 2 * bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 2 * calls, 2 * bytes)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 1, 800)
        .moves(Op::RecvPeek, "tcp", Class::CopiedToUser, 1, 800)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 1, 800);
    let mut prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let (near_fd, far_fd) = (near.as_raw_fd(), far.as_raw_fd());
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
            recvmsg(&far, &mut to[..length], libc::MSG_WAITALL)
        })?;
        send(near_fd, &from[..800], MsgFlags::empty())?;
        for flags in [MsgFlags::MSG_PEEK, MsgFlags::empty()] {
            ensure!(recv(far_fd, &mut to[..800], flags)? == 800, "short recv");
        }
        Ok(())
    });
    prepared.keep.push(Box::new(redirected));
    Ok(prepared)
}

/// What is copied again is nobody's. How `sendfile` copied, if it did, is not known.
fn pulled(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (near, far) = tcp_pair()?;
    let worked_on = work_on(&[&near], "pulled")?;
    let calls = calls(bytes, chunk);
    let object = "file:tmpfs->tcp";
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Sendfile, object, Class::Unexplained, calls, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 2 * calls, 2 * bytes);
    let mut prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let (near_fd, far_fd) = (near.as_raw_fd(), far.as_raw_fd());
        exactly(bytes, chunk, |_, length| {
            send(near_fd, &from[..length], MsgFlags::empty())?;
            recv(far_fd, &mut to[..length], MsgFlags::MSG_WAITALL)
        })?;
        exactly(bytes, chunk, |_, length| {
            sendfile(&near, &file, None, length)?;
            recv(far_fd, &mut to[..length], MsgFlags::MSG_WAITALL)
        })
    });
    prepared.keep.push(Box::new(worked_on));
    Ok(prepared)
}
