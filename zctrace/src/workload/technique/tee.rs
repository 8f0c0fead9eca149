//! One stream goes to two connections: `tee` doubles the references, not the bytes.

use anyhow::Result;
use nix::fcntl::{SpliceFFlags, splice, tee};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
    receiver::{receive, row},
    splice::PIPE_MOST,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{buffer::Buffer, sockets::tcp_pair},
    traffic::pipe::roomy_pipe,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "tee",
    "send one stream to two TCP connections",
    Job::Serve,
    &[Variant::only("tee-b", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(PIPE_MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.source(Fs::Tmpfs)?;
    let (first, second) = (roomy_pipe()?, roomy_pipe()?);
    let (near, far) = (tcp_pair()?, tcp_pair()?);
    let expected = Expected::new()
        .moves(Op::Splice, "file:tmpfs->pipe", Class::Spliced, calls, bytes)
        .moves(Op::Tee, "pipe->pipe", Class::Spliced, calls, bytes)
        .moves(
            Op::Splice,
            "pipe->tcp",
            Class::Spliced,
            2 * calls,
            2 * bytes,
        )
        .row(row(2 * calls, 2 * bytes));
    let prepared = Prepared::new(expected, move || {
        let none = SpliceFFlags::empty();
        pieces.each(|offset, length| {
            let mut offset = offset.cast_signed();
            let some = splice(&file, Some(&mut offset), &first.1, None, length, none)?;
            let some = tee(&first.0, &second.1, some, none)?;
            let some = splice(&first.0, None, &near.0, None, some, none)?;
            splice(&second.0, None, &far.0, None, some, none)
        })
    });
    let prepared = prepared.peer(move || {
        let mut to = Buffer::zeroed(pieces.chunk())?;
        pieces.each(|_, length| {
            for end in [&near.1, &far.1] {
                receive(end, &mut to[..length], length as u64)
                    .map_err(|_| nix::errno::Errno::EIO)?;
            }
            Ok(length)
        })
    });
    Ok(Ready::new(bytes, prepared))
}
