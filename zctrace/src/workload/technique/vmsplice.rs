//! User pages are given to a pipe and on to a socket, by reference. (They must not be changed until
//! the other side has them: nothing tells when that is. Here they never change.)

use std::io::IoSlice;

use anyhow::Result;
use nix::fcntl::{SpliceFFlags, splice, vmsplice};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
    receiver::received,
    splice::PIPE_MOST,
};
use crate::workload::{
    stage::{buffer::Buffer, sockets::tcp_pair},
    traffic::pipe::roomy_pipe,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "vmsplice",
    "give memory to a pipe and on to a TCP connection",
    Job::SendMemory,
    &[Variant::only("vmsplice-b", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(PIPE_MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let (out_of, into) = roomy_pipe()?;
    let (near, far) = tcp_pair()?;
    let expected = Expected::new()
        .moves(Op::Vmsplice, "pipe", Class::Spliced, calls, bytes)
        .moves(Op::Splice, "pipe->tcp", Class::Spliced, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let buffer = Buffer::filled(pieces.chunk())?;
        let none = SpliceFFlags::empty();
        pieces.each(|_, length| {
            let some = vmsplice(&into, &[IoSlice::new(&buffer[..length])], none)?;
            splice(&out_of, None, &near, None, some, none)
        })
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}
