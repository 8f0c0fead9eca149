//! Sends by reference over TCP that leave the machine as far as their sender knows: to another
//! network namespace, over a device that passes pages on, and over one that does not. There the kernel
//! copies every byte after the call, and again what it sends again.
//!
//! Who still has a reference, and who a copy, shows by itself: after the first send, its first byte is
//! changed where it was sent from, before anybody receives it.

use std::{fs::File, net::TcpStream, os::fd::AsRawFd as _, os::unix::fs::FileExt as _};

use anyhow::{Result, ensure};
use nix::{
    fcntl::{SpliceFFlags, splice},
    libc,
    sys::{
        sendfile::sendfile,
        socket::{MsgFlags, recv, send},
    },
};
use zctrace_common::{Class, Op};

use super::{
    pipe::roomy_pipe,
    zerocopy::{add_again, allow, and_notifications, count_again, notified},
};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::{mounts::Fs, veth::Veth},
    stage::{buffer::Buffer, sockets::enlarge},
    truth::exact::{calls, cut},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "sendfile-sg",
        "sendfile from tmpfs over TCP to another machine: by reference",
        |arena| from_file(arena, true),
    )
    .tag("sf-sg"),
    Traffic::new(
        "sendfile-nosg",
        "sendfile from tmpfs over TCP, device without scatter-gather: by reference, copied later",
        |arena| from_file(arena, false),
    )
    .tag("sf-nosg"),
    Traffic::new(
        "splice-nosg",
        "splice from tmpfs over TCP, device without scatter-gather: by reference, copied later",
        from_pipe,
    )
    .tag("sp-nosg"),
    Traffic::new(
        "zc-tcp-nosg",
        "MSG_ZEROCOPY over TCP, device without scatter-gather: by reference, copied later",
        from_memory,
    )
    .tag("zc-t-nosg"),
];

/// What the first byte becomes after it was sent.
const NEW: u8 = 0xee;

/// Both ends of a connection over the device, which is kept.
fn connected(gathers: bool) -> Result<(Veth, TcpStream, TcpStream)> {
    let (veth, listener) = Veth::apart(gathers)?;
    enlarge(&listener);
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        enlarge(end);
        end.set_nodelay(true)?;
    }
    Ok((veth, near, far))
}

/// Receives what was sent, and says whether its first byte is what was there when it was sent.
fn receive(far: &TcpStream, to: &mut [u8]) -> Result<bool> {
    let received = recv(far.as_raw_fd(), to, MsgFlags::MSG_WAITALL)?;
    ensure!(received == to.len(), "{received} of {} bytes", to.len());
    Ok(to[0] != NEW)
}

/// The rows of sends from a file whose first byte is changed, of their receives, and of that change.
fn expected(op: Op, object: &str, bytes: u64, calls: u64, copied: bool) -> Expected {
    let sends = ExpectedRow::new(op, object)
        .ops(calls)
        .class(Class::Spliced, bytes);
    Expected::new()
        .row(sends.deferred(if copied { bytes } else { 0 }))
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, bytes)
}

/// Changes the first byte of a file.
fn change(file: &File) -> Result<()> {
    let written = file.write_at(&[NEW], 0)?;
    ensure!(written == 1, "{written} bytes written");
    Ok(())
}

fn from_file(arena: &Arena, gathers: bool) -> Result<Prepared> {
    const OBJECT: &str = "file:tmpfs->tcp";
    let (bytes, chunk, shared) = (arena.sizes.bytes, arena.sizes.chunk, arena.shared);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (veth, near, far) = connected(gathers)?;
    let calls = calls(bytes, chunk);
    let expected = expected(Op::Sendfile, OBJECT, bytes, calls, !gathers).moves(
        Op::Write,
        "file:tmpfs",
        Class::CopiedFromUser,
        1,
        1,
    );
    let mut prepared = Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        for (offset, length) in cut(bytes, chunk) {
            let sent = sendfile(&near, &file, None, length)?;
            ensure!(sent == length, "{sent} of {length} bytes");
            if offset == 0 {
                change(&file)?;
                let copied = receive(&far, &mut to[..length])?;
                ensure!(copied != gathers, "copied: {copied}");
            } else {
                receive(&far, &mut to[..length])?;
            }
        }
        if !gathers {
            count_again(&near, shared)?;
        }
        Ok(())
    });
    prepared.keep.push(Box::new(veth));
    Ok(prepared.finish(move |expected| {
        add_again(expected, Op::Sendfile, OBJECT, shared);
        Ok(())
    }))
}

fn from_pipe(arena: &Arena) -> Result<Prepared> {
    const OBJECT: &str = "pipe->tcp";
    let (bytes, chunk, shared) = (arena.sizes.bytes, arena.sizes.chunk, arena.shared);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (out_of, into) = roomy_pipe()?;
    let (veth, near, far) = connected(false)?;
    let calls = calls(bytes, chunk);
    let expected = expected(Op::Splice, OBJECT, bytes, calls, true)
        .moves(Op::Splice, "file:tmpfs->pipe", Class::Spliced, calls, bytes)
        .moves(Op::Write, "file:tmpfs", Class::CopiedFromUser, 1, 1);
    let mut prepared = Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        for (offset, length) in cut(bytes, chunk) {
            let none = SpliceFFlags::empty();
            let taken = splice(&file, None, &into, None, length, none)?;
            let sent = splice(&out_of, None, &near, None, length, none)?;
            ensure!(
                taken == length && sent == length,
                "{taken}, {sent} of {length} bytes"
            );
            if offset == 0 {
                change(&file)?;
                ensure!(receive(&far, &mut to[..length])?, "the new byte came");
            } else {
                receive(&far, &mut to[..length])?;
            }
        }
        count_again(&near, shared)
    });
    prepared.keep.push(Box::new(veth));
    Ok(prepared.finish(move |expected| {
        add_again(expected, Op::Splice, OBJECT, shared);
        Ok(())
    }))
}

fn from_memory(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk, shared) = (arena.sizes.bytes, arena.sizes.chunk, arena.shared);
    let (veth, near, far) = connected(false)?;
    allow(&near)?;
    let sends = calls(bytes, chunk);
    let expected = expected(Op::SendZerocopy, "tcp", bytes, sends, true);
    let mut prepared = Prepared::new(expected, move || {
        let mut from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let zerocopy = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
        for (offset, length) in cut(bytes, chunk) {
            let sent = send(near.as_raw_fd(), &from[..length], zerocopy)?;
            ensure!(sent == length, "{sent} of {length} bytes");
            if offset == 0 {
                from[0] = NEW;
                ensure!(receive(&far, &mut to[..length])?, "the new byte came");
            } else {
                receive(&far, &mut to[..length])?;
            }
        }
        // Of copies that are made when packets are cut up, the kernel tells on some versions only.
        notified(&near, sends as u32, shared)?;
        count_again(&near, shared)
    });
    prepared.keep.push(Box::new(veth));
    Ok(and_notifications(prepared, "tcp", shared))
}
