//! A file goes to a socket by reference to the page cache.

use anyhow::Result;
use nix::sys::sendfile::sendfile;
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
    receiver::received,
};
use crate::workload::{scene::mounts::Fs, stage::sockets::tcp_pair};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "sendfile",
    "send a file to a TCP connection with sendfile",
    Job::Serve,
    &[Variant::only("sendfile", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.source(Fs::Tmpfs)?;
    let (near, far) = tcp_pair()?;
    let expected = Expected::new().moves(
        Op::Sendfile,
        "file:tmpfs->tcp",
        Class::Spliced,
        calls,
        bytes,
    );
    let prepared = Prepared::new(expected, move || {
        pieces.each(|offset, length| {
            let mut offset = offset.cast_signed();
            sendfile(&near, &file, Some(&mut offset), length)
        })
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}
