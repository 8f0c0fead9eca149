//! `splice` and `tee`, which block and so are always left to a worker.

use std::os::fd::{AsRawFd as _, RawFd};

use anyhow::{Result, ensure};
use io_uring::{opcode, types::Fd};
use nix::unistd::read;
use zctrace_common::{Class, Op};

use super::ring::{Issue, Ring};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, scene::mounts::Fs, stage::buffer::Buffer,
    traffic::pipe::roomy_pipe,
};

/// A piece of the file: into a pipe by reference, from there into a second pipe twice, by tee and by
/// splice, and from it into another file, which copies.
pub(super) fn every(arena: &Arena, issue: Issue) -> Result<Prepared> {
    const CHUNK: usize = 32 * 1024;
    let rounds = (arena.sizes.bytes / CHUNK as u64).clamp(1, 32);
    let bytes = rounds * CHUNK as u64;
    let from = arena.file(Fs::Ext4, bytes)?;
    let to = arena.empty_file(Fs::Ext4)?;
    let (first_out, first_in) = roomy_pipe()?;
    let (second_out, second_in) = roomy_pipe()?;
    let row = |object, class| {
        ExpectedRow::new(Op::UringSplice, object)
            .ops(rounds)
            .class(class, bytes)
    };
    let expected = Expected::new()
        .row(row("file:ext4->pipe", Class::Spliced))
        .row(row("pipe->pipe", Class::Spliced))
        .row(row("pipe->file:ext4", Class::CopiedInKernel))
        .row(
            ExpectedRow::new(Op::UringTee, "pipe->pipe")
                .ops(rounds)
                .class(Class::Spliced, bytes),
        )
        .moves(Op::Read, "pipe", Class::CopiedToUser, rounds, bytes);
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        let mut copy = Buffer::zeroed(CHUNK)?;
        for round in 0..rounds {
            let offset = (round * CHUNK as u64).cast_signed();
            splice(
                &mut ring,
                from.as_raw_fd(),
                offset,
                first_in.as_raw_fd(),
                -1,
                CHUNK,
            )?;
            let (source, sink) = (Fd(first_out.as_raw_fd()), Fd(second_in.as_raw_fd()));
            let tee = opcode::Tee::new(source, sink, CHUNK as u32).build();
            // SAFETY: it points to nothing.
            unsafe { ring.submit(tee, 1) }?;
            ring.complete(CHUNK)?;
            ensure!(read(&second_out, &mut copy)? == CHUNK, "a short read");
            splice(
                &mut ring,
                first_out.as_raw_fd(),
                -1,
                second_in.as_raw_fd(),
                -1,
                CHUNK,
            )?;
            splice(
                &mut ring,
                second_out.as_raw_fd(),
                -1,
                to.as_raw_fd(),
                offset,
                CHUNK,
            )?;
        }
        Ok(())
    }))
}

fn splice(
    ring: &mut Ring,
    from: RawFd,
    from_offset: i64,
    to: RawFd,
    to_offset: i64,
    length: usize,
) -> Result<()> {
    let entry = opcode::Splice::new(Fd(from), from_offset, Fd(to), to_offset, length as u32);
    // SAFETY: it points to nothing.
    unsafe { ring.submit(entry.build(), 1) }?;
    ring.complete(length)?;
    Ok(())
}
