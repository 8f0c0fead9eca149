//! Files without data. A disk filesystem fills the page cache with zeros and copies those like any
//! data; tmpfs makes the zeros up as it reads, by a routine that serves data as well, so that no
//! probe can tell.

use std::fs::File;

use anyhow::Result;
use nix::unistd::read;
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    buffer::Buffer,
    exact::{calls, exactly},
    mounts::Fs,
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "awkward-hole-ext4",
        "reads of a hole on ext4: zeros copied from the page cache",
        |arena| {
            hole(arena, Fs::Ext4, |row, bytes| {
                row.class(Class::CopiedToUser, bytes)
            })
        },
    )
    .tag("aw-h-ext4"),
    Traffic::new(
        "awkward-hole-tmpfs",
        "reads of a hole on tmpfs: zeros made up",
        |arena| {
            hole(arena, Fs::Tmpfs, |row, bytes| {
                row.class(Class::Synthetic, bytes).or_unexplained()
            })
        },
    )
    .tag("aw-h-tmpfs"),
];

/// `read_as` completes the row of a file that is all hole: how zeros are read, with how many bytes.
fn hole(arena: &Arena, fs: Fs, read_as: fn(ExpectedRow, u64) -> ExpectedRow) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file: File = arena.empty_file(fs)?;
    file.set_len(bytes)?;
    let row = ExpectedRow::new(Op::Read, fs.object()).ops(calls(bytes, chunk));
    let expected = Expected::new().row(read_as(row, bytes));
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| read(&file, &mut to[..length]))
    }))
}
