//! `copy_file_range`: shared extents where the filesystem can, else a copy in the kernel.

use std::fs::File;

use anyhow::{Result, ensure};
use nix::{errno::Errno, fcntl::copy_file_range};
use zctrace_common::{Class, Op};

use super::clone::clone_whole;
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::{arena::Sizes, mounts::Fs},
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
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
    Traffic::new(
        "copy-overlay",
        "what cp does on an overlay over tmpfs: FICLONE, which fails, and copy_file_range",
        on_overlay,
    )
    .tag("copy-ovl"),
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
    let expected = expected(fs, class, bytes, chunk);
    Ok(Prepared::new(expected, move || {
        copy(&from, &to, bytes, chunk)
    }))
}

/// overlayfs calls the filesystem below for both: the operations are those on its own files.
fn on_overlay(arena: &Arena) -> Result<Prepared> {
    let Sizes { bytes, chunk, .. } = arena.sizes;
    let mount = arena.overlay_on(Fs::Tmpfs)?;
    let (from, to) = (arena.file_on(&mount, bytes)?, arena.file_on(&mount, 0)?);
    let clone = ExpectedRow::new(Op::Clone, &object(Fs::Overlay)).errors(libc::EOPNOTSUPP, 1);
    let expected = expected(Fs::Overlay, Class::CopiedInKernel, bytes, chunk).row(clone);
    let mut prepared = Prepared::new(expected, move || {
        let refused = clone_whole(&from, &to);
        ensure!(refused == Err(Errno::EOPNOTSUPP), "FICLONE: {refused:?}");
        copy(&from, &to, bytes, chunk)
    });
    prepared.keep.push(Box::new(mount));
    Ok(prepared)
}

fn object(fs: Fs) -> String {
    format!("{0}->{0}", fs.object())
}

fn expected(fs: Fs, class: Class, bytes: u64, chunk: usize) -> Expected {
    let calls = calls(bytes, chunk);
    let open = if class == Class::Cloned {
        fs.inline()
    } else {
        0
    };
    Expected::new()
        .moves(Op::CopyFileRange, &object(fs), class, calls, bytes - open)
        .moves(Op::CopyFileRange, &object(fs), Class::Unexplained, 0, open)
}

fn copy(from: &File, to: &File, bytes: u64, chunk: usize) -> Result<()> {
    exactly(bytes, chunk, |_, length| {
        copy_file_range(from, None, to, None, length)
    })
}
