//! Files without data. A disk filesystem fills the page cache with zeros and copies those like any
//! data; tmpfs makes the zeros up as it reads.

use std::fs::File;

use anyhow::Result;
use nix::unistd::read;
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    buffer::Buffer,
    exact::{calls, exactly},
    mounts::Fs,
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "awkward-hole-ext4",
        "reads of a hole on ext4: zeros copied from the page cache",
        |arena| hole(arena, Fs::Ext4, Class::CopiedToUser),
    )
    .tag("aw-h-ext4"),
    Traffic::new(
        "awkward-hole-tmpfs",
        "reads of a hole on tmpfs: zeros made up",
        |arena| hole(arena, Fs::Tmpfs, Class::Synthetic),
    )
    .tag("aw-h-tmpfs"),
];

fn hole(arena: &Arena, fs: Fs, class: Class) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file: File = arena.empty_file(fs)?;
    file.set_len(bytes)?;
    let expected = Expected::new().moves(Op::Read, fs.object(), class, calls(bytes, chunk), bytes);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| read(&file, &mut to[..length]))
    }))
}
