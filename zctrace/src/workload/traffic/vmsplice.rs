//! `vmsplice`: user pages go into a pipe by reference; out of a pipe it is a read by another name.

use std::{
    io::IoSlice,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::Result;
use nix::{
    errno::Errno,
    fcntl::{SpliceFFlags, splice, vmsplice},
    libc,
    sys::socket::{MsgFlags, recv},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use super::pipe::roomy_pipe;
use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    stage::{buffer::Buffer, mapping::page_size, sockets::tcp_pair},
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "vmsplice",
        "vmsplice into a pipe: by reference, until it is read",
        into_pipe,
    ),
    Traffic::new(
        "vmsplice-gift",
        "vmsplice with SPLICE_F_GIFT: no different",
        gift,
    )
    .tag("vmsp-gift"),
    Traffic::new(
        "vmsplice-out",
        "vmsplice out of a pipe: copied to the user",
        out_of_pipe,
    )
    .tag("vmsp-out"),
    Traffic::new(
        "vmsplice-tcp",
        "vmsplice into a pipe and splice on to a TCP socket: by reference",
        on_to_tcp,
    )
    .tag("vmsp-tcp"),
];

fn into_pipe(arena: &Arena) -> Result<Prepared> {
    with_flags(arena, SpliceFFlags::empty(), arena.sizes.chunk)
}

fn gift(arena: &Arena) -> Result<Prepared> {
    // A gift must be whole pages.
    with_flags(arena, SpliceFFlags::SPLICE_F_GIFT, 16 * page_size())
}

fn with_flags(arena: &Arena, flags: SpliceFFlags, chunk: usize) -> Result<Prepared> {
    let bytes = calls(arena.sizes.bytes, chunk) * chunk as u64;
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Vmsplice, "pipe", Class::Spliced, calls, bytes)
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            let some = vmsplice(&into, &[IoSlice::new(&from[..length])], flags)?;
            read(&out_of, &mut to[..some])
        })
    }))
}

fn on_to_tcp(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (out_of, into) = roomy_pipe()?;
    let (near, far) = tcp_pair()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Vmsplice, "pipe", Class::Spliced, calls, bytes)
        .moves(Op::Splice, "pipe->tcp", Class::Spliced, calls, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let none = SpliceFFlags::empty();
        exactly(bytes, chunk, |_, length| {
            let some = vmsplice(&into, &[IoSlice::new(&from[..length])], none)?;
            let some = splice(&out_of, None, &near, None, some, none)?;
            recv(far.as_raw_fd(), &mut to[..some], MsgFlags::MSG_WAITALL)
        })
    }))
}

fn out_of_pipe(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Vmsplice, "pipe", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            write(&into, &from[..length])?;
            vmsplice_out(&out_of, &mut to[..length])
        })
    }))
}

/// nix's `vmsplice` is for the other direction: its memory is only read.
fn vmsplice_out(pipe: &OwnedFd, to: &mut [u8]) -> nix::Result<usize> {
    let piece = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: to.len(),
    };
    // SAFETY: one piece of memory, borrowed mutably.
    let result = unsafe { libc::vmsplice(pipe.as_raw_fd(), &raw const piece, 1, 0) };
    Errno::result(result).map(isize::cast_unsigned)
}
