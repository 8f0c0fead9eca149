//! From the maps to the ledger's documents.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap as StdHashMap},
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use zctrace_common::{By, Counters, Evidence, Op, Proc, Sizes};

use super::{
    Config, Ended, Error, Reading, batch, claims, map,
    names::{Names, text},
    queued,
    recycle::recycle,
    regions, requests, sample,
    tables::{self, Row, Tables},
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
    /// How fast this machine copies.
    pace: ledger::Pace,
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

/// Everything that was seen of a process.
struct Seen {
    document: Process,
    requests: Vec<Requests>,
    sizes: Vec<RowSizes>,
}

impl Collector {
    pub(super) fn new(config: &Config, sampled: bool) -> Self {
        Self {
            by: config.by,
            sampled,
            pace: if sampled {
                sample::pace()
            } else {
                ledger::Pace::USUAL
            },
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
        // One system call: a machine where nothing is new and nothing ends pays for no more.
        let procs: Vec<Proc> = batch::values(map(ebpf, "PROCS"))?;
        let used = || procs.iter().filter(|process| process.tgid != 0);
        self.names.meet(used().map(|process| process.cgroup));
        let ended = used().filter(|process| process.flags & Proc::EXITED != 0);
        if self.collected_at.elapsed() < PATIENCE && ended.count() < procs.len() / CROWD {
            return Ok(());
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
                rings: loss.unfollowed_rings,
                requests: loss.unfollowed_requests,
                begun: loss.begun_calls,
                begun_bytes: loss.begun_bytes,
            },
            ..ledger::Loss::default()
        };
        reading.overhead = Overhead {
            bpf_runs: tables::live_runs(ebpf)?
                .saturating_add(reading.overhead.bpf_runs)
                .saturating_add(self.ended_runs),
            bpf_ns: None,
        };
        Ok(reading)
    }

    /// What is in the maps. What belongs to processes that have ended is put beside, and their slots are
    /// taken back.
    fn collect(&mut self, ebpf: &mut Ebpf) -> Result<Reading, Error> {
        self.collected_at = Instant::now();
        let tables = self.read_maps(ebpf)?;
        let (reading, ended) = self.sorted(&tables, tables::late(ebpf)?);
        recycle(ebpf, &tables, &ended, self.sized)?;
        self.work.forget(&ended);
        Ok(reading)
    }

    /// What the maps held, process by process, and the slots of processes that have ended. What those did is put beside.
    pub(super) fn sorted(
        &mut self,
        tables: &Tables,
        late: Vec<(String, Totals)>,
    ) -> (Reading, BTreeSet<u32>) {
        let mut by_process = tables.by_process();
        // A process can copy in calls that have no rows.
        for slot in tables.other_samples.keys().copied().chain(self.work.busy()) {
            by_process.entry(slot).or_default();
        }
        let mut reading = Reading::default();
        let mut kernel = self.ended_kernel.clone();
        let mut ended = tables.ended_without(&by_process);
        for (slot, rows) in &by_process {
            let Some(process) = tables.processes.get(slot) else {
                continue;
            };
            let is_over = if process.flags & Proc::KTHREAD != 0 {
                self.kernel_thread(process, rows, &mut kernel)
            } else {
                let seen = self.seen(*slot, process, rows, tables);
                self.sort_out(process, seen, &mut reading)
            };
            if is_over {
                ended.insert(*slot);
            }
        }
        for (place, totals) in late {
            kernel.entry(place).or_default().add(&totals);
        }
        reading.unattributed = kernel
            .into_iter()
            .map(|(thread, totals)| Unattributed { thread, totals })
            .collect();
        (reading, ended)
    }

    /// Reads the maps. The order matters.
    fn read_maps(&mut self, ebpf: &mut Ebpf) -> Result<Tables, Error> {
        // A process that is marked as ended before its rows are read adds nothing to them any more.
        let processes = tables::processes(ebpf)?;
        // Before the rows as well: what is no longer pending has been counted if it was copied.
        let mut pending = tables::by_process(ebpf, "PENDING", &processes)?;
        for (slot, bytes) in queued::by_process(ebpf, &processes)? {
            let sum = pending.entry(slot).or_default();
            *sum = sum.saturating_add(bytes);
        }
        let samples = tables::by_process(ebpf, "COPY_SAMPLES", &processes)?;
        let other_samples = tables::other_samples(ebpf)?;
        if self.sampled {
            self.work.take(ebpf, &processes)?;
        }
        self.learn_names(ebpf)?;
        let labels = if self.by == By::Nothing {
            StdHashMap::new()
        } else {
            tables::labels(ebpf)?
        };
        // A request is counted in its row first, then as completed.
        let requests = requests::by_slot(ebpf)?;
        // Before the rows: an operation is counted first, then its error.
        let errnos = tables::errnos(ebpf)?;
        let rows = tables::rows(ebpf, &errnos)?;
        // After what is pending: it is counted here first.
        let notified = tables::notified(ebpf)?;
        if self.by == By::Region {
            // After the rows: each of their regions has its name by now.
            self.names.set_regions(regions::labels(ebpf)?);
        }
        let devices = tables::devices(ebpf, &rows)?;
        let obstacles = tables::obstacles(ebpf, &rows)?;
        let sizes = if self.sized {
            batch::values(map(ebpf, "SIZES"))?
        } else {
            Vec::new()
        };
        Ok(Tables {
            processes,
            pending,
            samples,
            other_samples,
            requests,
            labels,
            rows,
            errnos,
            notified,
            devices,
            obstacles,
            sizes,
        })
    }

    /// Adds the work of a kernel thread; whether it has ended.
    fn kernel_thread(
        &mut self,
        process: &Proc,
        rows: &[&Row],
        kernel: &mut BTreeMap<String, Totals>,
    ) -> bool {
        if self.chooser.is_some() {
            return false;
        }
        let mut totals = Totals::default();
        for (_, _, counters) in rows {
            totals.add(&counters.into());
        }
        let thread = text(&process.comm);
        let ended = process.flags & Proc::EXITED != 0;
        if ended {
            let kept = self.ended_kernel.entry(thread.clone()).or_default();
            kept.add(&totals);
        }
        kernel.entry(thread).or_default().add(&totals);
        ended
    }

    /// Everything that was seen of a process.
    fn seen(&mut self, slot: u32, process: &Proc, rows: &[&Row], tables: &Tables) -> Seen {
        let mut document = self.process(process, rows, tables);
        let sizes = self.sizes(&document, rows, tables);
        document.pending = tables.pending.get(&slot).copied().unwrap_or(0);
        document.copy_cpu_seconds = self
            .sampled
            .then(|| sample::seconds(tables.samples.get(&slot).copied().unwrap_or(0)));
        document.cpu_seconds = self.sampled.then(|| self.work.time(slot));
        let calls = tables.other_samples.get(&slot).into_iter().flatten();
        let calls = calls.map(|(nr, samples)| {
            let name = syscalls::name(nr.cast_signed()).into_owned();
            (name, sample::seconds(*samples))
        });
        document.not_followed = ledger::not_followed(calls, &document.paths, self.pace);
        let mut requests = Vec::new();
        for &(op, ways) in tables.requests.get(&slot).into_iter().flatten() {
            requests.push(Requests {
                pid: document.pid,
                start_time: document.start_time,
                comm: document.comm.clone(),
                op,
                ways,
            });
            document.in_flight = document.in_flight.saturating_add(ways.in_flight());
        }
        Seen {
            document,
            requests,
            sizes,
        }
    }

    /// Puts what was seen of a process into the reading, or beside it where the process has ended; whether it has.
    fn sort_out(&mut self, process: &Proc, mut seen: Seen, reading: &mut Reading) -> bool {
        let document = &seen.document;
        // What it sent can still be copied, and a request that completes later is the
        // submitter's: both are to be counted in its rows.
        let settled = document.pending == 0 && document.in_flight == 0;
        let is_chosen = self
            .chooser
            .as_mut()
            .is_none_or(|chooser| chooser.takes(document));
        if process.flags & Proc::EXITED == 0 || !settled {
            let runs = &mut reading.overhead.bpf_runs;
            *runs = runs.saturating_add(process.runs);
            if is_chosen {
                reading.processes.push(seen.document);
                reading.requests.append(&mut seen.requests);
                reading.sizes.append(&mut seen.sizes);
            }
            return false;
        }
        self.ended_runs = self.ended_runs.saturating_add(process.runs);
        if let Some(chooser) = &mut self.chooser
            && !self.stacks
        {
            chooser.forget(document);
        }
        if is_chosen {
            self.retire(seen);
        }
        true
    }

    /// Keeps what a process did that has ended.
    fn retire(&mut self, mut seen: Seen) {
        if self.after == Ended::Fold {
            let number = self.folded.number(&seen.document.comm);
            seen.document.ended_into = Some(number);
            fold_requests(&mut self.ended_requests, seen.requests, number);
            fold_sizes(&mut self.ended_sizes, seen.sizes, number);
        } else {
            self.ended_requests.append(&mut seen.requests);
            self.ended_sizes.append(&mut seen.sizes);
        }
        self.ended.push(seen.document);
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
        self.names.learn_drivers();
        let names: HashMap<&mut MapData, u64, [u8; 16]> = HashMap::try_from(map(ebpf, "FS_NAMES"))?;
        for (object, name) in names.iter().flatten() {
            self.names.add_filesystem(object, &name);
        }
        Ok(())
    }

    /// How large the operations of a process are. Rows of one name can come twice.
    fn sizes(&mut self, process: &Process, rows: &[&Row], tables: &Tables) -> Vec<RowSizes> {
        let sized = rows.iter().filter_map(|(key, slot, _)| {
            let sizes = *tables.sizes.get(*slot as usize)?;
            let (op, evidence) = (Op::from_raw(key.op)?, Evidence::from_raw(key.evidence)?);
            let label = tables.labels.get(&key.dimension);
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

    /// The rows of a process, with their names.
    fn process(&mut self, process: &Proc, rows: &[&Row], tables: &Tables) -> Process {
        let mut paths: Vec<Path> = rows
            .iter()
            .filter(|(key, ..)| !claims::is_notification(key))
            // Made ready for what never came, as by an AF_XDP socket that only sends.
            .filter(|(.., counters)| *counters != Counters::ZERO)
            .filter_map(|(key, slot, counters)| {
                // A number that no version of the programs writes is not shown as something else.
                let (op, evidence) = (Op::from_raw(key.op)?, Evidence::from_raw(key.evidence)?);
                let label = tables.labels.get(&key.dimension);
                Some(Path {
                    op: op.into(),
                    object: self.names.objects(key.source, key.sink),
                    evidence: evidence.into(),
                    by: self.names.dimension(self.by, key.dimension, label),
                    errnos: named(tables.errnos.get(slot), counters.errors),
                    notified: tables.notified.get(slot).cloned().unwrap_or_default(),
                    totals: counters.into(),
                })
            })
            .collect();
        merge_equal(&mut paths);
        let claims = rows
            .iter()
            .filter_map(|(key, slot, counters)| {
                let object = self.names.objects(key.source, key.sink);
                let met = (tables.devices.get(slot), tables.obstacles.get(slot));
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

/// The errnos of a row with so many errors: those for which the map had no room have no name.
fn named(known: Option<&Errnos>, errors: u64) -> Errnos {
    let mut errnos = known.cloned().unwrap_or_default();
    let unnamed = errors.saturating_sub(errnos.total());
    errnos.count(Errno::OTHER, unnamed);
    errnos
}
