//! Devices and files that have no data: what is read is made up, what is written is dropped.

use std::fs::{File, OpenOptions};

use anyhow::{Context as _, Result};
use nix::unistd::{read, write};
use zctrace_common::{Class, Op};

use super::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    buffer::Buffer,
    exact::{calls, exactly},
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new("char-zero", "reads of /dev/zero", |arena| {
        made_up(arena, "/dev/zero")
    }),
    Traffic::new("char-urandom", "reads of /dev/urandom", |arena| {
        made_up(arena, "/dev/urandom")
    })
    .tag("urandom"),
    Traffic::new("char-null", "writes to /dev/null", dropped),
    Traffic::new("file-proc", "reads of procfs, until its end", proc_fs),
];

fn made_up(arena: &Arena, path: &str) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let device = File::open(path).with_context(|| path.to_owned())?;
    let expected = Expected::new().moves(
        Op::Read,
        "char:mem",
        Class::Synthetic,
        calls(bytes, chunk),
        bytes,
    );
    Ok(Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            read(&device, &mut buffer[..length])
        })
    }))
}

fn dropped(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let device = OpenOptions::new().write(true).open("/dev/null")?;
    let expected = Expected::new().moves(
        Op::Write,
        "char:mem",
        Class::Synthetic,
        calls(bytes, chunk),
        bytes,
    );
    Ok(Prepared::new(expected, move || {
        let buffer = Buffer::filled(chunk)?;
        exactly(bytes, chunk, |_, length| write(&device, &buffer[..length]))
    }))
}

/// How long a file of procfs is shows only when it is read, so the truth is what `read` returned.
fn proc_fs(arena: &Arena) -> Result<Prepared> {
    const OPS: usize = 0;
    const BYTES: usize = 1;
    let files = ["/proc/cpuinfo", "/proc/self/maps", "/proc/meminfo"].map(File::open);
    let [cpuinfo, maps, meminfo] = files;
    let files = [cpuinfo?, maps?, meminfo?];
    let shared = arena.shared;
    let prepared = Prepared::new(Expected::new(), move || {
        let mut buffer = Buffer::zeroed(1000)?;
        for file in &files {
            loop {
                let some = read(file, &mut buffer)?;
                shared.count(OPS, 1);
                shared.count(BYTES, some as u64);
                if some == 0 {
                    break;
                }
            }
        }
        Ok(())
    });
    Ok(prepared.finish(move |expected| {
        let row = ExpectedRow::new(Op::Read, "file:proc").ops(shared.counted(OPS));
        expected.add(row.class(Class::CopiedToUser, shared.counted(BYTES)));
        Ok(())
    }))
}
