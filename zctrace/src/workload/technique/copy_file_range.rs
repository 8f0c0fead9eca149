//! `copy_file_range`: shared extents where the filesystem can, else a copy in the kernel.

use anyhow::Result;
use nix::fcntl::copy_file_range;
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::scene::mounts::Fs;

pub(super) const TECHNIQUE: Technique = Technique::new(
    "copy-file-range",
    "copy a file with copy_file_range",
    Job::CopyFile,
    &[
        Variant::new("tmpfs", "copied in the kernel", "cfr-tmpfs", |setting| {
            copied(setting, Fs::Tmpfs, Class::CopiedInKernel)
        }),
        Variant::new("ext4", "copied in the kernel", "cfr-ext4", |setting| {
            copied(setting, Fs::Ext4, Class::CopiedInKernel)
        }),
        Variant::new("btrfs", "extents shared", "cfr-btrfs", |setting| {
            copied(setting, Fs::Btrfs, Class::Cloned)
        }),
        Variant::new("xfs", "extents shared", "cfr-xfs", |setting| {
            copied(setting, Fs::Xfs, Class::Cloned)
        }),
    ],
);

fn copied(setting: &Setting<'_>, fs: Fs, class: Class) -> Result<Ready> {
    let mut parameters = setting.parameters;
    if class == Class::Cloned {
        // Only whole blocks can be shared, but for the last one of the file.
        parameters.buffer = parameters.buffer.next_multiple_of(64 << 10);
        parameters.bytes = parameters.bytes.min(parameters.file);
    }
    let pieces = parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let from = setting.arena.common_file(fs, parameters.length(), 0)?;
    let to = setting.arena.empty_file(fs)?;
    let object = format!("{0}->{0}", fs.object());
    let open = if class == Class::Cloned {
        bytes.min(fs.inline())
    } else {
        0
    };
    let expected = Expected::new()
        .moves(Op::CopyFileRange, &object, class, calls, bytes - open)
        .moves(Op::CopyFileRange, &object, Class::Unexplained, 0, open);
    let prepared = Prepared::new(expected, move || {
        pieces.each(|offset, length| {
            let (mut source, mut target) = (offset.cast_signed(), offset.cast_signed());
            copy_file_range(&from, Some(&mut source), &to, Some(&mut target), length)
        })
    });
    Ok(Ready::new(bytes, prepared))
}
