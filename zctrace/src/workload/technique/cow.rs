//! Data that others keep using is changed: by a private mapping, in which only the modified pages
//! are copied, or by copying all of it up front.
//!
//! Each round makes the changeable copy anew, modifies the pages, which are spread evenly, and reads
//! a byte of every page.

use anyhow::{Context as _, Result};
use nix::sys::{mman::MapFlags, uio::pread};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Figure, Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{
        mapping::{Mapping, page_size},
        shared::now,
    },
    truth::exact::exactly,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "cow",
    "change a part of a file's data in memory",
    Job::Modify,
    &[
        Variant::new("private", "copied on write, page by page", "cow", private),
        Variant::new("copy", "copied up front", "cow-copy", copied),
    ],
)
.modifying();

/// Counters of the time and the number of faults.
const NANOSECONDS: usize = 0;
const FAULTS: usize = 1;

/// The `part` of `pages` that is modified, spread evenly.
pub(super) fn spread(pages: usize, part: usize) -> impl Iterator<Item = usize> {
    (0..part).map(move |index| index * pages / part)
}

/// How often the region is gone through.
fn rounds(setting: &Setting<'_>) -> u64 {
    let length = setting.parameters.length();
    setting.parameters.bytes.checked_div(length).unwrap_or(0)
}

fn private(setting: &Setting<'_>) -> Result<Ready> {
    let (rounds, pages) = (rounds(setting), setting.pages());
    let modified = setting.parameters.modified(pages);
    let file = setting.source(Fs::Tmpfs)?;
    let shared = setting.shared;
    let copied = rounds * (modified * page_size()) as u64;
    let others = rounds * ((pages - modified) * page_size()) as u64;
    let object = Fs::Tmpfs.object();
    let mut expected = Expected::new().row(
        ExpectedRow::new(Op::FaultCow, object)
            .ops(rounds * modified as u64)
            .class(Class::Mapped, copied)
            .cow(copied),
    );
    if others > 0 {
        // How many pages a fault makes visible is the kernel's choice.
        let row = ExpectedRow::new(Op::FaultMap, object)
            .ops(1)
            .class(Class::Mapped, others)
            .at_least();
        expected.add(row);
    }
    let prepared = Prepared::new(expected, move || {
        if pages == 0 {
            return Ok(());
        }
        let mapping = Mapping::of_file(&file, pages, MapFlags::MAP_PRIVATE)?;
        shared.begin();
        for _ in 0..rounds {
            let begin = now();
            mapping.write_some(spread(pages, modified));
            shared.count(NANOSECONDS, now() - begin);
            mapping.read_pages();
            mapping.forget().context("MADV_DONTNEED")?;
        }
        shared.count(FAULTS, rounds * modified as u64);
        Ok(())
    });
    let saved = ((pages - modified) * page_size()) as u64;
    let ready = Ready::new(rounds * setting.parameters.length(), prepared);
    Ok(ready.figures(move || {
        let (time, faults) = (shared.counted(NANOSECONDS), shared.counted(FAULTS));
        let mut figures = vec![Figure::count("memory_saved_bytes", saved)];
        figures.extend(Figure::mean("fault_ns", time, faults));
        figures
    }))
}

fn copied(setting: &Setting<'_>) -> Result<Ready> {
    let (rounds, pages) = (rounds(setting), setting.pages());
    let length = setting.parameters.length();
    let modified = setting.parameters.modified(pages);
    let chunk = setting.parameters.buffer;
    let file = setting.source(Fs::Tmpfs)?;
    let shared = setting.shared;
    let calls = rounds * length.div_ceil(chunk as u64);
    let bytes = rounds * length;
    let expected = Expected::new().moves(Op::Read, "file:tmpfs", Class::CopiedToUser, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        if pages == 0 {
            return Ok(());
        }
        let mut memory = Mapping::present(pages * page_size())?;
        shared.begin();
        for _ in 0..rounds {
            let to = memory.bytes_mut();
            exactly(length, chunk, |offset, length| {
                let to = &mut to[offset as usize..][..length];
                pread(&file, to, offset.cast_signed())
            })?;
            memory.write_some(spread(pages, modified));
            memory.read_pages();
        }
        Ok(())
    });
    Ok(Ready::new(bytes, prepared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modified_pages_are_distinct_and_within() {
        for (pages, part) in [(1, 1), (10, 3), (10, 10), (7, 0)] {
            let chosen: std::collections::BTreeSet<_> = spread(pages, part).collect();
            assert_eq!(chosen.len(), part);
            assert!(chosen.iter().all(|page| *page < pages));
        }
    }
}
