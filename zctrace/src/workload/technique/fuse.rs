//! A filesystem in user space: every request goes to a process and back, and the data is copied
//! there and back too.

use std::fs;

use anyhow::Result;
use nix::sys::uio::{pread, pwrite};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{scene::mounts::Fs, stage::buffer::Buffer};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "fuse",
    "write a file on a filesystem in user space, and read it",
    Job::WriteFile,
    &[Variant::only("fuse-b", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let mut parameters = setting.parameters;
    parameters.bytes = parameters.length();
    let pieces = parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    // Mounted for this run, so that the time of its process is part of it.
    let mount = setting.arena.mount(Fs::Fuse)?;
    let path = mount.path().join("file");
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    let expected = Expected::new()
        .moves(Op::Write, "file:fuse", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Read, "file:fuse", Class::CopiedToUser, calls, bytes);
    let mut prepared = Prepared::new(expected, move || {
        let mut buffer = Buffer::filled(pieces.chunk())?;
        pieces.each(|offset, length| pwrite(&file, &buffer[..length], offset.cast_signed()))?;
        pieces.each(|offset, length| pread(&file, &mut buffer[..length], offset.cast_signed()))
    });
    prepared.keep.push(Box::new(mount));
    Ok(Ready::new(bytes, prepared))
}
