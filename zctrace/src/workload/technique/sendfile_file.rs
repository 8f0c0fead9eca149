//! `sendfile` from a file to a file, which is a copy in spite of its name.

use anyhow::Result;
use nix::{
    sys::sendfile::sendfile,
    unistd::{Whence, lseek},
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::scene::mounts::Fs;

pub(super) const TECHNIQUE: Technique = Technique::new(
    "sendfile-file",
    "copy a file with sendfile",
    Job::CopyFile,
    &[Variant::only("sf-file-b", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let from = setting.source(Fs::Tmpfs)?;
    let to = setting.arena.empty_file(Fs::Tmpfs)?;
    let expected = Expected::new().moves(
        Op::Sendfile,
        "file:tmpfs->file:tmpfs",
        Class::CopiedInKernel,
        calls,
        bytes,
    );
    let prepared = Prepared::new(expected, move || {
        pieces.each(|offset, length| {
            let mut offset = offset.cast_signed();
            if offset == 0 {
                lseek(&to, 0, Whence::SeekSet)?;
            }
            sendfile(&to, &from, Some(&mut offset), length)
        })
    });
    Ok(Ready::new(bytes, prepared))
}
