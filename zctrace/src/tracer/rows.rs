//! From the maps to the ledger's documents.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap as StdHashMap},
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray, PerCpuValues, Queue},
};
use zctrace_common::{
    By, Counters, CpuSamples, DEVICE_LEN, Evidence, Label, Mark, Obstacle, OnRoute, Op, Place,
    Proc, RowKey, Sizes, Task, errno_key, of_errno_key,
};

use super::{
    Config, Ended, Error, Reading, batch, claims, map,
    names::{Names, text},
    queued, regions, requests, sample,
    work::Meter,
};
use crate::{
    ledger::{
        self, Errno, Errnos, Overhead, Path, Process, Requests, RowSizes, Stacks, Totals,
        Unattributed, Unfollowed, audit::syscalls,
    },
    target::Chooser,
};

/// Clock ticks a second in `/proc/PID/stat`: `USER_HZ`, fixed by the kernel's interface.
const USER_HZ: u64 = 100;

/// How long processes that have ended keep their slots where there is room.
const PATIENCE: Duration = Duration::from_millis(500);

/// One in so many slots is taken by a process that has ended: before more can, they are taken back. A process can have
/// several rows, for which there are no more slots than for processes.
const CROWD: usize = 16;

/// Reads the maps; keeps what belongs to processes that have ended, whose slots it returns.
pub(super) struct Collector {
    by: By,
    sampled: bool,
    names: Names,
    after: Ended,
    sized: bool,
    ended: Vec<Process>,
    ended_sizes: Vec<RowSizes>,
    ended_requests: Vec<Requests>,
    ended_kernel: BTreeMap<String, Totals>,
    ended_runs: u64,
    folded: ledger::Ended,
    chooser: Option<Chooser>,
    collected_at: Instant,
    /// Where the time of user space goes.
    work: Meter,
    /// Stacks outlive their processes.
    stacks: bool,
}

impl Collector {
    pub(super) fn new(config: &Config, sampled: bool) -> Self {
        Self {
            by: config.by,
            sampled,
            after: config.ended,
            sized: config.sizes,
            names: Names::new(),
            ended: Vec::new(),
            ended_sizes: Vec::new(),
            ended_requests: Vec::new(),
            ended_kernel: BTreeMap::new(),
            ended_runs: 0,
            folded: ledger::Ended::default(),
            chooser: config.several.clone().map(Chooser::new),
            collected_at: Instant::now(),
            work: Meter::new(),
            stacks: config.stack_bytes != 0,
        }
    }

    /// Learns the code of processes while that is permitted.
    pub(super) fn learn(&mut self, threads: &[u32]) {
        if self.sampled {
            self.work.learn(threads);
        }
    }

    /// Takes the slots of processes that have ended back, if they take much of the room or have waited for long. What
    /// they did is in the next reading.
    pub(super) fn keep_up(&mut self, ebpf: &mut Ebpf) -> Result<(), Error> {
        if self.collected_at.elapsed() < PATIENCE {
            // One system call: a machine where nothing ends pays for no more.
            let procs: Vec<Proc> = batch::values(map(ebpf, "PROCS"))?;
            let ended = procs
                .iter()
                .filter(|process| process.tgid != 0 && process.flags & Proc::EXITED != 0);
            if ended.count() < procs.len() / CROWD {
                return Ok(());
            }
        }
        self.collect(ebpf).map(drop)
    }

    /// Everything counted since the start.
    pub(super) fn read(&mut self, ebpf: &mut Ebpf) -> Result<Reading, Error> {
        let mut reading = self.collect(ebpf)?;
        match self.after {
            Ended::Keep => {
                reading.processes.extend(self.ended.iter().cloned());
                reading.requests.extend(self.ended_requests.iter().cloned());
                reading.sizes.extend(self.ended_sizes.iter().cloned());
            }
            Ended::Forget => {
                reading.processes.append(&mut self.ended);
                reading.requests.append(&mut self.ended_requests);
                reading.sizes.append(&mut self.ended_sizes);
            }
            Ended::Fold => {
                reading.processes.extend(self.folded.rows().cloned());
                for process in &self.ended {
                    self.folded.take(process);
                }
                reading.processes.append(&mut self.ended);
                reading.requests.extend(self.ended_requests.iter().cloned());
                reading.sizes.extend(self.ended_sizes.iter().cloned());
            }
        }
        reading
            .processes
            .sort_by(|a, b| b.total.moved.cmp(&a.total.moved).then(a.pid.cmp(&b.pid)));
        for process in &reading.processes {
            reading.total.add(&process.total);
        }
        let losses: Array<_, zctrace_common::Loss> = Array::try_from(map(ebpf, "LOSS"))?;
        let loss = losses.get(&0, 0)?;
        reading.loss = ledger::Loss {
            map_full: loss.map_full,
            unfollowed_calls: Unfollowed {
                io_submit: loss.unfollowed_submits,
                compat: loss.unfollowed_compat,
            },
            ..ledger::Loss::default()
        };
        reading.overhead = Overhead {
            bpf_runs: reading.overhead.bpf_runs + self.ended_runs + live_runs(ebpf)?,
            bpf_ns: None,
        };
        Ok(reading)
    }

    /// What is in the maps. What belongs to processes that have ended is put beside, and their slots are
    /// taken back.
    fn collect(&mut self, ebpf: &mut Ebpf) -> Result<Reading, Error> {
        self.collected_at = Instant::now();
        // The order matters: a process that is marked as ended before its rows are read adds
        // nothing to them any more.
        let processes = processes(ebpf)?;
        // Before the rows as well: what is no longer pending has been counted if it was copied.
        let mut pending = by_process(ebpf, "PENDING", &processes)?;
        for (slot, bytes) in queued::by_process(ebpf, &processes)? {
            *pending.entry(slot).or_default() += bytes;
        }
        let samples = by_process(ebpf, "COPY_SAMPLES", &processes)?;
        let other_samples = other_samples(ebpf)?;
        if self.sampled {
            self.work.take(ebpf, &processes)?;
        }
        self.learn_names(ebpf)?;
        let labels = if self.by == By::Nothing {
            StdHashMap::new()
        } else {
            labels(ebpf)?
        };
        // A request is counted in its row first, then as completed.
        let mut requests = requests::by_slot(ebpf)?;
        // Before the rows: an operation is counted first, then its error.
        let errnos = errnos(ebpf)?;
        let rows = rows(ebpf, &errnos)?;
        if self.by == By::Region {
            // After the rows: each of their regions has its name by now.
            self.names.set_regions(regions::labels(ebpf)?);
        }
        let devices = devices(ebpf, &rows)?;
        let obstacles = obstacles(ebpf, &rows)?;
        let sizes: Vec<Sizes> = if self.sized {
            batch::values(map(ebpf, "SIZES"))?
        } else {
            Vec::new()
        };

        let mut by_process: BTreeMap<u32, Vec<&(RowKey, u32, Counters)>> = BTreeMap::new();
        for row in &rows {
            by_process.entry(row.0.proc_slot).or_default().push(row);
        }
        // A process can copy in calls that have no rows.
        for slot in other_samples.keys().copied().chain(self.work.busy()) {
            by_process.entry(slot).or_default();
        }
        let mut reading = Reading::default();
        let mut kernel = self.ended_kernel.clone();
        // Samples give a process its slot, too. One whose requests are under way gets its rows when they complete.
        let has_ended = |process: &Proc| process.flags & Proc::EXITED != 0;
        let ended = processes.iter().filter(|(_, process)| has_ended(process));
        let mut ended_slots: BTreeSet<u32> = ended
            .map(|(slot, _)| *slot)
            .filter(|slot| !by_process.contains_key(slot) && !requests.contains_key(slot))
            .filter(|slot| pending.get(slot).is_none_or(|bytes| *bytes == 0))
            .collect();
        for (slot, rows) in &by_process {
            let Some(process) = processes.get(slot) else {
                continue;
            };
            if process.flags & Proc::KTHREAD != 0 {
                if self.chooser.is_some() {
                    continue;
                }
                let mut totals = Totals::default();
                for (_, _, counters) in rows {
                    totals.add(&counters.into());
                }
                let thread = text(&process.comm);
                let ended = process.flags & Proc::EXITED != 0;
                let into = if ended {
                    &mut self.ended_kernel
                } else {
                    &mut kernel
                };
                into.entry(thread.clone()).or_default().add(&totals);
                if ended {
                    kernel.entry(thread).or_default().add(&totals);
                    ended_slots.insert(*slot);
                }
                continue;
            }
            let mut document =
                self.process(process, rows, &labels, (&devices, &obstacles), &errnos);
            let mut row_sizes = self.sizes(&document, rows, &labels, &sizes);
            document.pending = pending.get(slot).copied().unwrap_or(0);
            document.copy_cpu_seconds = self
                .sampled
                .then(|| sample::seconds(samples.get(slot).copied().unwrap_or(0)));
            document.cpu_seconds = self.sampled.then(|| self.work.time(*slot));
            let calls = other_samples.get(slot).into_iter().flatten();
            let calls = calls.map(|(nr, samples)| {
                let name = syscalls::name(nr.cast_signed()).into_owned();
                (name, sample::seconds(*samples))
            });
            document.not_followed = ledger::not_followed(calls, &document.paths);
            let mut theirs = Vec::new();
            for (op, ways) in requests.remove(slot).unwrap_or_default() {
                theirs.push(Requests {
                    pid: document.pid,
                    start_time: document.start_time,
                    comm: document.comm.clone(),
                    op,
                    ways,
                });
                document.in_flight += ways.in_flight();
            }
            // What it sent can still be copied, and a request that completes later is the
            // submitter's: both are to be counted in its rows.
            let settled = document.pending == 0 && document.in_flight == 0;
            let is_chosen = self
                .chooser
                .as_mut()
                .is_none_or(|chooser| chooser.takes(&document));
            if process.flags & Proc::EXITED != 0 && settled {
                self.ended_runs += process.runs;
                ended_slots.insert(*slot);
                if let Some(chooser) = &mut self.chooser
                    && !self.stacks
                {
                    chooser.forget(&document);
                }
                if !is_chosen {
                    continue;
                }
                if self.after == Ended::Fold {
                    let number = self.folded.number(&document.comm);
                    document.ended_into = Some(number);
                    fold_requests(&mut self.ended_requests, theirs, number);
                    fold_sizes(&mut self.ended_sizes, row_sizes, number);
                } else {
                    self.ended_requests.append(&mut theirs);
                    self.ended_sizes.append(&mut row_sizes);
                }
                self.ended.push(document);
            } else {
                reading.overhead.bpf_runs += process.runs;
                if !is_chosen {
                    continue;
                }
                reading.processes.push(document);
                reading.requests.append(&mut theirs);
                reading.sizes.append(&mut row_sizes);
            }
        }
        for (place, totals) in late(ebpf)? {
            kernel.entry(place).or_default().add(&totals);
        }
        recycle(ebpf, &rows, &errnos, &ended_slots, self.sized)?;
        self.work.forget(&ended_slots);
        reading.unattributed = kernel
            .into_iter()
            .map(|(thread, totals)| Unattributed { thread, totals })
            .collect();
        Ok(reading)
    }

    /// The stacks of those processes that are read.
    pub(super) fn chosen_stacks(&self, mut stacks: Stacks) -> Stacks {
        if let Some(chooser) = &self.chooser {
            stacks
                .bytes
                .retain(|stack, _| chooser.has_taken(stack.pid, stack.start_time));
        }
        stacks
    }

    fn learn_names(&mut self, ebpf: &mut Ebpf) -> Result<(), Error> {
        self.names.forget_mounts();
        let names: HashMap<&mut MapData, u64, [u8; 16]> = HashMap::try_from(map(ebpf, "FS_NAMES"))?;
        for (object, name) in names.iter().flatten() {
            self.names.add_filesystem(object, &name);
        }
        Ok(())
    }

    /// How large the operations of a process are. Rows of one name can come twice.
    fn sizes(
        &mut self,
        process: &Process,
        rows: &[&(RowKey, u32, Counters)],
        labels: &StdHashMap<u64, Label>,
        sizes: &[Sizes],
    ) -> Vec<RowSizes> {
        let sized = rows.iter().filter_map(|(key, slot, _)| {
            let sizes = *sizes.get(*slot as usize)?;
            let (op, evidence) = (Op::from_raw(key.op)?, Evidence::from_raw(key.evidence)?);
            let label = labels.get(&key.dimension);
            (sizes != Sizes::ZERO).then(|| RowSizes {
                pid: process.pid,
                start_time: process.start_time,
                op,
                object: self.names.objects(key.source, key.sink),
                evidence,
                by: self.names.dimension(self.by, key.dimension, label),
                sizes,
            })
        });
        sized.collect()
    }

    fn process(
        &mut self,
        process: &Proc,
        rows: &[&(RowKey, u32, Counters)],
        labels: &StdHashMap<u64, Label>,
        (devices, obstacles): (&StdHashMap<u32, String>, &StdHashMap<u32, String>),
        errnos: &StdHashMap<u32, Errnos>,
    ) -> Process {
        let mut paths: Vec<Path> = rows
            .iter()
            .filter(|(key, ..)| !claims::is_notification(key))
            // Made ready for what never came, as by an AF_XDP socket that only sends.
            .filter(|(.., counters)| *counters != Counters::ZERO)
            .filter_map(|(key, slot, counters)| {
                // A number that no version of the programs writes is not shown as something else.
                let (op, evidence) = (Op::from_raw(key.op)?, Evidence::from_raw(key.evidence)?);
                let label = labels.get(&key.dimension);
                Some(Path {
                    op: op.into(),
                    object: self.names.objects(key.source, key.sink),
                    evidence: evidence.into(),
                    by: self.names.dimension(self.by, key.dimension, label),
                    errnos: named(errnos.get(slot), counters.errors),
                    totals: counters.into(),
                })
            })
            .collect();
        merge_equal(&mut paths);
        let claims = rows
            .iter()
            .filter_map(|(key, slot, counters)| {
                let object = self.names.objects(key.source, key.sink);
                let met = (devices.get(slot), obstacles.get(slot));
                claims::claimed(key, object, met, counters)
            })
            .collect();
        let mut document = Process::from_paths(
            process.tgid,
            process.start_ns / (1_000_000_000 / USER_HZ),
            text(&process.comm),
            self.names.cgroup(process.cgroup),
            paths,
        );
        document.container = self.names.container(&document.cgroup);
        document.claims = claims::merged(claims);
        document
    }
}

/// Adds the requests of a process that has ended to the row of its command.
fn fold_requests(all: &mut Vec<Requests>, ended: Vec<Requests>, number: u64) {
    for requests in ended {
        let into = all
            .iter_mut()
            .find(|other| (other.start_time, other.op) == (number, requests.op));
        match into {
            Some(into) => into.ways.add(requests.ways),
            None => all.push(Requests {
                pid: 0,
                start_time: number,
                ..requests
            }),
        }
    }
}

/// Adds how large the operations of a process were that has ended to the row of its command.
fn fold_sizes(all: &mut Vec<RowSizes>, ended: Vec<RowSizes>, number: u64) {
    for row in ended {
        let into = all
            .iter_mut()
            .find(|other| other.start_time == number && other.has_names_of(&row));
        match into {
            Some(into) => into.add(&row),
            None => all.push(RowSizes {
                pid: 0,
                start_time: number,
                ..row
            }),
        }
    }
}

/// Two keys can have one name: two minor numbers of a driver, say.
pub(super) fn merge_equal(paths: &mut Vec<Path>) {
    let mut merged: Vec<Path> = Vec::with_capacity(paths.len());
    for path in paths.drain(..) {
        let same = |other: &&mut Path| {
            (&other.op, &other.object, &other.evidence, &other.by)
                == (&path.op, &path.object, &path.evidence, &path.by)
        };
        match merged.iter_mut().find(same) {
            Some(other) => other.add(&path),
            None => merged.push(path),
        }
    }
    *paths = merged;
}

fn processes(ebpf: &mut Ebpf) -> Result<BTreeMap<u32, Proc>, Error> {
    let procs: Vec<Proc> = batch::values(map(ebpf, "PROCS"))?;
    let used = (0..).zip(procs).filter(|(_, process)| process.tgid != 0);
    Ok(used.collect())
}

/// How the operations of rows failed, by their slots.
fn errnos(ebpf: &mut Ebpf) -> Result<StdHashMap<u32, Errnos>, Error> {
    let counts: HashMap<&mut MapData, u64, u64> = HashMap::try_from(map(ebpf, "ERRNOS"))?;
    let mut errnos: StdHashMap<u32, Errnos> = StdHashMap::new();
    for (key, count) in counts.iter().flatten() {
        let (slot, errno) = of_errno_key(key);
        let row = errnos.entry(slot).or_default();
        row.count(Errno::new(errno), count);
    }
    Ok(errnos)
}

/// The errnos of a row with so many errors: those for which the map had no room have no name.
fn named(known: Option<&Errnos>, errors: u64) -> Errnos {
    let mut errnos = known.cloned().unwrap_or_default();
    let unnamed = errors.saturating_sub(errnos.total());
    errnos.count(Errno::OTHER, unnamed);
    errnos
}

/// Every row, its slot and its counters, to which the errors that have an errno are added.
fn rows(
    ebpf: &mut Ebpf,
    errnos: &StdHashMap<u32, Errnos>,
) -> Result<Vec<(RowKey, u32, Counters)>, Error> {
    let slots: HashMap<&mut MapData, RowKey, u32> = HashMap::try_from(map(ebpf, "ROW_SLOTS"))?;
    let slots: Vec<_> = slots.iter().flatten().collect();
    let counters: PerCpuArray<_, Counters> = PerCpuArray::try_from(map(ebpf, "ROWS"))?;
    let mut rows = Vec::with_capacity(slots.len());
    for (key, slot) in slots {
        let mut counters = sum(&counters.get(&slot, 0)?);
        counters.errors += errnos.get(&slot).map_or(0, Errnos::total);
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
        sum.ops += ops;
        sum.errors += errors;
        sum.moved += moved;
        for (into, from) in sum.class.iter_mut().zip(class) {
            *into += from;
        }
        sum.deferred += deferred;
        sum.recopied += recopied;
        sum.wasted += wasted;
        sum.cow += cow;
        sum.encrypted += encrypted;
        sum.filled += filled;
    }
    sum
}

fn labels(ebpf: &mut Ebpf) -> Result<StdHashMap<u64, Label>, Error> {
    let labels: HashMap<&mut MapData, u64, Label> = HashMap::try_from(map(ebpf, "LABELS"))?;
    Ok(labels.iter().flatten().collect())
}

/// What a map counts by slot of the process.
fn by_process(
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
fn other_samples(ebpf: &mut Ebpf) -> Result<BTreeMap<u32, Vec<(u32, u64)>>, Error> {
    let counts: HashMap<&mut MapData, [u32; 2], u64> =
        HashMap::try_from(map(ebpf, "OTHER_SAMPLES"))?;
    let mut by_process: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for ([slot, nr], samples) in counts.iter().flatten() {
        by_process.entry(slot).or_default().push((nr, samples));
    }
    Ok(by_process)
}

/// What was copied of packets that are nobody's, by the place that copied.
fn late(ebpf: &mut Ebpf) -> Result<Vec<(String, Totals)>, Error> {
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
fn devices(
    ebpf: &mut Ebpf,
    rows: &[(RowKey, u32, Counters)],
) -> Result<StdHashMap<u32, String>, Error> {
    let names: Array<_, [u8; DEVICE_LEN]> = Array::try_from(map(ebpf, "DEVICES"))?;
    let mut devices = StdHashMap::new();
    let met =
        |(key, _, counters): &&(RowKey, u32, Counters)| key.marks != 0 || counters.deferred != 0;
    for (_, slot, _) in rows.iter().filter(met) {
        let name = text(&names.get(slot, 0)?);
        if !name.is_empty() {
            devices.insert(*slot, name);
        }
    }
    Ok(devices)
}

/// What on their routes may copy what rows sent, by slot.
fn obstacles(
    ebpf: &mut Ebpf,
    rows: &[(RowKey, u32, Counters)],
) -> Result<StdHashMap<u32, String>, Error> {
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

/// Runs of the threads that are alive.
fn live_runs(ebpf: &mut Ebpf) -> Result<u64, Error> {
    let table: Vec<Task> = batch::values(map(ebpf, "TASK_TABLE"))?;
    let mut runs: u64 = table.iter().map(|task| task.runs).sum();
    let tasks: HashMap<&mut MapData, u32, Task> = HashMap::try_from(map(ebpf, "TASKS"))?;
    runs += tasks
        .iter()
        .flatten()
        .map(|(_, task)| task.runs)
        .sum::<u64>();
    Ok(runs)
}

/// Returns the slots of processes that have ended.
fn recycle(
    ebpf: &mut Ebpf,
    rows: &[(RowKey, u32, Counters)],
    errnos: &StdHashMap<u32, Errnos>,
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
    let gone = || {
        rows.iter()
            .filter(|(key, ..)| ended.contains(&key.proc_slot))
    };
    let mut slots: HashMap<&mut MapData, RowKey, u32> = HashMap::try_from(map(ebpf, "ROW_SLOTS"))?;
    for (key, ..) in gone() {
        slots.remove(key)?;
    }
    let mut counters: PerCpuArray<_, Counters> = PerCpuArray::try_from(map(ebpf, "ROWS"))?;
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| aya::maps::MapError::IoError(error))?;
    for (_, slot, _) in gone() {
        let zeros = PerCpuValues::try_from(vec![Counters::default(); cpus])
            .map_err(aya::maps::MapError::IoError)?;
        counters.set(*slot, zeros, 0)?;
    }
    // Before the slots are free: they would be another row's.
    let mut counts: HashMap<&mut MapData, u64, u64> = HashMap::try_from(map(ebpf, "ERRNOS"))?;
    for (_, slot, _) in gone() {
        for (errno, _) in errnos.get(slot).iter().flat_map(|errnos| errnos.iter()) {
            counts.remove(&errno_key(*slot, errno.number()))?;
        }
    }
    let mut devices: Array<_, [u8; DEVICE_LEN]> = Array::try_from(map(ebpf, "DEVICES"))?;
    for (_, slot, _) in gone() {
        devices.set(*slot, [0; DEVICE_LEN], 0)?;
    }
    let mut obstacles: Array<_, OnRoute> = Array::try_from(map(ebpf, "OBSTACLES"))?;
    for (_, slot, _) in gone() {
        obstacles.set(*slot, OnRoute::default(), 0)?;
    }
    if sized {
        let mut sizes: Array<_, Sizes> = Array::try_from(map(ebpf, "SIZES"))?;
        for (_, slot, _) in gone() {
            sizes.set(*slot, Sizes::ZERO, 0)?;
        }
    }
    let mut free: Queue<_, u32> = Queue::try_from(map(ebpf, "FREE_ROWS"))?;
    for (_, slot, _) in gone() {
        free.push(*slot, 0)?;
    }
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
    requests::forget(ebpf, ended)?;
    let mut free: Queue<_, u32> = Queue::try_from(map(ebpf, "FREE_PROCS"))?;
    for slot in ended {
        free.push(*slot, 0)?;
    }
    Ok(())
}
