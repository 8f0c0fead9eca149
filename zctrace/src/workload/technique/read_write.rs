//! The traditional path: a file is read into a buffer, and the buffer written to a socket.

use anyhow::Result;
use nix::{sys::uio::pread, unistd::write};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
    receiver::received,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{buffer::Buffer, sockets::tcp_pair},
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "read-write",
    "read a file into a buffer, write it to a TCP connection",
    Job::Serve,
    &[Variant::only("read-write", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.source(Fs::Tmpfs)?;
    let (near, far) = tcp_pair()?;
    let expected = Expected::new()
        .moves(Op::Read, "file:tmpfs", Class::CopiedToUser, calls, bytes)
        .moves(Op::Write, "tcp", Class::CopiedFromUser, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(pieces.chunk())?;
        pieces.each(|offset, length| {
            let some = pread(&file, &mut buffer[..length], offset.cast_signed())?;
            write(&near, &buffer[..some])
        })
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}
