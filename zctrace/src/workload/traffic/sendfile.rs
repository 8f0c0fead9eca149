//! `sendfile`: by reference into a socket or a pipe, copied in the kernel into another file.

use std::os::fd::AsRawFd as _;

use anyhow::Result;
use nix::{
    sys::{
        sendfile::sendfile,
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair},
    },
    unistd::read,
};
use zctrace_common::{Class, Op};

use super::pipe::roomy_pipe;
use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    scene::mounts::Fs,
    stage::{buffer::Buffer, sockets::tcp_pair},
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "sendfile-tcp",
        "sendfile from tmpfs to a TCP socket: by reference",
        |arena| to_tcp(arena, Fs::Tmpfs),
    )
    .tag("sf-tcp"),
    Traffic::new(
        "sendfile-ext4-tcp",
        "sendfile from ext4 to a TCP socket: by reference",
        |arena| to_tcp(arena, Fs::Ext4),
    )
    .tag("sf-ext4-tcp"),
    Traffic::new(
        "sendfile-pipe",
        "sendfile from tmpfs into a pipe: by reference",
        to_pipe,
    )
    .tag("sf-pipe"),
    Traffic::new(
        "sendfile-file",
        "sendfile from tmpfs to tmpfs: copied once in the kernel",
        |arena| to_file(arena, Fs::Tmpfs),
    )
    .tag("sf-file"),
    Traffic::new(
        "sendfile-file-ext4",
        "sendfile from ext4 to ext4: copied once in the kernel",
        |arena| to_file(arena, Fs::Ext4),
    )
    .tag("sf-f-ext4"),
    Traffic::new(
        "sendfile-unix",
        "sendfile from ext4 to a unix stream: by reference",
        |arena| to_unix(arena, SockType::Stream, Class::Spliced),
    )
    .tag("sf-unix"),
    Traffic::new(
        "sendfile-unix-dgram",
        "sendfile from ext4 to a unix datagram socket: copied in the kernel",
        |arena| to_unix(arena, SockType::Datagram, Class::CopiedInKernel),
    )
    .tag("sf-unix-d"),
    Traffic::new(
        "sendfile-unix-seqpacket",
        "sendfile from ext4 to a unix socket of sequenced packets: copied in the kernel",
        |arena| to_unix(arena, SockType::SeqPacket, Class::CopiedInKernel),
    )
    .tag("sf-unix-s"),
];

/// What one datagram holds whatever the limits are.
const PACKET: usize = 4096;

/// Only a stream takes pages (6.5 and later by `MSG_SPLICE_PAGES`, before by `sendpage`).
fn to_unix(arena: &Arena, kind: SockType, class: Class) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let file = arena.file(Fs::Ext4, bytes)?;
    let (near, far) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
    let calls = calls(bytes, PACKET);
    let expected = Expected::new()
        .moves(Op::Sendfile, "file:ext4->unix", class, calls, bytes)
        .moves(Op::Recv, "unix", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(PACKET)?;
        exactly(bytes, PACKET, |_, length| {
            sendfile(&near, &file, None, length)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })
    }))
}

fn to_tcp(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.file(fs, bytes)?;
    let (near, far) = tcp_pair()?;
    let calls = calls(bytes, chunk);
    let object = format!("{}->tcp", fs.object());
    let expected = Expected::new()
        .moves(Op::Sendfile, &object, Class::Spliced, calls, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            sendfile(&near, &file, None, length)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })
    }))
}

fn to_pipe(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(
            Op::Sendfile,
            "file:tmpfs->pipe",
            Class::Spliced,
            calls,
            bytes,
        )
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            sendfile(&into, &file, None, length)?;
            read(&out_of, &mut to[..length])
        })
    }))
}

fn to_file(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let from = arena.file(fs, bytes)?;
    let to = arena.empty_file(fs)?;
    let object = format!("{0}->{0}", fs.object());
    let expected = Expected::new().moves(
        Op::Sendfile,
        &object,
        Class::CopiedInKernel,
        calls(bytes, chunk),
        bytes,
    );
    Ok(Prepared::new(expected, move || {
        exactly(bytes, chunk, |_, length| sendfile(&to, &from, None, length))
    }))
}
