//! A bouquet for people: the same file served in three ways, and what else a server may do with
//! it. Every line of the ledger is one technique, and its numbers speak for themselves.

use std::{fs::File, net::TcpStream, os::fd::AsRawFd as _};

use anyhow::Result;
use nix::{
    fcntl::{SpliceFFlags, splice},
    libc,
    sys::{
        mman::MapFlags,
        sendfile::sendfile,
        socket::{MsgFlags, recv},
    },
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use super::pipe::roomy_pipe;
use crate::workload::{
    Arena, Expected, ExpectedRow, Group, Prepared, Traffic,
    scene::mounts::Fs,
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
        sockets::tcp_pair,
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    demo(
        "demo-read-write",
        "serve a file with read and write: two copies a byte",
        read_write,
    )
    .tag("read+write"),
    demo(
        "demo-sendfile",
        "serve a file with sendfile: none",
        send_file,
    )
    .tag("sendfile"),
    demo(
        "demo-splice",
        "serve a file with splice, through a pipe: none",
        splice_file,
    )
    .tag("splice"),
    demo(
        "demo-copy",
        "copy a file with copy_file_range: one, in the kernel",
        copy,
    )
    .tag("file-copy"),
    demo(
        "demo-clone",
        "copy a file with copy_file_range on btrfs: none, extents are shared",
        clone,
    )
    .tag("file-clone"),
    demo(
        "demo-pipe",
        "pass a stream through a pipe: two copies a byte",
        through_pipe,
    )
    .tag("cat-pipe"),
    demo(
        "demo-direct",
        "read a file with O_DIRECT: past the page cache",
        direct,
    )
    .tag("o-direct"),
    demo(
        "demo-mmap",
        "read a file through a mapping: made visible, not copied",
        mapped,
    )
    .tag("mmap-read"),
    demo(
        "demo-mmap-write",
        "change a private mapping of a file: each page copied on write",
        private,
    )
    .tag("mmap-cow"),
];

const fn demo(
    name: &'static str,
    summary: &'static str,
    prepare: fn(&Arena) -> Result<Prepared>,
) -> Traffic {
    Traffic::new(name, summary, prepare).group(Group::Demo)
}

/// Bytes per call: what real programs use.
const CHUNK: usize = 64 * 1024;
/// Bytes per technique: round, for people; whole pages and whole calls. So many that what each
/// process faults in of the program itself is little beside them.
const BYTES: u64 = 64 << 20;
const CALLS: u64 = calls(BYTES, CHUNK);

/// A client that receives all of it, in a process of its own.
fn served(prepared: Prepared, client: TcpStream) -> Prepared {
    let mut prepared = prepared.peer(move || {
        let mut to = Buffer::zeroed(CHUNK)?;
        exactly(BYTES, CHUNK, |_, length| {
            recv(client.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })
    });
    prepared.expected.add(
        ExpectedRow::new(Op::Recv, "tcp")
            .ops(CALLS)
            .class(Class::CopiedToUser, BYTES)
            .of(Prepared::PEER),
    );
    prepared
}

fn read_write(arena: &Arena) -> Result<Prepared> {
    let file = arena.common_file(Fs::Tmpfs, BYTES, 0)?;
    let (server, client) = tcp_pair()?;
    let expected = Expected::new()
        .moves(Op::Read, "file:tmpfs", Class::CopiedToUser, CALLS, BYTES)
        .moves(Op::Write, "tcp", Class::CopiedFromUser, CALLS, BYTES);
    let prepared = Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(CHUNK)?;
        exactly(BYTES, CHUNK, |_, length| {
            read(&file, &mut buffer[..length])?;
            write(&server, &buffer[..length])
        })
    });
    Ok(served(prepared, client))
}

fn send_file(arena: &Arena) -> Result<Prepared> {
    let file = arena.common_file(Fs::Tmpfs, BYTES, 0)?;
    let (server, client) = tcp_pair()?;
    let expected = Expected::new().moves(
        Op::Sendfile,
        "file:tmpfs->tcp",
        Class::Spliced,
        CALLS,
        BYTES,
    );
    let prepared = Prepared::new(expected, move || {
        exactly(BYTES, CHUNK, |_, length| {
            sendfile(&server, &file, None, length)
        })
    });
    Ok(served(prepared, client))
}

fn splice_file(arena: &Arena) -> Result<Prepared> {
    let file = arena.common_file(Fs::Tmpfs, BYTES, 0)?;
    let (out_of, into) = roomy_pipe()?;
    let (server, client) = tcp_pair()?;
    let expected = Expected::new()
        .moves(Op::Splice, "file:tmpfs->pipe", Class::Spliced, CALLS, BYTES)
        .moves(Op::Splice, "pipe->tcp", Class::Spliced, CALLS, BYTES);
    let prepared = Prepared::new(expected, move || {
        let none = SpliceFFlags::empty();
        exactly(BYTES, CHUNK, |_, length| {
            let some = splice(&file, None, &into, None, length, none)?;
            splice(&out_of, None, &server, None, some, none)
        })
    });
    Ok(served(prepared, client))
}

fn copy(arena: &Arena) -> Result<Prepared> {
    copied(arena, Fs::Tmpfs, Class::CopiedInKernel)
}

fn clone(arena: &Arena) -> Result<Prepared> {
    copied(arena, Fs::Btrfs, Class::Cloned)
}

fn copied(arena: &Arena, fs: Fs, class: Class) -> Result<Prepared> {
    let (from, to) = (arena.common_file(fs, BYTES, 0)?, arena.empty_file(fs)?);
    let object = format!("{0}->{0}", fs.object());
    let expected = Expected::new().moves(Op::CopyFileRange, &object, class, CALLS, BYTES);
    Ok(Prepared::new(expected, move || {
        exactly(BYTES, CHUNK, |_, length| {
            nix::fcntl::copy_file_range(&from, None, &to, None, length)
        })
    }))
}

fn through_pipe(_: &Arena) -> Result<Prepared> {
    let (out_of, into) = roomy_pipe()?;
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, CALLS, BYTES)
        .moves(Op::Read, "pipe", Class::CopiedToUser, CALLS, BYTES);
    Ok(Prepared::new(expected, move || {
        let mut buffer = Buffer::filled(CHUNK)?;
        exactly(BYTES, CHUNK, |_, length| {
            write(&into, &buffer[..length])?;
            read(&out_of, &mut buffer[..length])
        })
    }))
}

fn direct(arena: &Arena) -> Result<Prepared> {
    let file = arena.common_file(Fs::Ext4, BYTES, libc::O_DIRECT)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Read, "file:ext4")
            .ops(CALLS)
            .class(Class::Direct, BYTES)
            .evidence(arena.direct_evidence(Fs::Ext4)),
    );
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(CHUNK)?;
        exactly(BYTES, CHUNK, |_, length| read(&file, &mut to[..length]))
    }))
}

fn pages() -> usize {
    BYTES as usize / page_size()
}

fn mapping(file: &File) -> Result<Mapping> {
    Mapping::of_file(file, pages(), MapFlags::MAP_PRIVATE)
}

/// The number of faults is the kernel's choice, so only a lower bound is known.
fn mapped(arena: &Arena) -> Result<Prepared> {
    let file = arena.common_file(Fs::Tmpfs, BYTES, 0)?;
    let row = ExpectedRow::new(Op::FaultMap, "file:tmpfs").class(Class::Mapped, BYTES);
    Ok(Prepared::new(
        Expected::new().row(row.at_least()),
        move || {
            mapping(&file)?.read_pages();
            Ok(())
        },
    ))
}

fn private(arena: &Arena) -> Result<Prepared> {
    let file = arena.common_file(Fs::Tmpfs, BYTES, 0)?;
    let row = ExpectedRow::new(Op::FaultCow, "file:tmpfs")
        .ops(pages() as u64)
        .class(Class::Mapped, BYTES)
        .cow(BYTES);
    Ok(Prepared::new(Expected::new().row(row), move || {
        mapping(&file)?.write_pages();
        Ok(())
    }))
}
