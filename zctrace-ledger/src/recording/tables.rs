//! The tables of a recording, which turn the numbers of an interval into a document again.

use std::{
    mem::{size_of, take},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    beside::{Beside, WireBatches, WireBeside},
    containers::{Known, WireContainers},
    cpu::WireCpu,
    errnos::WireErrnos,
    filled::WireFilled,
    limits::{self, Budget},
    not_followed::WireNotFollowed,
    notified::WireNotified,
    wire::{
        ClaimedRow, Header, Interval, PathKey, ProcessKey, ProcessRows, Sparse, StackKey,
        WireCoverage, WireLoss, WireRings, WireUnfollowed,
    },
};
use crate::ledger::{
    self, Claimed, Coverage, Errnos, ExitStatus, Loss, Notified, Overhead, Process, Refused,
    Snapshot, Stack, Stacks, Target, Totals, Unattributed,
};

/// What numbers stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    names: Vec<Arc<str>>,
    processes: Vec<ProcessKey>,
    paths: Vec<PathKey>,
    stacks: Vec<StackKey>,
    containers: Known,
    /// About how many bytes these take.
    held: usize,
    coverage: Coverage,
}

impl Tables {
    /// The document that a payload stands for, and what is beside it; `None` where it makes no sense
    /// or would take too much memory.
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        header: &Header,
        target: &Target,
        budget: &mut Budget,
    ) -> Option<(Snapshot, Option<Beside>)> {
        let (interval, rest) = limits::decode::<Interval>(payload, budget)?;
        let mut snapshot = self.snapshot(interval, header, target, budget)?;
        let beside = self.behind(rest, &mut snapshot, budget)?;
        self.containers.name(&mut snapshot, budget)?;
        Some((snapshot, beside))
    }

    /// What stands behind an interval, put into its document, and what is beside it, of which the first
    /// recordings have nothing; `None` where it makes no sense or would take too much memory.
    #[expect(
        clippy::option_option,
        reason = "nothing beside it, and no sense, are two things"
    )]
    fn behind(
        &mut self,
        rest: &[u8],
        snapshot: &mut Snapshot,
        budget: &mut Budget,
    ) -> Option<Option<Beside>> {
        if rest.is_empty() {
            return Some(None);
        }
        let (beside, rest) = limits::decode::<WireBeside>(rest, budget)?;
        let mut beside = beside.read(snapshot, budget)?;
        self.additions(rest, snapshot, &mut beside, budget)?;
        Some(Some(beside))
    }

    /// What each version of zctrace has added to a frame, as far as its writer knew of it.
    fn additions(
        &mut self,
        rest: &[u8],
        snapshot: &mut Snapshot,
        beside: &mut Beside,
        budget: &mut Budget,
    ) -> Option<()> {
        // Those before 0.2 end here.
        if rest.is_empty() {
            return Some(());
        }
        let (loss, rest) = limits::decode::<WireLoss>(rest, budget)?;
        loss.read(&mut snapshot.loss);
        if rest.is_empty() {
            return Some(());
        }
        let (errnos, rest) = limits::decode::<WireErrnos>(rest, budget)?;
        errnos.read(snapshot, budget)?;
        if rest.is_empty() {
            return Some(());
        }
        let (calls, rest) = limits::decode::<WireNotFollowed>(rest, budget)?;
        calls.read(snapshot)?;
        if rest.is_empty() {
            return Some(());
        }
        let (new, rest) = limits::decode::<WireContainers>(rest, budget)?;
        let names = &self.names;
        let name = |number| names.get(number as usize);
        self.containers.add(new, name, budget)?;
        if rest.is_empty() {
            return Some(());
        }
        let (filled, rest) = limits::decode::<WireFilled>(rest, budget)?;
        filled.read(snapshot)?;
        if rest.is_empty() {
            return Some(());
        }
        let (cpu, rest) = limits::decode::<WireCpu>(rest, budget)?;
        cpu.read(snapshot)?;
        if rest.is_empty() {
            return Some(());
        }
        let (notified, rest) = limits::decode::<WireNotified>(rest, budget)?;
        notified.read(snapshot, budget)?;
        if rest.is_empty() {
            return Some(());
        }
        let (rings, rest) = limits::decode::<WireRings>(rest, budget)?;
        rings.read(&mut snapshot.loss);
        if rest.is_empty() {
            return Some(());
        }
        let (batches, rest) = limits::decode::<WireBatches>(rest, budget)?;
        batches.read(beside);
        if rest.is_empty() {
            return Some(());
        }
        let (unfollowed, _) = limits::decode::<WireUnfollowed>(rest, budget)?;
        unfollowed.read(&mut snapshot.loss);
        Some(())
    }

    /// The document that an interval stands for; `None` where it makes no sense or takes too much.
    fn snapshot(
        &mut self,
        mut interval: Interval,
        header: &Header,
        target: &Target,
        budget: &mut Budget,
    ) -> Option<Snapshot> {
        self.learn(&mut interval, budget)?;
        let Interval {
            // The tables have it.
            reset: _,
            coverage: _,
            new_names: _,
            new_processes: _,
            new_paths: _,
            new_stacks: _,
            seq,
            started_us,
            duration_ns,
            exit,
            processes,
            unattributed,
            loss,
            bpf_runs,
            bpf_ns,
            stacks,
            stacks_lost,
        } = interval;
        let processes = self.processes(processes, budget)?;
        let mut total = Totals::default();
        for process in &processes {
            total.add(&process.total);
        }
        Some(Snapshot {
            schema: header.schema.clone(),
            seq: Some(seq),
            kernel: header.kernel.clone(),
            arch: header.arch.clone(),
            backend: header.backend.clone(),
            target: target.clone(),
            exit_status: exit.map(|(code, signal)| ExitStatus { code, signal }),
            started_at: format!("{:.6}", Timestamp::from_microsecond(started_us).ok()?),
            duration_ns,
            total,
            processes,
            unattributed: self.unattributed(unattributed, budget)?,
            coverage: self.coverage.clone(),
            loss: Loss {
                map_full: loss[0],
                missed_runs: loss[2],
                ..Loss::default()
            },
            overhead: Overhead { bpf_runs, bpf_ns },
            stacks: self.stacks(stacks, stacks_lost, budget)?,
        })
    }

    /// Takes in what an interval has that is new; `None` where that is too much.
    fn learn(&mut self, interval: &mut Interval, budget: &mut Budget) -> Option<()> {
        if interval.reset {
            *self = Self {
                coverage: take(&mut self.coverage),
                ..Self::default()
            };
        }
        // The recorder would have begun again.
        if self.is_full() {
            return None;
        }
        self.learn_coverage(interval.coverage.take(), budget)?;
        let names = interval.new_names.iter();
        let names = names.map(|name| limits::numbered_bytes(name.len()));
        let stacks = interval.new_stacks.iter();
        let frames = stacks.map(|stack| limits::numbered_bytes(size_of_val(&stack.frames[..])));
        let others =
            size_of_val(&interval.new_processes[..]) + size_of_val(&interval.new_paths[..]);
        let more = names.chain(frames).sum::<usize>() + others;
        // In the tables and, while they grow, beside them.
        budget.take(2 * more)?;
        self.held += more;
        let names = take(&mut interval.new_names);
        self.names.extend(names.into_iter().map(Arc::from));
        self.processes.extend(take(&mut interval.new_processes));
        self.paths.extend(take(&mut interval.new_paths));
        self.stacks.extend(take(&mut interval.new_stacks));
        Some(())
    }

    fn is_full(&self) -> bool {
        let counts = [
            self.names.len(),
            self.processes.len(),
            self.paths.len(),
            self.stacks.len(),
        ];
        counts.into_iter().any(|count| count > limits::MOST_NUMBERS)
            || self.held > limits::MOST_HELD
    }

    /// Takes in which probes take part, if that has changed.
    fn learn_coverage(&mut self, new: Option<WireCoverage>, budget: &mut Budget) -> Option<()> {
        if let Some(WireCoverage { attached, refused }) = new {
            let refused = refused.into_iter();
            self.coverage = Coverage {
                attached,
                refused: refused
                    .map(|(probe, reason, lost, absent)| Refused {
                        probe,
                        reason,
                        lost,
                        absent,
                    })
                    .collect(),
            };
        }
        let size = coverage_size(&self.coverage);
        if size > limits::MOST_COVERAGE {
            return None;
        }
        budget.take(size)
    }

    fn processes(&self, all: Vec<ProcessRows>, budget: &mut Budget) -> Option<Vec<Process>> {
        budget.take(all.len() * size_of::<Process>())?;
        let mut processes = Vec::with_capacity(all.len());
        for rows in all {
            processes.push(self.process(rows, budget)?);
        }
        Some(processes)
    }

    /// What a process did.
    fn process(&self, rows: ProcessRows, budget: &mut Budget) -> Option<Process> {
        let key = *self.processes.get(rows.process as usize)?;
        budget.take(rows.rows.len() * size_of::<ledger::Path>())?;
        let mut paths = Vec::with_capacity(rows.rows.len());
        for (number, counters) in rows.rows {
            paths.push(self.path(number, &counters, budget)?);
        }
        let [comm, cgroup] = self.names([key.comm, key.cgroup])?;
        budget.take(comm.len() + cgroup.len())?;
        let mut process = Process::from_paths(
            key.pid,
            key.start_time,
            comm.to_string(),
            cgroup.to_string(),
            paths,
        );
        process.pending = rows.pending;
        process.in_flight = rows.in_flight;
        process.copy_cpu_seconds = rows.copy_cpu_seconds;
        for row in rows.claims {
            process.claims.push(self.claimed(&row, budget)?);
        }
        Some(process)
    }

    /// A data path of a process.
    fn path(&self, number: u32, counters: &Sparse, budget: &mut Budget) -> Option<ledger::Path> {
        let path = *self.paths.get(number as usize)?;
        let [op, object, evidence] = self.names([path.op, path.object, path.evidence])?;
        let by = match path.by {
            Some(by) => Some(self.name(by)?),
            None => None,
        };
        budget.take(op.len() + object.len() + evidence.len())?;
        budget.take(by.map_or(0, |by| by.len()))?;
        Some(ledger::Path {
            op: op.as_ref().into(),
            object: object.as_ref().into(),
            evidence: evidence.as_ref().into(),
            by: by.map(|by| by.to_string()),
            // They are behind the interval.
            errnos: Errnos::default(),
            notified: Notified::default(),
            totals: counters.totals()?,
        })
    }

    /// What was asked for at a path.
    fn claimed(&self, row: &ClaimedRow, budget: &mut Budget) -> Option<Claimed> {
        let path = *self.paths.get(row.path as usize)?;
        let [op, object, evidence] = self.names([path.op, path.object, path.evidence])?;
        let device = match row.device {
            Some(device) => Some(self.name(device)?),
            None => None,
        };
        budget.take(2 * size_of::<Claimed>() + op.len() + object.len() + evidence.len())?;
        budget.take(device.map_or(0, |device| device.len()))?;
        let mut claims = Vec::with_capacity(row.claims.len());
        for &name in &row.claims {
            let name = self.name(name)?;
            budget.take(size_of::<String>() + name.len())?;
            claims.push(name.to_string());
        }
        Some(Claimed {
            op: op.as_ref().into(),
            object: object.as_ref().into(),
            evidence: evidence.as_ref().into(),
            claims,
            device: device.map(|device| device.to_string()),
            notifications: row.notifications,
            totals: row.counters.totals()?,
        })
    }

    /// What kernel threads did.
    fn unattributed(
        &self,
        all: Vec<(u32, Sparse)>,
        budget: &mut Budget,
    ) -> Option<Vec<Unattributed>> {
        let mut work = Vec::new();
        for (name, counters) in all {
            let thread = self.name(name)?;
            budget.take(2 * size_of::<Unattributed>() + thread.len())?;
            work.push(Unattributed {
                thread: thread.to_string(),
                totals: counters.totals()?,
            });
        }
        Some(work)
    }

    /// The stacks that were sampled.
    fn stacks(&self, all: Vec<(u32, u64)>, lost: u64, budget: &mut Budget) -> Option<Stacks> {
        let mut sampled = Stacks {
            lost,
            ..Stacks::default()
        };
        for (number, bytes) in all {
            let key = self.stacks.get(number as usize)?;
            budget.take(2 * (size_of::<Stack>() + key.frames.len() * size_of::<Arc<str>>()))?;
            let frames = key.frames.iter().map(|&frame| self.name(frame).cloned());
            let frames: Option<Vec<_>> = frames.collect();
            let [comm, class] = self.names([key.comm, key.class])?;
            let stack = Stack {
                pid: key.pid,
                start_time: key.start_time,
                comm: comm.clone(),
                class: class.clone(),
                frames: frames?,
            };
            let sum = sampled.bytes.entry(stack).or_default();
            *sum = sum.saturating_add(bytes);
        }
        Some(sampled)
    }

    fn name(&self, number: u32) -> Option<&Arc<str>> {
        self.names.get(number as usize)
    }

    fn names<const N: usize>(&self, numbers: [u32; N]) -> Option<[&Arc<str>; N]> {
        let none = self.names.first()?;
        let mut names = [none; N];
        for (name, number) in names.iter_mut().zip(numbers) {
            *name = self.name(number)?;
        }
        Some(names)
    }
}

fn coverage_size(coverage: &Coverage) -> usize {
    let attached = coverage.attached.iter().map(String::len);
    let refused = coverage.refused.iter();
    let refused = refused.map(|one| one.probe.len() + one.reason.len() + one.lost.len());
    size_of_val(&coverage.attached[..])
        + size_of_val(&coverage.refused[..])
        + attached.chain(refused).sum::<usize>()
}
