//! A file goes into a pipe and from there to a socket, both by reference.

use anyhow::Result;
use nix::fcntl::{SpliceFFlags, splice};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
    receiver::received,
};
use crate::workload::{scene::mounts::Fs, stage::sockets::tcp_pair, traffic::pipe::roomy_pipe};

/// Bytes that fit into a pipe of 1 MiB however they lie in pages.
pub(super) const PIPE_MOST: usize = 512 << 10;

pub(super) const TECHNIQUE: Technique = Technique::new(
    "splice",
    "splice a file into a pipe and on to a TCP connection",
    Job::Serve,
    &[Variant::only("splice-b", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(PIPE_MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.source(Fs::Tmpfs)?;
    let (out_of, into) = roomy_pipe()?;
    let (near, far) = tcp_pair()?;
    let expected = Expected::new()
        .moves(Op::Splice, "file:tmpfs->pipe", Class::Spliced, calls, bytes)
        .moves(Op::Splice, "pipe->tcp", Class::Spliced, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let none = SpliceFFlags::empty();
        pieces.each(|offset, length| {
            let mut offset = offset.cast_signed();
            let some = splice(&file, Some(&mut offset), &into, None, length, none)?;
            splice(&out_of, None, &near, None, some, none)
        })
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}
