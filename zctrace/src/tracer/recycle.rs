//! Returns the slots of what has ended.

use std::collections::{BTreeSet, HashMap as StdHashMap};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, PerCpuValues, Queue},
};
use zctrace_common::{
    Counters, CpuSamples, DEVICE_LEN, Notified, OnRoute, Proc, RowKey, Sizes, errno_key,
};

use super::{
    Error, map, requests,
    tables::{Row, Tables},
};
use crate::ledger::Errnos;

/// Returns the slots of processes that have ended, and those of their rows.
pub(super) fn recycle(
    ebpf: &mut Ebpf,
    tables: &Tables,
    ended: &BTreeSet<u32>,
    sized: bool,
) -> Result<(), Error> {
    if ended.is_empty() {
        return Ok(());
    }
    // First: a socket that another process uses as well has no row here any more.
    let mut procs: Array<_, Proc> = Array::try_from(map(ebpf, "PROCS"))?;
    for slot in ended {
        procs.set(*slot, Proc::default(), 0)?;
    }
    let gone = tables.rows.iter();
    let gone: Vec<&Row> = gone
        .filter(|(key, ..)| ended.contains(&key.proc_slot))
        .collect();
    let gone = &gone[..];
    empty_rows(ebpf, gone, &tables.errnos)?;
    empty_beside(ebpf, gone, sized)?;
    let mut notified: HashMap<&mut MapData, u32, Notified> =
        HashMap::try_from(map(ebpf, "NOTIFIED"))?;
    for (_, slot, _) in gone {
        if tables.notified.contains_key(slot) {
            notified.remove(slot)?;
        }
    }
    let mut free: Queue<_, u32> = Queue::try_from(map(ebpf, "FREE_ROWS"))?;
    for (_, slot, _) in gone {
        free.push(*slot, 0)?;
    }
    empty_samples(ebpf, ended)?;
    requests::forget(ebpf, ended)?;
    let mut free: Queue<_, u32> = Queue::try_from(map(ebpf, "FREE_PROCS"))?;
    for slot in ended {
        free.push(*slot, 0)?;
    }
    Ok(())
}

/// Takes rows out of the index, and makes their counters 0.
fn empty_rows(
    ebpf: &mut Ebpf,
    gone: &[&Row],
    errnos: &StdHashMap<u32, Errnos>,
) -> Result<(), Error> {
    let mut slots: HashMap<&mut MapData, RowKey, u32> = HashMap::try_from(map(ebpf, "ROW_SLOTS"))?;
    for (key, ..) in gone {
        slots.remove(key)?;
    }
    let mut counters: PerCpuArray<_, Counters> = PerCpuArray::try_from(map(ebpf, "ROWS"))?;
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
    for (_, slot, _) in gone {
        let zeros =
            PerCpuValues::try_from(vec![Counters::default(); cpus]).map_err(MapError::IoError)?;
        counters.set(*slot, zeros, 0)?;
    }
    // Before the slots are free: they would be another row's.
    let mut counts: HashMap<&mut MapData, u64, u64> = HashMap::try_from(map(ebpf, "ERRNOS"))?;
    for (_, slot, _) in gone {
        for (errno, _) in errnos.get(slot).iter().flat_map(|errnos| errnos.iter()) {
            counts.remove(&errno_key(*slot, errno.number()))?;
        }
    }
    Ok(())
}

/// Empties what is beside rows.
fn empty_beside(ebpf: &mut Ebpf, gone: &[&Row], sized: bool) -> Result<(), Error> {
    let mut devices: Array<_, [u8; DEVICE_LEN]> = Array::try_from(map(ebpf, "DEVICES"))?;
    for (_, slot, _) in gone {
        devices.set(*slot, [0; DEVICE_LEN], 0)?;
    }
    let mut obstacles: Array<_, OnRoute> = Array::try_from(map(ebpf, "OBSTACLES"))?;
    for (_, slot, _) in gone {
        obstacles.set(*slot, OnRoute::default(), 0)?;
    }
    if sized {
        let mut sizes: Array<_, Sizes> = Array::try_from(map(ebpf, "SIZES"))?;
        for (_, slot, _) in gone {
            sizes.set(*slot, Sizes::ZERO, 0)?;
        }
    }
    Ok(())
}

/// Forgets what processes were sampled at.
fn empty_samples(ebpf: &mut Ebpf, ended: &BTreeSet<u32>) -> Result<(), Error> {
    let mut samples: Array<_, u64> = Array::try_from(map(ebpf, "COPY_SAMPLES"))?;
    for slot in ended {
        samples.set(*slot, 0, 0)?;
    }
    let mut samples: Array<_, CpuSamples> = Array::try_from(map(ebpf, "CPU_SAMPLES"))?;
    for slot in ended {
        samples.set(*slot, CpuSamples::default(), 0)?;
    }
    let mut calls: HashMap<&mut MapData, [u32; 2], u64> =
        HashMap::try_from(map(ebpf, "OTHER_SAMPLES"))?;
    let all: Vec<_> = calls.keys().flatten().collect();
    for key in all.iter().filter(|[slot, _]| ended.contains(slot)) {
        calls.remove(key)?;
    }
    Ok(())
}
