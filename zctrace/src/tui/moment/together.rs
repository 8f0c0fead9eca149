//! Rows of several processes taken together.

use std::collections::{BTreeMap, HashMap};

use zctrace_common::Sizes;

use super::{
    Moment, PathKey, PathRow, ProcessId, ProcessRow, SPARK, Step, Sym,
    gather::{Beside, Rows},
    numbers::{add_sizes, index},
    packed::Packed,
};
use crate::ledger::{CpuTime, Errnos, Notified, Totals};

/// The processes by their commands.
pub(super) fn by_command(
    rows: &mut Rows<'_>,
    sizes: &mut Vec<Sizes>,
    last: Option<&Moment>,
) -> (Vec<ProcessRow>, Packed) {
    let mut members: BTreeMap<Sym, Vec<usize>> = BTreeMap::new();
    for (place, process) in rows.processes.iter().enumerate() {
        members.entry(process.comm).or_default().push(place);
    }
    let before: HashMap<Sym, &ProcessRow> = last.map_or_else(HashMap::new, |last| {
        let commands = last.commands.iter();
        commands.map(|command| (command.comm, command)).collect()
    });
    let mut commands = Vec::with_capacity(members.len());
    let mut merged = Packed::default();
    for (comm, members) in members {
        let processes = members.iter().map(|place| &rows.processes[*place]);
        let spark = before.get(&comm).map_or([0; SPARK], |before| before.spark);
        let mut command = command(comm, spark, processes);
        command.advance(rows.step);
        let first = index(merged.len());
        let places = members.iter().map(|place| rows.processes[*place].places());
        let paths = places.flat_map(|places| rows.paths.iter(places));
        merge(paths, sizes, &mut rows.beside, &mut merged);
        command.paths = (first, index(merged.len()) - first);
        commands.push(command);
    }
    (commands, merged)
}

/// The sum of a command's processes.
fn command<'a>(
    comm: Sym,
    spark: [u32; SPARK],
    processes: impl Iterator<Item = &'a ProcessRow>,
) -> ProcessRow {
    let mut sum = ProcessRow {
        comm,
        spark,
        ..ProcessRow::default()
    };
    let mut most = 0;
    for (count, process) in processes.enumerate() {
        if process.alive != 0 {
            // A number tells which process it is only where one runs.
            sum.id = if sum.alive == 0 {
                process.id
            } else {
                ProcessId::default()
            };
        }
        let of_all = |sum: Sym, own: Sym| {
            if count == 0 || sum == own {
                own
            } else {
                Sym::default()
            }
        };
        sum.cgroup = of_all(sum.cgroup, process.cgroup);
        sum.container = of_all(sum.container, process.container);
        if sum.busiest.is_none() || process.step.moved > most {
            (sum.busiest, most) = (process.busiest, process.step.moved);
        }
        add_counts(&mut sum, process);
    }
    sum
}

fn add_counts(sum: &mut ProcessRow, process: &ProcessRow) {
    sum.alive += process.alive;
    sum.ended += process.ended;
    sum.totals.add(&process.totals);
    sum.step.add(&process.step);
    sum.sent = sum.sent.saturating_add(process.sent);
    sum.received = sum.received.saturating_add(process.received);
    sum.pending = sum.pending.saturating_add(process.pending);
    sum.in_flight = sum.in_flight.saturating_add(process.in_flight);
    if let Some(seconds) = process.copy_cpu {
        sum.copy_cpu = Some(sum.copy_cpu.unwrap_or(0.0) + seconds);
    }
    sum.cpu = CpuTime::sum(sum.cpu, process.cpu);
}

/// Rows of several processes by what they are.
pub(super) fn merge(
    paths: impl Iterator<Item = PathRow>,
    sizes: &mut Vec<Sizes>,
    beside: &mut Beside,
    packed: &mut Packed,
) {
    let mut places: HashMap<PathKey, usize> = HashMap::new();
    let mut merged: Vec<PathRow> = Vec::new();
    for path in paths {
        let place = *places.entry(path.key()).or_insert_with(|| {
            merged.push(PathRow {
                process: u32::MAX,
                verdict: 0,
                sizes: 0,
                errnos: 0,
                notified: 0,
                totals: Totals::default(),
                step: Step::default(),
                ..path
            });
            merged.len() - 1
        });
        let row = &mut merged[place];
        if let Some(own) = (path.sizes as usize)
            .checked_sub(1)
            .map(|place| sizes[place])
        {
            if row.sizes == 0 {
                sizes.push(Sizes::ZERO);
                row.sizes = index(sizes.len());
            }
            add_sizes(&mut sizes[row.sizes as usize - 1], &own);
        }
        let own = (path.errnos as usize).checked_sub(1);
        if let Some(own) = own.map(|place| beside.errnos[place].clone()) {
            if row.errnos == 0 {
                beside.errnos.push(Errnos::default());
                row.errnos = index(beside.errnos.len());
            }
            beside.errnos[row.errnos as usize - 1].add(&own);
        }
        let own = (path.notified as usize).checked_sub(1);
        if let Some(own) = own.map(|place| beside.notified[place].clone()) {
            if row.notified == 0 {
                beside.notified.push(Notified::default());
                row.notified = index(beside.notified.len());
            }
            beside.notified[row.notified as usize - 1].add(&own);
        }
        row.totals.add(&path.totals);
        row.step.add(&path.step);
    }
    merged.iter().for_each(|row| packed.push(row));
}
