//! Page faults on mapped files: data made visible without a copy, until a private page is written.
//!
//! What is counted here is not done on tmpfs: the memory that is shared with the parent is a file
//! there too, and the first use of it a fault.

use std::fs::File;

use anyhow::Result;
use nix::sys::{
    mman::MapFlags,
    resource::{UsageWho, getrusage},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::mounts::Fs,
    stage::{
        mapping::{Mapping, page_size},
        shared::Shared,
    },
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "fault-map",
        "reading a mapped file on ext4: pages made visible",
        |arena| read(arena, Fs::Ext4),
    ),
    Traffic::new(
        "fault-map-xfs",
        "reading a mapped file on xfs: pages made visible",
        |arena| read(arena, Fs::Xfs),
    )
    .tag("f-map-xfs"),
    Traffic::new(
        "fault-cow-file",
        "writing to a private mapping of a file on tmpfs: each page copied",
        |arena| write(arena, Fs::Tmpfs),
    )
    .tag("f-cow-tmpfs"),
    Traffic::new(
        "fault-cow-ext4",
        "writing to a private mapping of a file on ext4: each page copied",
        |arena| write(arena, Fs::Ext4),
    )
    .tag("f-cow-ext4"),
    Traffic::new(
        "fault-read-write",
        "reading a private mapping of a file, then writing to it",
        read_then_write,
    )
    .tag("f-rw"),
    Traffic::new(
        "fault-shared",
        "writing to a shared mapping of a file: pages made visible",
        write_shared,
    )
    .tag("f-shared"),
];

const PAGES: usize = 200;
/// Index of the counter of faults: how many pages one makes visible is the kernel's choice.
const FAULTS: usize = 0;

fn bytes() -> u64 {
    (PAGES * page_size()) as u64
}

/// A file whose pages are all in the page cache.
fn cached(arena: &Arena, fs: Fs) -> Result<File> {
    arena.file(fs, bytes())
}

/// A row of pages copied for a private mapping.
fn copied(object: &str) -> ExpectedRow {
    ExpectedRow::new(Op::FaultCow, object)
        .ops(PAGES as u64)
        .class(Class::Mapped, bytes())
        .cow(bytes())
}

/// Adds how many faults it took to make the pages visible.
fn faults_counted(prepared: Prepared, shared: Shared, object: &'static str) -> Prepared {
    prepared.finish(move |expected| {
        expected.add(ExpectedRow::new(Op::FaultMap, object).ops(shared.counted(FAULTS)));
        Ok(())
    })
}

fn read(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let file = cached(arena, fs)?;
    let expected = Expected::new().moves(Op::FaultMap, fs.object(), Class::Mapped, 0, bytes());
    let shared = arena.shared;
    let prepared = Prepared::new(expected, move || {
        let mapping = Mapping::of_file(&file, PAGES, MapFlags::MAP_PRIVATE)?;
        let faults = count_faults(|| mapping.read_pages())?;
        shared.count(FAULTS, faults);
        Ok(())
    });
    Ok(faults_counted(prepared, shared, fs.object()))
}

fn write(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let file = cached(arena, fs)?;
    let expected = Expected::new().row(copied(fs.object()));
    Ok(Prepared::new(expected, move || {
        Mapping::of_file(&file, PAGES, MapFlags::MAP_PRIVATE)?.write_pages();
        Ok(())
    }))
}

fn read_then_write(arena: &Arena) -> Result<Prepared> {
    let file = cached(arena, Fs::Ext4)?;
    let object = Fs::Ext4.object();
    let expected = Expected::new()
        .moves(Op::FaultMap, object, Class::Mapped, 0, bytes())
        .row(copied(object));
    let shared = arena.shared;
    let prepared = Prepared::new(expected, move || {
        let mapping = Mapping::of_file(&file, PAGES, MapFlags::MAP_PRIVATE)?;
        let faults = count_faults(|| mapping.read_pages())?;
        mapping.write_pages();
        shared.count(FAULTS, faults);
        Ok(())
    });
    Ok(faults_counted(prepared, shared, object))
}

fn write_shared(arena: &Arena) -> Result<Prepared> {
    let file = cached(arena, Fs::Ext4)?;
    let object = Fs::Ext4.object();
    let expected = Expected::new().moves(Op::FaultMap, object, Class::Mapped, 0, bytes());
    let shared = arena.shared;
    let prepared = Prepared::new(expected, move || {
        let mapping = Mapping::of_file(&file, PAGES, MapFlags::MAP_SHARED)?;
        let faults = count_faults(|| mapping.write_pages())?;
        shared.count(FAULTS, faults);
        Ok(())
    });
    Ok(faults_counted(prepared, shared, object))
}

/// How many page faults `touch` took.
fn count_faults(touch: impl FnOnce()) -> Result<u64> {
    let faults = || getrusage(UsageWho::RUSAGE_SELF).map(|usage| usage.minor_page_faults());
    // The code that is about to run has to be faulted in too: not while it is counted.
    let page = Mapping::present(page_size())?;
    page.read_pages();
    page.write_pages();
    faults()?;
    let before = faults()?;
    touch();
    Ok((faults()? - before).cast_unsigned())
}
