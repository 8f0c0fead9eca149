//! Splice requests: a file goes into a pipe and on to a socket by reference, by threads of the
//! kernel, because splices can block.

use std::os::fd::AsRawFd as _;

use anyhow::Result;
use io_uring::{opcode, types::Fd};
use zctrace_common::{Class, Op};

use super::{
    super::{
        super::{Expected, Prepared},
        Job, Ready, Setting, Technique, Variant,
        receiver::received,
        splice::PIPE_MOST,
    },
    in_order,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::sockets::tcp_pair,
    traffic::{
        pipe::roomy_pipe,
        uring::ring::{Issue, Ring, needs},
    },
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-splice",
    "splice a file to a TCP connection with io_uring",
    Job::Serve,
    &[Variant::only("ur-splice", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[opcode::Splice::CODE])?;
    let pieces = setting.parameters.pieces(PIPE_MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.source(Fs::Tmpfs)?;
    let (out_of, into) = roomy_pipe()?;
    let (near, far) = tcp_pair()?;
    let (op, spliced) = (Op::UringSplice, Class::Spliced);
    let expected = Expected::new()
        .moves(op, "file:tmpfs->pipe", spliced, calls, bytes)
        .moves(op, "pipe->tcp", spliced, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let mut ring = Ring::new(Issue::Inline)?;
        let [file_fd, into_fd, out_fd, near_fd] = [
            Fd(file.as_raw_fd()),
            Fd(into.as_raw_fd()),
            Fd(out_of.as_raw_fd()),
            Fd(near.as_raw_fd()),
        ];
        // SAFETY: the requests point to nothing.
        unsafe {
            in_order(&mut ring, pieces, 2, |(offset, length), requests| {
                let offset = offset.cast_signed();
                let bytes = length as u32;
                let first = opcode::Splice::new(file_fd, offset, into_fd, -1, bytes);
                let second = opcode::Splice::new(out_fd, -1, near_fd, -1, bytes);
                requests.push((first.build(), length));
                requests.push((second.build(), length));
            })
        }
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}
