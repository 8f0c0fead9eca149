//! What the counters start from.

use std::{collections::HashMap, time::Duration};

use zctrace_common::Sizes;

use super::{Moment, PathKey, ProcessId, ProcessRow, Sym, numbers::add_sizes};
use crate::ledger::{CpuTime, Errnos, Notified, Stacks, Totals, Ways};

/// What had been counted when the user set the counters to zero.
#[derive(Debug, Default)]
pub(super) struct Base {
    pub(super) at: Duration,
    pub(super) total: Totals,
    pub(super) processes: HashMap<ProcessId, BaseProcess>,
    pub(super) kernel_threads: HashMap<Sym, Totals>,
    pub(super) requests: HashMap<(ProcessId, Sym), Ways>,
    pub(super) sizes: HashMap<(ProcessId, PathKey), Sizes>,
    pub(super) errnos: HashMap<(ProcessId, PathKey), Errnos>,
    pub(super) notified: HashMap<(ProcessId, PathKey), Notified>,
    pub(super) stacks: Stacks,
}

impl Base {
    /// Counts from a moment on: what it shows has been counted.
    pub(super) fn take(&mut self, moment: &Moment) {
        self.at = moment.at;
        self.total.add(&moment.total);
        for process in &moment.processes {
            self.take_process(process, moment);
        }
        for row in &moment.kernel_threads {
            let base = self.kernel_threads.entry(row.thread).or_default();
            base.add(&row.totals);
        }
        for row in &moment.requests {
            if let Some(ways) = row.ways {
                let base = self.requests.entry((row.id, row.op)).or_default();
                base.add(ways);
            }
        }
        self.stacks.add(&moment.stacks.stacks);
    }

    /// How requests of a process had been issued, and how all of its rings had been batched.
    pub(super) fn ways(&self, id: ProcessId, op: Sym, is_of_ring: bool) -> Ways {
        if let Some(ways) = self.requests.get(&(id, op)) {
            return *ways;
        }
        let mut of_process = self.requests.iter().filter(|((of, _), _)| *of == id);
        let batched = of_process.find(|(_, ways)| ways.batches() != [0; 3]);
        let batched = batched.filter(|_| is_of_ring);
        batched.map_or_else(Ways::default, |(_, ways)| ways.only_batches())
    }

    fn take_process(&mut self, process: &ProcessRow, moment: &Moment) {
        let base = self.processes.entry(process.id).or_default();
        base.sent = base.sent.saturating_add(process.sent);
        base.copy_cpu += process.copy_cpu.unwrap_or(0.0);
        base.cpu.add(&process.cpu.unwrap_or_default());
        base.received = base.received.saturating_add(process.received);
        for path in moment.paths_of(process) {
            let key = (process.id, path.key());
            base.add(path.key(), &path.totals);
            if let Some(sizes) = moment.sizes(&path) {
                add_sizes(self.sizes.entry(key).or_default(), sizes);
            }
            if let Some(errnos) = moment.errnos(&path) {
                self.errnos.entry(key).or_default().add(errnos);
            }
            if let Some(notified) = moment.notified(&path) {
                self.notified.entry(key).or_default().add(notified);
            }
        }
    }

    /// What was known of a process that has ended goes to the row of its command.
    pub(super) fn fold(&mut self, id: ProcessId, number: u64) {
        let into = ProcessId {
            pid: 0,
            start_time: number,
        };
        // Whatever else there is was noted with the process.
        let Some(own) = self.processes.remove(&id) else {
            return;
        };
        let row = self.processes.entry(into).or_default();
        row.sent = row.sent.saturating_add(own.sent);
        row.received = row.received.saturating_add(own.received);
        row.copy_cpu += own.copy_cpu;
        row.cpu.add(&own.cpu);
        for (key, totals) in own.paths {
            row.add(key, &totals);
            if let Some(sizes) = self.sizes.remove(&(id, key)) {
                add_sizes(self.sizes.entry((into, key)).or_default(), &sizes);
            }
            if let Some(errnos) = self.errnos.remove(&(id, key)) {
                self.errnos.entry((into, key)).or_default().add(&errnos);
            }
            if let Some(notified) = self.notified.remove(&(id, key)) {
                let base = self.notified.entry((into, key)).or_default();
                base.add(&notified);
            }
        }
        for ((_, op), ways) in self
            .requests
            .extract_if(|(of, _), _| *of == id)
            .collect::<Vec<_>>()
        {
            self.requests.entry((into, op)).or_default().add(ways);
        }
    }
}

/// What had been counted of a process.
#[derive(Debug, Default)]
pub(super) struct BaseProcess {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) copy_cpu: f64,
    pub(super) cpu: CpuTime,
    paths: Vec<(PathKey, Totals)>,
}

impl BaseProcess {
    pub(super) fn path(&self, key: PathKey) -> Option<&Totals> {
        let found = self.paths.iter().find(|(other, _)| *other == key);
        found.map(|(_, totals)| totals)
    }

    fn add(&mut self, key: PathKey, totals: &Totals) {
        match self.paths.iter_mut().find(|(other, _)| *other == key) {
            Some((_, known)) => known.add(totals),
            None => self.paths.push((key, *totals)),
        }
    }
}
