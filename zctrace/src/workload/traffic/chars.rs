//! Devices and files that have no data: what is read is made up, what is written is dropped.

use std::{
    fs::{File, OpenOptions},
    io::{IoSlice, IoSliceMut},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::uio::{pread, readv, writev},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new("char-zero", "reads of /dev/zero", |arena| {
        made_up(arena, "/dev/zero")
    }),
    Traffic::new("char-urandom", "reads of /dev/urandom", |arena| {
        made_up(arena, "/dev/urandom")
    })
    .tag("urandom"),
    Traffic::new("char-random", "reads of /dev/random", |arena| {
        made_up(arena, "/dev/random")
    }),
    Traffic::new("char-null", "writes to /dev/null", dropped),
    Traffic::new(
        "char-vectors",
        "readv of /dev/zero, writev to /dev/null",
        vectors,
    )
    .tag("char-vec"),
    Traffic::new("file-proc", "reads of procfs, until its end", proc_fs),
    Traffic::new(
        "file-proc-small",
        "reads of a file of procfs that is a few bytes long",
        small_proc_fs,
    )
    .tag("proc-small"),
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

/// The calls with vectors take other ways through these devices.
fn vectors(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let zero = File::open("/dev/zero")?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Read, "char:mem", Class::Synthetic, calls, bytes)
        .moves(Op::Write, "char:mem", Class::Synthetic, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            let (one, two) = buffer[..length].split_at_mut(length / 2);
            let some = readv(&zero, &mut [IoSliceMut::new(one), IoSliceMut::new(two)])?;
            let (one, two) = buffer[..some].split_at(some / 2);
            writev(&null, &[IoSlice::new(one), IoSlice::new(two)])
        })
    }))
}

/// `simple_read_from_buffer` serves these.
fn small_proc_fs(_: &Arena) -> Result<Prepared> {
    const TIMES: u64 = 100;
    let file = File::open("/proc/self/oom_score_adj")?;
    let length = pread(&file, &mut [0; 16], 0)?;
    let bytes = TIMES * length as u64;
    let expected = Expected::new().moves(Op::Read, "file:proc", Class::CopiedToUser, TIMES, bytes);
    Ok(Prepared::new(expected, move || {
        let mut buffer = [0; 16];
        exactly(bytes, length, |_, length| {
            pread(&file, &mut buffer[..length], 0)
        })
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
