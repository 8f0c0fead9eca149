//! What the maps of the programs hold at one reading.

use std::collections::{BTreeMap, BTreeSet, HashMap as StdHashMap};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray, PerCpuValues},
};
use zctrace_common::{
    Counters, DEVICE_LEN, Label, Mark, Obstacle, OnRoute, Op, Place, Proc, RowKey, Sizes, Task,
    of_errno_key,
};

use super::{Error, batch, map, names::text};
use crate::ledger::{Errno, Errnos, Notified, Totals, Ways};

/// A row, its slot and its counters.
pub(super) type Row = (RowKey, u32, Counters);

/// The content of the maps, by slots of processes or of rows.
pub(super) struct Tables {
    pub(super) processes: BTreeMap<u32, Proc>,
    pub(super) pending: BTreeMap<u32, u64>,
    /// Samples of copying in operations.
    pub(super) samples: BTreeMap<u32, u64>,
    /// Samples of copying in other calls, the number of each with its samples.
    pub(super) other_samples: BTreeMap<u32, Vec<(u32, u64)>>,
    pub(super) requests: BTreeMap<u32, Vec<(Op, Ways)>>,
    /// By what a row's dimension stands for.
    pub(super) labels: StdHashMap<u64, Label>,
    pub(super) rows: Vec<Row>,
    pub(super) errnos: StdHashMap<u32, Errnos>,
    pub(super) notified: StdHashMap<u32, Notified>,
    pub(super) devices: StdHashMap<u32, String>,
    pub(super) obstacles: StdHashMap<u32, String>,
    /// Empty unless they are asked for.
    pub(super) sizes: Vec<Sizes>,
}

impl Tables {
    /// The rows of each process that has some.
    pub(super) fn by_process(&self) -> BTreeMap<u32, Vec<&Row>> {
        let mut by_process: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            by_process.entry(row.0.proc_slot).or_default().push(row);
        }
        by_process
    }

    /// Processes that have ended and will get no rows any more. Samples give a process its slot, too. One whose
    /// requests are under way gets its rows when they complete.
    pub(super) fn ended_without(&self, rows: &BTreeMap<u32, Vec<&Row>>) -> BTreeSet<u32> {
        let has_ended = |process: &Proc| process.flags & Proc::EXITED != 0;
        let ended = self.processes.iter();
        let ended = ended.filter(|(_, process)| has_ended(process));
        ended
            .map(|(slot, _)| *slot)
            .filter(|slot| !rows.contains_key(slot) && !self.requests.contains_key(slot))
            .filter(|slot| self.pending.get(slot).is_none_or(|bytes| *bytes == 0))
            .collect()
    }
}

/// The processes, by their slots.
pub(super) fn processes(ebpf: &mut Ebpf) -> Result<BTreeMap<u32, Proc>, Error> {
    let procs: Vec<Proc> = batch::values(map(ebpf, "PROCS"))?;
    let used = (0..).zip(procs).filter(|(_, process)| process.tgid != 0);
    Ok(used.collect())
}

/// How the operations of rows failed, by their slots.
pub(super) fn errnos(ebpf: &mut Ebpf) -> Result<StdHashMap<u32, Errnos>, Error> {
    let counts: HashMap<&mut MapData, u64, u64> = HashMap::try_from(map(ebpf, "ERRNOS"))?;
    let mut errnos: StdHashMap<u32, Errnos> = StdHashMap::new();
    for (key, count) in counts.iter().flatten() {
        let (slot, errno) = of_errno_key(key);
        let row = errnos.entry(slot).or_default();
        row.count(Errno::new(errno), count);
    }
    Ok(errnos)
}

/// How long the zero-copy sends of rows waited for their notification, by their slots.
pub(super) fn notified(ebpf: &mut Ebpf) -> Result<StdHashMap<u32, Notified>, Error> {
    let counts: HashMap<&mut MapData, u32, zctrace_common::Notified> =
        HashMap::try_from(map(ebpf, "NOTIFIED"))?;
    let counts = counts.iter().flatten();
    Ok(counts
        .map(|(slot, counted)| (slot, Notified::from(&counted)))
        .collect())
}

/// Every row, its slot and its counters, to which the errors that have an errno are added.
pub(super) fn rows(ebpf: &mut Ebpf, errnos: &StdHashMap<u32, Errnos>) -> Result<Vec<Row>, Error> {
    let slots: HashMap<&mut MapData, RowKey, u32> = HashMap::try_from(map(ebpf, "ROW_SLOTS"))?;
    let slots: Vec<_> = slots.iter().flatten().collect();
    let counters: PerCpuArray<_, Counters> = PerCpuArray::try_from(map(ebpf, "ROWS"))?;
    let mut rows = Vec::with_capacity(slots.len());
    for (key, slot) in slots {
        let mut counters = sum(&counters.get(&slot, 0)?);
        let errors = errnos.get(&slot).map_or(0, Errnos::total);
        counters.errors = counters.errors.saturating_add(errors);
        rows.push((key, slot, counters));
    }
    Ok(rows)
}

fn sum(values: &PerCpuValues<Counters>) -> Counters {
    let mut sum = Counters::default();
    for value in values.iter() {
        // Destructured whole, so that a new field cannot be forgotten.
        let Counters {
            ops,
            errors,
            moved,
            class,
            deferred,
            recopied,
            wasted,
            cow,
            encrypted,
            filled,
        } = value;
        for (into, from) in [
            (&mut sum.ops, ops),
            (&mut sum.errors, errors),
            (&mut sum.moved, moved),
            (&mut sum.deferred, deferred),
            (&mut sum.recopied, recopied),
            (&mut sum.wasted, wasted),
            (&mut sum.cow, cow),
            (&mut sum.encrypted, encrypted),
            (&mut sum.filled, filled),
        ]
        .into_iter()
        .chain(sum.class.iter_mut().zip(class))
        {
            *into = into.saturating_add(*from);
        }
    }
    sum
}

/// The labels that rows are told apart by.
pub(super) fn labels(ebpf: &mut Ebpf) -> Result<StdHashMap<u64, Label>, Error> {
    let labels: HashMap<&mut MapData, u64, Label> = HashMap::try_from(map(ebpf, "LABELS"))?;
    Ok(labels.iter().flatten().collect())
}

/// What a map counts by slot of the process.
pub(super) fn by_process(
    ebpf: &mut Ebpf,
    name: &str,
    processes: &BTreeMap<u32, Proc>,
) -> Result<BTreeMap<u32, u64>, Error> {
    let counts: Array<_, u64> = Array::try_from(map(ebpf, name))?;
    let mut by_process = BTreeMap::new();
    for &slot in processes.keys() {
        by_process.insert(slot, counts.get(&slot, 0)?);
    }
    Ok(by_process)
}

/// Samples of copying in calls that are not operations, the number of each with its samples, by slot of the
/// process.
pub(super) fn other_samples(ebpf: &mut Ebpf) -> Result<BTreeMap<u32, Vec<(u32, u64)>>, Error> {
    let counts: HashMap<&mut MapData, [u32; 2], u64> =
        HashMap::try_from(map(ebpf, "OTHER_SAMPLES"))?;
    let mut by_process: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for ([slot, nr], samples) in counts.iter().flatten() {
        by_process.entry(slot).or_default().push((nr, samples));
    }
    Ok(by_process)
}

/// What was copied of packets that are nobody's, by the place that copied.
pub(super) fn late(ebpf: &mut Ebpf) -> Result<Vec<(String, Totals)>, Error> {
    let counts: Array<_, u64> = Array::try_from(map(ebpf, "LATE"))?;
    let mut late = Vec::new();
    for place in Place::ALL {
        let deferred = counts.get(&(*place as u32), 0)?;
        if deferred != 0 {
            let counters = Counters {
                deferred,
                ..Counters::ZERO
            };
            late.push((place.name().to_owned(), Totals::from(&counters)));
        }
    }
    Ok(late)
}

/// Names of the network devices that rows with claims or later copies have met, by slot.
pub(super) fn devices(ebpf: &mut Ebpf, rows: &[Row]) -> Result<StdHashMap<u32, String>, Error> {
    let names: Array<_, [u8; DEVICE_LEN]> = Array::try_from(map(ebpf, "DEVICES"))?;
    let mut devices = StdHashMap::new();
    let met = |(key, _, counters): &&Row| key.marks != 0 || counters.deferred != 0;
    for (_, slot, _) in rows.iter().filter(met) {
        let name = text(&names.get(slot, 0)?);
        if !name.is_empty() {
            devices.insert(*slot, name);
        }
    }
    Ok(devices)
}

/// What on their routes may copy what rows sent, by slot.
pub(super) fn obstacles(ebpf: &mut Ebpf, rows: &[Row]) -> Result<StdHashMap<u32, String>, Error> {
    let met: Array<_, OnRoute> = Array::try_from(map(ebpf, "OBSTACLES"))?;
    let mut obstacles = StdHashMap::new();
    for (key, slot, _) in rows {
        if key.marks & Mark::CopyingRoute as u8 == 0 {
            continue;
        }
        let met = met.get(slot, 0)?;
        if let Some(obstacle) = Obstacle::from_raw(met.obstacle) {
            let kind = text(&met.kind);
            obstacles.insert(*slot, obstacle.name().replace("{}", &kind));
        }
    }
    Ok(obstacles)
}

/// The threads that are traced.
pub(super) fn live_threads(ebpf: &mut Ebpf) -> Result<BTreeSet<u32>, Error> {
    let tasks = tasks(ebpf)?.into_iter();
    Ok(tasks.map(|(tid, _)| tid).filter(|tid| *tid != 0).collect())
}

/// Runs of the threads that are alive.
pub(super) fn live_runs(ebpf: &mut Ebpf) -> Result<u64, Error> {
    let runs = tasks(ebpf)?.into_iter().map(|(_, task)| task.runs);
    Ok(runs.fold(0, u64::saturating_add))
}

/// The records of threads, with their ids; free ones have 0.
fn tasks(ebpf: &mut Ebpf) -> Result<Vec<(u32, Task)>, Error> {
    let table: Vec<Task> = batch::values(map(ebpf, "TASK_TABLE"))?;
    let beside: HashMap<&mut MapData, u32, Task> = HashMap::try_from(map(ebpf, "TASKS"))?;
    let table = table.into_iter().map(|task| (task.tid as u32, task));
    Ok(table.chain(beside.iter().flatten()).collect())
}
