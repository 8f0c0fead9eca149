//! Completions that do not fit into the completion queue: the kernel keeps them until there is room.

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::{Result, ensure};
use io_uring::{opcode, squeue, types::Fd};
use zctrace_common::{Class, Op};

use super::ring::{Issue, Ring, result};
use crate::workload::{Arena, Expected, Prepared, scene::mounts::Fs, stage::slots::Slots};

/// Bytes of a request.
const SIZE: usize = 4096;
/// Requests before the first completion is taken.
const REQUESTS: usize = 32;
/// How often.
const ROUNDS: usize = 3;

/// Reads and writes in turn, which have all one name and one length: only the request itself tells which of
/// them a completion is of.
pub(super) fn overflow(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let from = arena.file(Fs::Ext4, (REQUESTS * SIZE) as u64)?;
    let to = arena.empty_file(Fs::Tmpfs)?;
    let calls = (ROUNDS * REQUESTS / 2) as u64;
    let bytes = calls * SIZE as u64;
    let expected = Expected::new()
        .moves(
            Op::UringRead,
            Fs::Ext4.object(),
            Class::CopiedToUser,
            calls,
            bytes,
        )
        .moves(
            Op::UringWrite,
            Fs::Tmpfs.object(),
            Class::CopiedFromUser,
            calls,
            bytes,
        );
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::narrow(issue)?;
        let mut buffers = Slots::new(REQUESTS, SIZE)?;
        for round in 0..ROUNDS {
            for slot in 0..REQUESTS {
                // The memory of a read is that of a write in the next round.
                let request = if (slot + round) % 2 == 0 {
                    read(&from, &mut buffers, slot)
                } else {
                    write(&to, &mut buffers, slot)
                };
                // SAFETY: the buffers outlive the requests, which end below.
                unsafe { ring.submit(request, 7) }?;
            }
            ring.overflows()?;
            for _ in 0..REQUESTS {
                let moved = result(&ring.completion()?)?;
                ensure!(moved == SIZE, "{moved} of {SIZE} bytes");
            }
        }
        Ok(())
    }))
}

fn read(file: &File, buffers: &mut Slots, slot: usize) -> squeue::Entry {
    opcode::Read::new(Fd(file.as_raw_fd()), buffers.of(slot), SIZE as u32)
        .offset((slot * SIZE) as u64)
        .build()
}

fn write(file: &File, buffers: &mut Slots, slot: usize) -> squeue::Entry {
    opcode::Write::new(Fd(file.as_raw_fd()), buffers.of(slot), SIZE as u32)
        .offset((slot * SIZE) as u64)
        .build()
}
