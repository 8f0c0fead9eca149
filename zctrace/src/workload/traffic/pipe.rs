//! Pipes: copied in, copied out.

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::OwnedFd,
};

use anyhow::{Context as _, Result};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::uio::{readv, writev},
    unistd::{pipe2, read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "pipe",
    "writes to a pipe and reads from it",
    prepare,
)];

/// A pipe, its end to read from first, that holds more than a call of any family puts into it.
pub(in crate::workload) fn roomy_pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (out_of, into) = pipe2(OFlag::O_CLOEXEC).context("making a pipe")?;
    fcntl(&into, FcntlArg::F_SETPIPE_SZ(1 << 20)).context("enlarging a pipe")?;
    Ok((out_of, into))
}

/// Takes as many bytes out of a pipe as `buffer` holds, with one call.
pub(in crate::workload) fn take(out_of: &OwnedFd, buffer: &mut [u8]) -> Result<()> {
    exactly(buffer.len() as u64, buffer.len(), |_, _| {
        read(out_of, buffer)
    })
}

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (out_of, into) = roomy_pipe()?;
    let calls = 2 * calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, calls, 2 * bytes)
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, 2 * bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            write(&into, &from[..length])?;
            read(&out_of, &mut to[..length])
        })?;
        exactly(bytes, chunk, |_, length| {
            let (first, second) = from[..length].split_at(length / 3);
            writev(&into, &[IoSlice::new(first), IoSlice::new(second)])?;
            let (first, second) = to[..length].split_at_mut(length / 2);
            readv(
                &out_of,
                &mut [IoSliceMut::new(first), IoSliceMut::new(second)],
            )
        })
    }))
}
