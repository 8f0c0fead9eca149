//! `tee`: what is in one pipe is in another one too, by reference.

use anyhow::Result;
use nix::{
    fcntl::{SpliceFFlags, tee},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use super::pipe::roomy_pipe;
use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "tee",
    "tee from a pipe to a pipe: by reference",
    prepare,
)];

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (first, second) = (roomy_pipe()?, roomy_pipe()?);
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Tee, "pipe->pipe", Class::Spliced, calls, bytes)
        .moves(Op::Read, "pipe", Class::CopiedToUser, 2 * calls, 2 * bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            write(&first.1, &from[..length])?;
            let some = tee(&first.0, &second.1, length, SpliceFFlags::empty())?;
            read(&first.0, &mut to[..some])?;
            read(&second.0, &mut to[..some])
        })
    }))
}
