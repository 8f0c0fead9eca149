//! `O_DIRECT` writes: past the page cache, where the filesystem does not copy after all.

use anyhow::Result;
use nix::{libc, sys::uio::pwrite};
use zctrace_common::{Class, Evidence, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Ready, Setting, Technique, Variant,
    direct_read::{aligned, unless_refused},
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{buffer::Buffer, mapping::page_size},
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "direct-write",
    "write a file with O_DIRECT",
    Job::WriteFile,
    &[
        Variant::new("ext4", "past the page cache", "dir-w-ext4", |setting| {
            write(setting, Fs::Ext4, Class::Direct)
        }),
        Variant::new("tmpfs", "copied after all", "dir-w-tmpfs", |setting| {
            write(setting, Fs::Tmpfs, Class::CopiedFromUser)
        }),
    ],
);

fn write(setting: &Setting<'_>, fs: Fs, class: Class) -> Result<Ready> {
    let mut parameters = aligned(setting.parameters);
    parameters.bytes = parameters.bytes.next_multiple_of(page_size() as u64);
    parameters.file = parameters.file.next_multiple_of(page_size() as u64);
    let pieces = parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let arena = setting.arena;
    let file = arena
        .file_with(fs, 0, libc::O_DIRECT)
        .map_err(unless_refused)?;
    let evidence = match class {
        Class::Direct => arena.direct_evidence(fs),
        _ => Evidence::Measured,
    };
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Write, fs.object())
            .ops(calls)
            .class(class, bytes)
            .evidence(evidence),
    );
    let prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(pieces.chunk())?;
        pieces.each(|offset, length| pwrite(&file, &from[..length], offset.cast_signed()))
    });
    Ok(Ready::new(bytes, prepared))
}
