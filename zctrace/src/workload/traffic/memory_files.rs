//! Files that are memory: huge pages, and the memory of a process.

use std::fs::{File, OpenOptions};

use anyhow::Result;
use nix::{
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::MapFlags,
        uio::{pread, pwrite},
    },
    unistd::{ftruncate, read},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::huge_pages::{HUGE, Reservation},
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "file-hugetlbfs",
        "reads of a file of huge pages, which may have holes: nobody sees whether they are copied",
        huge_pages,
    )
    .tag("f-hugetlbfs"),
    Traffic::new(
        "file-hugetlbfs-untouched",
        "reads of a file of huge pages that was never touched: zeros, made by a CPU",
        untouched,
    )
    .tag("f-huge-zero"),
    Traffic::new(
        "proc-mem",
        "reads and writes of /proc/self/mem, which go through a page of the kernel's own",
        own_memory,
    ),
];

/// It needs no huge page: none is made for a read.
fn untouched(arena: &Arena) -> Result<Prepared> {
    let chunk = arena.sizes.chunk;
    let file = File::from(memfd_create(
        "huge",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB,
    )?);
    let bytes = HUGE as u64;
    ftruncate(&file, bytes.cast_signed())?;
    let expected = Expected::new().moves(
        Op::Read,
        "file:hugetlbfs",
        Class::Synthetic,
        calls(bytes, chunk),
        bytes,
    );
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| read(&file, &mut to[..length]))
    }))
}

fn huge_pages(arena: &Arena) -> Result<Prepared> {
    const PAGES: usize = 2;
    let chunk = arena.sizes.chunk;
    let reservation = Reservation::of(PAGES as u64)?;
    let file = File::from(memfd_create(
        "huge",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB,
    )?);
    let bytes = (PAGES * HUGE) as u64;
    ftruncate(&file, bytes.cast_signed())?;
    Mapping::of_file(&file, PAGES * HUGE / page_size(), MapFlags::MAP_SHARED)?.write_every(HUGE);
    let expected = Expected::new().moves(
        Op::Read,
        "file:hugetlbfs",
        Class::Unexplained,
        calls(bytes, chunk),
        bytes,
    );
    let mut prepared = Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| read(&file, &mut to[..length]))
    });
    prepared.keep.push(Box::new(reservation));
    Ok(prepared)
}

fn own_memory(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let calls = calls(bytes, chunk);
    let row = |op, class| {
        ExpectedRow::new(op, "file:proc")
            .ops(calls)
            .class(class, bytes)
            .recopied(bytes)
    };
    let expected = Expected::new()
        .row(row(Op::Read, Class::CopiedToUser))
        .row(row(Op::Write, Class::CopiedFromUser));
    Ok(Prepared::new(expected, move || {
        let far = Buffer::filled(chunk)?;
        let mut near = Buffer::zeroed(chunk)?;
        let at = (far.as_ptr() as usize).cast_signed() as i64;
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/self/mem")?;
        exactly(bytes, chunk, |_, length| {
            pread(&memory, &mut near[..length], at)
        })?;
        exactly(bytes, chunk, |_, length| {
            pwrite(&memory, &near[..length], at)
        })
    }))
}
