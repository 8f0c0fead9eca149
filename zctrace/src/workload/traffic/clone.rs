//! Files that share extents: nothing is moved, whatever the length. Through overlayfs, which calls the
//! filesystem below for it, it is one operation all the same.

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use nix::{errno::Errno, libc};
use zctrace_common::{Class, Op};

use crate::{
    kernel::FIDEDUPERANGE,
    workload::{Arena, Expected, Prepared, Traffic, scene::mounts::Fs},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "clone-xfs",
        "FICLONE, FICLONERANGE and FIDEDUPERANGE on xfs",
        |arena| on(arena, Fs::Xfs),
    ),
    Traffic::new(
        "clone-btrfs",
        "FICLONE, FICLONERANGE and FIDEDUPERANGE on btrfs",
        |arena| on(arena, Fs::Btrfs),
    ),
    Traffic::new(
        "clone-btrfs-inline",
        "FICLONE of a file that btrfs keeps within its metadata: a copy that no probe sees",
        inline_on_btrfs,
    )
    .tag("clone-inl"),
    Traffic::new(
        "clone-overlay",
        "FICLONE, FICLONERANGE and FIDEDUPERANGE on an overlay over xfs",
        on_overlay,
    )
    .tag("clone-ovl"),
];

/// `struct file_clone_range` of linux/fs.h.
#[repr(C)]
struct CloneRange {
    src_fd: i64,
    src_offset: u64,
    src_length: u64,
    dest_offset: u64,
}

/// `struct file_dedupe_range` with one `struct file_dedupe_range_info`.
#[repr(C)]
struct DedupeRange {
    src_offset: u64,
    src_length: u64,
    dest_count: u16,
    reserved1: u16,
    reserved2: u32,
    dest_fd: i64,
    dest_offset: u64,
    bytes_deduped: u64,
    status: i32,
    reserved: u32,
}

const _: () = assert!(size_of::<DedupeRange>() == 24 + 32);

/// The part that FICLONERANGE and FIDEDUPERANGE share: whole blocks.
const PART: u64 = 1 << 20;

fn on(arena: &Arena, fs: Fs) -> Result<Prepared> {
    of_files(arena, fs, &|length| arena.file(fs, length))
}

fn on_overlay(arena: &Arena) -> Result<Prepared> {
    let mount = arena.overlay_on(Fs::Xfs)?;
    let mut prepared = of_files(arena, Fs::Overlay, &|length| arena.file_on(&mount, length))?;
    prepared.keep.push(Box::new(mount));
    Ok(prepared)
}

/// Less than a block.
const INLINE: u64 = 1536;

fn inline_on_btrfs(arena: &Arena) -> Result<Prepared> {
    let (from, to) = (arena.file(Fs::Btrfs, INLINE)?, arena.file(Fs::Btrfs, 0)?);
    let object = format!("{0}->{0}", Fs::Btrfs.object());
    let expected = Expected::new().moves(Op::Clone, &object, Class::Unexplained, 1, INLINE);
    Ok(Prepared::new(expected, move || {
        clone_whole(&from, &to).context("FICLONE")
    }))
}

/// On files that `file` makes, of a length.
fn of_files(arena: &Arena, fs: Fs, file: &dyn Fn(u64) -> Result<File>) -> Result<Prepared> {
    let bytes = arena.sizes.bytes.max(2 * PART);
    let (from, whole, part, same) = (file(bytes)?, file(0)?, file(0)?, file(PART)?);
    let object = format!("{0}->{0}", fs.object());
    // The whole file and what is deduplicated begin at its first block, the other part does not.
    let open = fs.inline();
    let expected = Expected::new()
        .moves(Op::Clone, &object, Class::Cloned, 1, bytes - open)
        .moves(Op::Clone, &object, Class::Cloned, 2, 2 * PART - open)
        .moves(Op::Clone, &object, Class::Unexplained, 0, 2 * open);
    Ok(Prepared::new(expected, move || {
        clone_whole(&from, &whole).context("FICLONE")?;
        clone_part(&from, &part).context("FICLONERANGE")?;
        let deduped = dedupe(&from, &same).context("FIDEDUPERANGE")?;
        ensure!(deduped == PART, "{deduped} bytes deduplicated");
        Ok(())
    }))
}

pub(in crate::workload) fn clone_whole(from: &File, to: &File) -> nix::Result<()> {
    // SAFETY: FICLONE takes a descriptor by value.
    let result = unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) };
    Errno::result(result).map(drop)
}

fn clone_part(from: &File, to: &File) -> nix::Result<()> {
    let range = CloneRange {
        src_fd: from.as_raw_fd().into(),
        src_offset: PART,
        src_length: PART,
        dest_offset: 0,
    };
    // SAFETY: FICLONERANGE reads a `file_clone_range`, which outlives the call.
    let result = unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONERANGE, &raw const range) };
    Errno::result(result).map(drop)
}

/// Both files begin with the same bytes; returns how many are shared now.
fn dedupe(from: &File, to: &File) -> Result<u64> {
    let mut range = DedupeRange {
        src_offset: 0,
        src_length: PART,
        dest_count: 1,
        reserved1: 0,
        reserved2: 0,
        dest_fd: to.as_raw_fd().into(),
        dest_offset: 0,
        bytes_deduped: 0,
        status: 0,
        reserved: 0,
    };
    // SAFETY: FIDEDUPERANGE reads and writes a `file_dedupe_range` with as many entries as
    // `dest_count` says.
    let result = unsafe { libc::ioctl(from.as_raw_fd(), FIDEDUPERANGE, &raw mut range) };
    Errno::result(result)?;
    ensure!(range.status == 0, "status {}", range.status);
    Ok(range.bytes_deduped)
}
