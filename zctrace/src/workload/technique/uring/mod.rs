//! Techniques with io_uring: requests are put into a ring that the kernel shares, several at once.

pub(super) mod direct;
pub(super) mod mmap;
pub(super) mod read;
pub(super) mod read_fixed;
pub(super) mod recv_ring;
pub(super) mod recv_zc;
pub(super) mod send;
pub(super) mod send_zc;
pub(super) mod splice;
pub(super) mod sqpoll;
pub(super) mod write;

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::Result;
use io_uring::{opcode, squeue, types::Fd};

use super::{Pieces, Setting};
use crate::workload::{
    scene::{arena::evict, mounts::Fs},
    stage::slots::Slots,
    traffic::uring::ring::{DEPTH, Issue, Ring},
};

/// Bytes that one request takes in whole.
pub(super) const MOST: usize = 1 << 30;

/// A ring as programs that care for speed set it up: what is done after waiting for a disk is done
/// when the application asks for completions, without an interrupt to it. Before 6.1 a plain one.
pub(super) fn quick() -> Result<Ring> {
    Ring::new(Issue::TaskWork).or_else(|_| Ring::new(Issue::Inline))
}

/// The file that is read, on a filesystem with a disk below and not in the page cache: there is
/// something to wait for.
pub(super) fn cold(setting: &Setting<'_>) -> Result<File> {
    let file = setting.source(Fs::Ext4)?;
    evict(&file)?;
    Ok(file)
}

/// Reads a file into buffers of its own. A ragged end is asked for in blocks of `block` bytes.
fn read(ring: &mut Ring, file: &File, pieces: Pieces, block: usize) -> Result<()> {
    let fd = Fd(file.as_raw_fd());
    let mut buffers = Slots::new(DEPTH as usize, pieces.chunk())?;
    // SAFETY: the buffers outlive the requests, which end before `each` returns.
    unsafe {
        ring.each(pieces.iter(), |slot, offset, length| {
            let to = buffers.of(slot as usize);
            let asked = length.next_multiple_of(block) as u32;
            opcode::Read::new(fd, to, asked).offset(offset).build()
        })
    }
}

/// Makes requests that must run in order, as those of a stream must: `entries` adds those of a piece,
/// with what each must move, at most `most`.
///
/// # Safety
/// What the entries point to stays valid until this returns.
unsafe fn in_order(
    ring: &mut Ring,
    pieces: Pieces,
    most: usize,
    mut entries: impl FnMut((u64, usize), &mut Vec<(squeue::Entry, usize)>),
) -> Result<()> {
    let mut pieces = pieces.iter().peekable();
    let mut batch = Vec::new();
    while pieces.peek().is_some() {
        batch.clear();
        for piece in pieces.by_ref().take(DEPTH as usize / most) {
            entries(piece, &mut batch);
        }
        // SAFETY: the caller's promise.
        unsafe { ring.in_order(&batch) }?;
    }
    Ok(())
}
