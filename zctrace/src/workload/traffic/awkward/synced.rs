//! Writes to a filesystem on a loop device: the device's own copies, in a kernel thread, are not
//! the application's.

use anyhow::Result;
use nix::unistd::{fsync, write};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    scene::mounts::Fs,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-loop-write",
    "writes to ext4 on a loop device, synced: copied once as far as the application goes",
    prepare,
)
.tag("aw-loop")];

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.empty_file(Fs::Ext4)?;
    let expected = Expected::new().moves(
        Op::Write,
        "file:ext4",
        Class::CopiedFromUser,
        calls(bytes, chunk),
        bytes,
    );
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        exactly(bytes, chunk, |_, length| {
            let some = write(&file, &from[..length])?;
            fsync(&file)?;
            Ok(some)
        })
    }))
}
