//! `splice` into and out of a unix stream: by reference both ways, if the bytes came by reference.
//! (What `send` puts into a unix stream lies partly in the packets' linear buffers, which a splice
//! has to copy; how much is the kernel's choice.)

use std::os::unix::net::UnixStream;

use anyhow::Result;
use nix::{
    fcntl::{SpliceFFlags, splice},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use super::pipe::roomy_pipe;
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    stage::{buffer::Buffer, sockets::enlarge},
    truth::exact::{at_most, calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "splice-unix",
    "splice from a pipe into a unix stream and on into a pipe: by reference",
    prepare,
)
.tag("sp-unix")];

/// Counter of splices out of the socket, which move a packet or more.
const SPLICES: usize = 0;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (first, second) = (roomy_pipe()?, roomy_pipe()?);
    let (near, far) = UnixStream::pair()?;
    enlarge(&near);
    enlarge(&far);
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Splice, "pipe->unix", Class::Spliced, calls, bytes)
        .moves(Op::Splice, "unix->pipe", Class::Spliced, 0, bytes)
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, bytes);
    let shared = arena.shared;
    let none = SpliceFFlags::empty();
    let prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let mut splices = 0;
        exactly(bytes, chunk, |_, length| {
            write(&first.1, &from[..length])?;
            splice(&first.0, None, &near, None, length, none)?;
            let out_of_socket = at_most(length as u64, length, |left| {
                splice(&far, None, &second.1, None, left, none)
            });
            splices += out_of_socket.map_err(|_| nix::errno::Errno::EIO)?;
            read(&second.0, &mut to[..length])
        })?;
        shared.count(SPLICES, splices);
        Ok(())
    });
    Ok(prepared.finish(move |expected| {
        expected.add(ExpectedRow::new(Op::Splice, "unix->pipe").ops(shared.counted(SPLICES)));
        Ok(())
    }))
}
