//! A read-only mapping is scanned again and again: nothing is copied, and after the first pass
//! nothing happens in the kernel at all. A second process shares the memory.

use std::{fs::File, os::unix::fs::MetadataExt as _};

use anyhow::Result;
use nix::{sys::mman::MapFlags, unistd::Pid};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Figure, Job, Pieces, Ready, Setting, Technique, Variant,
    ring::sum,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{
        mapping::{Mapping, page_size},
        shared::Shared,
    },
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "mmap-read",
    "scan a mapped file again and again, beside a second process",
    Job::ReadFile,
    &[Variant::only("mmap-read-b", prepare)],
);

/// Counters: how many have scanned, whether they may end, and what the parent found out.
const SCANNED: usize = 0;
const LOOKED: usize = 1;
const RSS: usize = 2;
const PSS: usize = 3;
const SUM: usize = 4;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pages = setting.pages();
    let pieces = setting.parameters.pieces(usize::MAX);
    let (file, again) = (setting.source(Fs::Tmpfs)?, setting.source(Fs::Tmpfs)?);
    let inode = file.metadata()?.ino();
    let shared = setting.shared;
    let mut expected = Expected::new();
    if pages > 0 {
        for role in ["", "second"] {
            let mapped = ExpectedRow::new(Op::FaultMap, "file:tmpfs")
                .ops(1)
                .class(Class::Mapped, (pages * page_size()) as u64)
                .at_least()
                .of(role);
            expected.add(mapped);
        }
    }
    let mut prepared = Prepared::new(expected, move || scan(&file, pages, pieces, shared))
        .beside("second", move || scan(&again, pages, pieces, shared));
    prepared.meanwhile = Some(Box::new(move |main| {
        shared.wait_for(SCANNED, 2)?;
        let (rss, pss) = memory_of(main, inode).unwrap_or_default();
        shared.count(RSS, rss);
        shared.count(PSS, pss);
        shared.count(LOOKED, 1);
        Ok(())
    }));
    Ok(Ready::new(pieces.total(), prepared).figures(move || {
        vec![
            Figure::count("rss_bytes", shared.counted(RSS)),
            Figure::count("pss_bytes", shared.counted(PSS)),
        ]
    }))
}

fn scan(file: &File, pages: usize, pieces: Pieces, shared: Shared) -> Result<()> {
    let mapping = (pages > 0)
        .then(|| Mapping::of_file(file, pages, MapFlags::MAP_SHARED))
        .transpose()?;
    if let Some(mut mapping) = mapping {
        let bytes = &*mapping.bytes_mut();
        pieces.each(|offset, length| {
            shared.count(SUM, sum(&bytes[offset as usize..][..length]));
            Ok(length)
        })?;
        shared.end();
        shared.count(SCANNED, 1);
        // Still mapped while the parent looks.
        shared.wait_for(LOOKED, 1)?;
        return Ok(());
    }
    shared.count(SCANNED, 1);
    shared.wait_for(LOOKED, 1)
}

/// Resident bytes of the mapping of a file, and the process's share of them.
fn memory_of(pid: Pid, inode: u64) -> Option<(u64, u64)> {
    let maps = procfs::process::Process::new(pid.as_raw())
        .ok()?
        .smaps()
        .ok()?;
    let map = maps.into_iter().find(|map| map.inode == inode)?;
    let value = |name| map.extension.map.get(name).copied().unwrap_or(0);
    Some((value("Rss"), value("Pss")))
}
