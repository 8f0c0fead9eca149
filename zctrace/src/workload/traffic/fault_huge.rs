//! Copy-on-write of hugetlb memory, where a write of one byte copies 2 MiB.
//!
//! The contents are anonymous, so no file data is made visible; but the kernel keeps the pages in a
//! file of its own hugetlbfs, and that is the object.

use anyhow::Result;
use nix::sys::mman::MapFlags;
use zctrace_common::Op;

use super::fault_anon::beside_a_child;
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::huge_pages::{HUGE, Reservation},
    stage::mapping::Mapping,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "fault-hugetlb",
    "writing to huge pages shared with a child: each copied whole",
    prepare,
)
.tag("f-huge")];

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
