//! `copy_file_range`: shared extents where the filesystem can, else a copy in the kernel.

use anyhow::Result;
use nix::fcntl::copy_file_range;
use zctrace_common::{Class, Op};

use super::{
    Arena, Expected, Prepared, Traffic,
    exact::{calls, exactly},
    mounts::Fs,
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "copy-tmpfs",
        "copy_file_range on tmpfs: copied once in the kernel",
        |arena| copied(arena, Fs::Tmpfs),
    ),
    Traffic::new(
        "copy-ext4",
        "copy_file_range on ext4: copied once in the kernel",
        |arena| copied(arena, Fs::Ext4),
    ),
    Traffic::new(
        "copy-xfs",
        "copy_file_range on xfs: extents shared, nothing moved",
        |arena| shared(arena, Fs::Xfs),
    ),
    Traffic::new(
        "copy-btrfs",
        "copy_file_range on btrfs: extents shared, nothing moved",
        |arena| shared(arena, Fs::Btrfs),
    ),
];

fn copied(arena: &Arena, fs: Fs) -> Result<Prepared> {
    on(arena, fs, Class::CopiedInKernel, arena.sizes.chunk)
}

fn shared(arena: &Arena, fs: Fs) -> Result<Prepared> {
    // Only whole blocks can be shared, but for the last one of the file.
    on(arena, fs, Class::Cloned, 64 * 1024)
}

fn on(arena: &Arena, fs: Fs, class: Class, chunk: usize) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let (from, to) = (arena.file(fs, bytes)?, arena.empty_file(fs)?);
    let object = format!("{0}->{0}", fs.object());
    let calls = calls(bytes, chunk);
    let expected = Expected::new().moves(Op::CopyFileRange, &object, class, calls, bytes);
    Ok(Prepared::new(expected, move || {
        exactly(bytes, chunk, |_, length| {
            copy_file_range(&from, None, &to, None, length)
        })
    }))
}
