//! Copy-on-write of huge pages: a byte that is written costs a copy of 2 MiB.

use anyhow::Result;
use nix::sys::mman::MapFlags;
use zctrace_common::Op;

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Figure, Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    scene::huge_pages::{HUGE, Reservation},
    stage::{mapping::Mapping, shared::now},
    traffic::fault_anon::{CHILD, beside_a_child},
};

const TAG: &str = "huge-cow";

pub(super) const TECHNIQUE: Technique = Technique::new(
    "hugetlb-cow",
    "write a byte to each huge page shared with a child",
    Job::Modify,
    &[Variant::only(TAG, prepare)],
);

const NANOSECONDS: usize = 0;

/// Huge pages are hard to come by: no more than this many.
const MOST: usize = 32;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pages = (setting.parameters.length() as usize)
        .div_ceil(HUGE)
        .min(MOST);
    // The pages and their copies.
    let reservation = Reservation::of(2 * pages as u64)?;
    let bytes = (pages * HUGE) as u64;
    let shared = setting.shared;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::FaultCow, "file:hugetlbfs")
            .ops(pages as u64)
            .cow(bytes),
    );
    let mut prepared = Prepared::new(expected, move || {
        if pages == 0 {
            return Ok(());
        }
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB | MapFlags::MAP_HUGE_2MB;
        let memory = Mapping::anonymous(pages * HUGE, flags)?;
        memory.write_every(HUGE);
        beside_a_child(TAG, shared, || {
            shared.begin();
            let begin = now();
            memory.write_every(HUGE);
            shared.count(NANOSECONDS, now() - begin);
            shared.stop();
            Ok(())
        })
    });
    prepared.descendant = (pages > 0).then_some(CHILD);
    prepared.keep.push(Box::new(reservation));
    Ok(Ready::new(bytes, prepared).figures(move || {
        Figure::mean("fault_ns", shared.counted(NANOSECONDS), pages as u64)
            .into_iter()
            .collect()
    }))
}
