//! Files without data. A disk filesystem fills the page cache with zeros and copies those like any
//! data; tmpfs copies the one page of zeros that the kernel has, again and again.

use std::fs::File;

use anyhow::Result;
use nix::unistd::read;
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::mounts::Fs,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "awkward-hole-ext4",
        "reads of a hole on ext4: zeros copied from the page cache",
        |arena| hole(arena, Fs::Ext4),
    )
    .tag("aw-h-ext4"),
    Traffic::new(
        "awkward-hole-tmpfs",
        "reads of a hole on tmpfs: zeros copied from the zero page",
        |arena| hole(arena, Fs::Tmpfs),
    )
    .tag("aw-h-tmpfs"),
];

fn hole(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file: File = arena.empty_file(fs)?;
    file.set_len(bytes)?;
    let row = ExpectedRow::new(Op::Read, fs.object())
        .ops(calls(bytes, chunk))
        .class(Class::CopiedToUser, bytes);
    let expected = Expected::new().row(row);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| read(&file, &mut to[..length]))
    }))
}
