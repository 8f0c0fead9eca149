//! A large file, such as the weights of a model, is loaded and read once to its end: the ways to do so.
//!
//! The file is not in the page cache beforehand, and the memory is taken from the kernel in the time that counts,
//! as in a program that has just been started.

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::Result;
use io_uring::{opcode, types::Fd};
use nix::{
    fcntl::copy_file_range,
    libc,
    sys::{mman::MapFlags, uio::pread},
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared, Skip},
    Figure, Job, Parameters, Pieces, Ready, Setting, Technique, Variant,
    direct_read::aligned,
    ring::sum,
    uring::{MOST, cold, quick},
};
use crate::workload::{
    scene::{arena::evict, huge_pages, mounts::Fs},
    stage::{
        mapping::{Mapping, page_size},
        shared::Shared,
    },
    traffic::uring::ring::needs,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "load",
    "load a file that is not cached, and use all of it",
    Job::Load,
    &[
        Variant::new("read", "read into memory", "load-read", |setting| {
            read(setting, Memory::Small)
        }),
        Variant::new(
            "read-huge",
            "read into huge pages",
            "load-huge",
            |setting| read(setting, Memory::Huge),
        ),
        Variant::new(
            "mmap",
            "mapped, with a fault for what is used",
            "load-mmap",
            |setting| map(setting, MapFlags::MAP_SHARED),
        ),
        Variant::new(
            "mmap-populate",
            "mapped and made present at once",
            "load-pop",
            |setting| map(setting, MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE),
        ),
        Variant::new("direct", "read with O_DIRECT", "load-direct", read_direct),
        Variant::new("uring", "read with io_uring", "load-uring", |setting| {
            read_by_ring(setting, false)
        }),
        Variant::new(
            "uring-direct",
            "read with io_uring and O_DIRECT",
            "load-ur-dir",
            |setting| read_by_ring(setting, true),
        ),
        Variant::new(
            "copy",
            "copied to a file of its own, which is mapped",
            "load-copy",
            copy,
        ),
    ],
);

/// Counters: what the sum is, whether the memory can be looked at, whether it has been, and what was seen.
const SUM: usize = 0;
const LOADED: usize = 1;
const LOOKED: usize = 2;
const HUGE: usize = 3;

/// What the file is read into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Small,
    Huge,
}

impl Memory {
    /// Memory for `bytes`, none of it present.
    fn take(self, bytes: u64) -> Result<Mapping> {
        let pages = bytes.div_ceil(page_size() as u64) as usize;
        match self {
            Self::Small => Mapping::absent(pages),
            Self::Huge => Mapping::huge(pages * page_size()),
        }
    }
}

/// One pass through the file: nobody loads it twice.
fn once(parameters: Parameters) -> Parameters {
    Parameters {
        bytes: parameters.length(),
        ..parameters
    }
}

/// Uses all of what was loaded.
fn use_all(bytes: &[u8], shared: Shared) {
    shared.count(SUM, sum(bytes));
}

fn read(setting: &Setting<'_>, memory: Memory) -> Result<Ready> {
    if memory == Memory::Huge && !huge_pages::are_given() {
        return Err(Skip("the kernel gives no transparent huge pages".to_owned()).into());
    }
    let pieces = once(setting.parameters).pieces(usize::MAX);
    let (file, shared) = (cold(setting)?, setting.shared);
    let expected = Expected::new().moves(
        Op::Read,
        Fs::Ext4.object(),
        Class::CopiedToUser,
        pieces.calls(),
        pieces.total(),
    );
    let mut prepared = Prepared::new(expected, move || {
        if pieces.total() == 0 {
            return Ok(());
        }
        let mut memory = memory.take(pieces.total())?;
        let bytes = memory.bytes_mut();
        pieces.each(|offset, length| {
            pread(
                &file,
                &mut bytes[offset as usize..][..length],
                offset.cast_signed(),
            )
        })?;
        use_all(&bytes[..pieces.total() as usize], shared);
        shared.end();
        shared.count(LOADED, 1);
        // Still there while the parent looks.
        shared.wait_for(LOOKED, 1)
    });
    prepared.meanwhile = Some(Box::new(move |child| {
        if pieces.total() > 0 {
            shared.wait_for(LOADED, 1)?;
            shared.count(HUGE, huge_pages::of_process(child));
        }
        shared.count(LOOKED, 1);
        Ok(())
    }));
    Ok(Ready::new(pieces.total(), prepared)
        .figures(move || vec![Figure::count("huge_page_bytes", shared.counted(HUGE))]))
}

/// The row of an `O_DIRECT` read, and the file: not cached, opened for it.
fn direct(setting: &Setting<'_>, op: Op, pieces: Pieces, length: u64) -> Result<(Expected, File)> {
    let file = setting
        .arena
        .common_file(Fs::Ext4, length, libc::O_DIRECT)?;
    evict(&file)?;
    let row = ExpectedRow::new(op, Fs::Ext4.object())
        .ops(pieces.calls())
        .class(Class::Direct, pieces.total())
        .evidence(setting.arena.direct_evidence(Fs::Ext4));
    Ok((Expected::new().row(row), file))
}

fn read_direct(setting: &Setting<'_>) -> Result<Ready> {
    let parameters = aligned(once(setting.parameters));
    let pieces = parameters.pieces(usize::MAX);
    let (expected, file) = direct(setting, Op::Read, pieces, parameters.length())?;
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        if pieces.total() == 0 {
            return Ok(());
        }
        let mut memory = Memory::Small.take(pieces.total())?;
        let bytes = memory.bytes_mut();
        pieces.each(|offset, length| {
            // A ragged end is asked for in whole blocks.
            let asked = length.next_multiple_of(page_size());
            pread(
                &file,
                &mut bytes[offset as usize..][..asked],
                offset.cast_signed(),
            )
        })?;
        use_all(&bytes[..pieces.total() as usize], shared);
        Ok(())
    });
    Ok(Ready::new(pieces.total(), prepared))
}

fn read_by_ring(setting: &Setting<'_>, is_direct: bool) -> Result<Ready> {
    needs(&[])?;
    let parameters = once(setting.parameters);
    let (pieces, expected, file) = if is_direct {
        let parameters = aligned(parameters);
        let pieces = parameters.pieces(MOST);
        let (expected, file) = direct(setting, Op::UringRead, pieces, parameters.length())?;
        (pieces, expected, file)
    } else {
        let pieces = parameters.pieces(MOST);
        let expected = Expected::new().moves(
            Op::UringRead,
            Fs::Ext4.object(),
            Class::CopiedToUser,
            pieces.calls(),
            pieces.total(),
        );
        (pieces, expected, cold(setting)?)
    };
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        if pieces.total() == 0 {
            return Ok(());
        }
        let mut memory = Memory::Small.take(pieces.total())?;
        let bytes = memory.bytes_mut();
        let block = if is_direct { page_size() } else { 1 };
        let fd = Fd(file.as_raw_fd());
        // SAFETY: the memory outlives the requests, which end before `each` returns.
        unsafe {
            quick()?.each(pieces.iter(), |_, offset, length| {
                let asked = length.next_multiple_of(block);
                let to = bytes[offset as usize..][..asked].as_mut_ptr();
                opcode::Read::new(fd, to, asked as u32)
                    .offset(offset)
                    .build()
            })
        }?;
        use_all(&bytes[..pieces.total() as usize], shared);
        Ok(())
    });
    Ok(Ready::new(pieces.total(), prepared))
}

/// Maps the file and uses it.
fn scan(file: &File, bytes: u64, flags: MapFlags, shared: Shared) -> Result<()> {
    let pages = bytes.div_ceil(page_size() as u64) as usize;
    let mut mapping = Mapping::of_file(file, pages, flags)?;
    use_all(&mapping.bytes_mut()[..bytes as usize], shared);
    Ok(())
}

/// The row of faults on a mapped file of so many bytes. How many faults there are is up to the read-ahead.
fn mapped(bytes: u64) -> ExpectedRow {
    ExpectedRow::new(Op::FaultMap, Fs::Ext4.object())
        .ops(1)
        .class(Class::Mapped, bytes.next_multiple_of(page_size() as u64))
        .at_least()
}

fn map(setting: &Setting<'_>, flags: MapFlags) -> Result<Ready> {
    let bytes = setting.parameters.length();
    let (file, shared) = (cold(setting)?, setting.shared);
    let mut expected = Expected::new();
    if bytes > 0 {
        expected.add(mapped(bytes));
    }
    let prepared = Prepared::new(expected, move || {
        if bytes == 0 {
            return Ok(());
        }
        scan(&file, bytes, flags, shared)
    });
    Ok(Ready::new(bytes, prepared))
}

fn copy(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = once(setting.parameters).pieces(usize::MAX);
    let (file, shared) = (cold(setting)?, setting.shared);
    let own = setting.arena.empty_file(Fs::Ext4)?;
    let object = format!("{0}->{0}", Fs::Ext4.object());
    let mut expected = Expected::new().moves(
        Op::CopyFileRange,
        &object,
        Class::CopiedInKernel,
        pieces.calls(),
        pieces.total(),
    );
    if pieces.total() > 0 {
        expected.add(mapped(pieces.total()));
    }
    let prepared = Prepared::new(expected, move || {
        if pieces.total() == 0 {
            return Ok(());
        }
        pieces.each(|offset, length| {
            let (mut from, mut to) = (offset.cast_signed(), offset.cast_signed());
            copy_file_range(&file, Some(&mut from), &own, Some(&mut to), length)
        })?;
        scan(&own, pieces.total(), MapFlags::MAP_SHARED, shared)
    });
    Ok(Ready::new(pieces.total(), prepared))
}
