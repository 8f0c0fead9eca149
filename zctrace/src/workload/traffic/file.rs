//! Buffered reads and writes of files: each byte is copied once, between the page cache and the
//! user's buffer.

use std::{
    fs::{File, OpenOptions},
    io::{IoSlice, IoSliceMut, Seek as _},
    os::fd::AsRawFd as _,
};

use anyhow::Result;
use nix::{
    errno::Errno,
    libc,
    sys::uio::{pread, pwrite, readv, writev},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    scene::{arena::evict, loop_device::LoopDevice, mounts::Fs},
    stage::{buffer::Buffer, mapping::page_size},
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "file-tmpfs",
        "reads and writes of a file on tmpfs",
        |arena| on(arena, Fs::Tmpfs),
    ),
    Traffic::new("file-ext4", "reads and writes of a file on ext4", |arena| {
        on(arena, Fs::Ext4)
    }),
    Traffic::new("file-xfs", "reads and writes of a file on xfs", |arena| {
        on(arena, Fs::Xfs)
    }),
    Traffic::new(
        "file-btrfs",
        "reads and writes of a file on btrfs",
        |arena| on(arena, Fs::Btrfs),
    ),
    Traffic::new(
        "file-overlay",
        "reads and writes through overlayfs, which calls the filesystem below",
        |arena| on(arena, Fs::Overlay),
    )
    .tag("overlay"),
    Traffic::new(
        "file-fuse",
        "reads and writes of a file on a filesystem in user space",
        |arena| on(arena, Fs::Fuse),
    ),
    Traffic::new(
        "block",
        "buffered reads and writes of a block device",
        block_device,
    ),
];

fn on(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let from = arena.file(fs, arena.sizes.bytes)?;
    let to = arena.empty_file(fs)?;
    // The first pass reads from the disk, the others from the page cache: the copy is the same.
    evict(&from)?;
    Ok(all_ways(arena, from, to, fs.object()))
}

fn block_device(arena: &Arena) -> Result<Prepared> {
    let image = arena.directory().join("block.image");
    let device = LoopDevice::new(
        &image,
        arena.sizes.bytes.next_multiple_of(page_size() as u64),
    )?;
    std::fs::remove_file(image)?;
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(device.path())
    };
    let (from, to) = (open()?, open()?);
    let mut prepared = all_ways(arena, from, to, "block");
    prepared.keep.push(Box::new(device));
    Ok(prepared)
}

/// Four passes of reads and four of writes, each by another system call.
fn all_ways(arena: &Arena, from: File, to: File, object: &str) -> Prepared {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let calls = 4 * calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Read, object, Class::CopiedToUser, calls, 4 * bytes)
        .moves(Op::Write, object, Class::CopiedFromUser, calls, 4 * bytes);
    Prepared::new(expected, move || {
        read_all_ways(from, bytes, chunk)?;
        write_all_ways(to, bytes, chunk)
    })
}

fn read_all_ways(mut file: File, bytes: u64, chunk: usize) -> Result<()> {
    let mut buffer = Buffer::zeroed(chunk)?;
    exactly(bytes, chunk, |_, length| read(&file, &mut buffer[..length]))?;
    exactly(bytes, chunk, |offset, length| {
        pread(&file, &mut buffer[..length], offset.cast_signed())
    })?;
    file.rewind()?;
    exactly(bytes, chunk, |_, length| {
        let (first, second) = buffer[..length].split_at_mut(length / 3);
        readv(
            &file,
            &mut [IoSliceMut::new(first), IoSliceMut::new(second)],
        )
    })?;
    exactly(bytes, chunk, |offset, length| {
        let (first, second) = buffer[..length].split_at_mut(length / 2);
        preadv2(
            &file,
            &mut [IoSliceMut::new(first), IoSliceMut::new(second)],
            offset,
        )
    })
}

fn write_all_ways(mut file: File, bytes: u64, chunk: usize) -> Result<()> {
    let buffer = Buffer::filled(chunk)?;
    exactly(bytes, chunk, |_, length| write(&file, &buffer[..length]))?;
    exactly(bytes, chunk, |offset, length| {
        pwrite(&file, &buffer[..length], offset.cast_signed())
    })?;
    file.rewind()?;
    exactly(bytes, chunk, |_, length| {
        let (first, second) = buffer[..length].split_at(length / 3);
        writev(&file, &[IoSlice::new(first), IoSlice::new(second)])
    })?;
    exactly(bytes, chunk, |offset, length| {
        let (first, second) = buffer[..length].split_at(length / 2);
        pwritev2(&file, &[IoSlice::new(first), IoSlice::new(second)], offset)
    })
}

fn preadv2(file: &File, pieces: &mut [IoSliceMut<'_>], offset: u64) -> nix::Result<usize> {
    // SAFETY: an `IoSliceMut` is an `iovec` of memory that is borrowed mutably.
    let result = unsafe {
        libc::preadv2(
            file.as_raw_fd(),
            pieces.as_ptr().cast(),
            pieces.len() as libc::c_int,
            offset.cast_signed(),
            0,
        )
    };
    Errno::result(result).map(isize::cast_unsigned)
}

fn pwritev2(file: &File, pieces: &[IoSlice<'_>], offset: u64) -> nix::Result<usize> {
    // SAFETY: an `IoSlice` is an `iovec` of memory that is borrowed.
    let result = unsafe {
        libc::pwritev2(
            file.as_raw_fd(),
            pieces.as_ptr().cast(),
            pieces.len() as libc::c_int,
            offset.cast_signed(),
            0,
        )
    };
    Errno::result(result).map(isize::cast_unsigned)
}
