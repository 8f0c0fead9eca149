//! A file is read into a buffer, and the buffer written to another file: how most programs copy files.

use anyhow::Result;
use nix::sys::uio::{pread, pwrite};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{scene::mounts::Fs, stage::buffer::Buffer};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "read-write-file",
    "read a file into a buffer, write it to another file",
    Job::CopyFile,
    &[
        Variant::new("tmpfs", "in memory", "rw-f-tmpfs", |setting| {
            copied(setting, Fs::Tmpfs)
        }),
        Variant::new("ext4", "in the page cache", "rw-f-ext4", |setting| {
            copied(setting, Fs::Ext4)
        }),
        Variant::new("btrfs", "in the page cache", "rw-f-btrfs", |setting| {
            copied(setting, Fs::Btrfs)
        }),
        Variant::new("xfs", "in the page cache", "rw-f-xfs", |setting| {
            copied(setting, Fs::Xfs)
        }),
    ],
);

fn copied(setting: &Setting<'_>, fs: Fs) -> Result<Ready> {
    let parameters = setting.parameters;
    let pieces = parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let from = setting.arena.common_file(fs, parameters.length(), 0)?;
    let to = setting.arena.empty_file(fs)?;
    let object = fs.object();
    let expected = Expected::new()
        .moves(Op::Read, object, Class::CopiedToUser, calls, bytes)
        .moves(Op::Write, object, Class::CopiedFromUser, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(pieces.chunk())?;
        pieces.each(|offset, length| {
            let some = pread(&from, &mut buffer[..length], offset.cast_signed())?;
            pwrite(&to, &buffer[..some], offset.cast_signed())
        })
    });
    Ok(Ready::new(bytes, prepared))
}
