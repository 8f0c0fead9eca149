//! Copy-on-write of hugetlb memory, where a write of one byte copies 2 MiB.
//!
//! The contents are anonymous, so no file data is made visible; but the kernel keeps the pages in a
//! file of its own hugetlbfs, and that is the object.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sys::mman::MapFlags;
use zctrace_common::Op;

use super::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic, fault_anon::beside_a_child,
    mapping::Mapping,
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "fault-hugetlb",
    "writing to huge pages shared with a child: each copied whole",
    prepare,
)
.tag("f-huge")];

const HUGE: usize = 2 << 20;
const PAGES: usize = 2;

fn prepare(arena: &Arena) -> Result<Prepared> {
    // The pages and their copies.
    let reservation = Reservation::of(2 * PAGES as u64)?;
    let shared = arena.shared;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::FaultCow, "file:hugetlbfs")
            .ops(PAGES as u64)
            .cow((PAGES * HUGE) as u64),
    );
    let mut prepared = Prepared::new(expected, move || {
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB | MapFlags::MAP_HUGE_2MB;
        let memory = Mapping::anonymous(PAGES * HUGE, flags)?;
        memory.write_every(HUGE);
        beside_a_child("f-huge", shared, || {
            memory.write_every(HUGE);
            Ok(())
        })
    });
    prepared.descendant = Some("child");
    prepared.keep.push(Box::new(reservation));
    Ok(prepared)
}

const DIRECTORY: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// Huge pages, given back on drop if the machine had none to spare.
struct Reservation {
    before: Option<u64>,
}

impl Reservation {
    fn of(pages: u64) -> Result<Self> {
        if number("free_hugepages")? >= pages {
            return Ok(Self { before: None });
        }
        let before = number("nr_hugepages")?;
        let reservation = Self {
            before: Some(before),
        };
        set(before + pages).map_err(|error| Skip(format!("cannot reserve huge pages: {error}")))?;
        if number("free_hugepages")? < pages {
            return Err(Skip("no memory for huge pages".to_owned()).into());
        }
        Ok(reservation)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(before) = self.before
            && let Err(error) = set(before)
        {
            eprintln!("warning: huge pages stay reserved: {error}");
        }
    }
}

fn set(pages: u64) -> std::io::Result<()> {
    fs::write(format!("{DIRECTORY}/nr_hugepages"), pages.to_string())
}

fn number(name: &str) -> Result<u64> {
    let path = format!("{DIRECTORY}/{name}");
    fs::read_to_string(&path)
        .map_err(|error| Skip(format!("no huge pages of 2 MiB: {path}: {error}")))?
        .trim()
        .parse()
        .with_context(|| path.clone())
}
