//! Intervals added up.

use std::{collections::BTreeMap, mem::size_of};

use indexmap::IndexMap;
use zctrace_common::{Evidence, Op};

use super::{limits::Budget, notified::CLASS, wire::Header};
use crate::ledger::{
    self, Claimed, Container, Coverage, Errnos, Loss, Named, Notified, Object, Overhead, Process,
    Snapshot, Stack, Stacks, Target, Totals, Unattributed,
};

/// The document would take more memory than a recording is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// Intervals added up to one document.
#[derive(Clone, Debug)]
pub struct Whole {
    document: Snapshot,
    processes: BTreeMap<(u32, u64), Sum>,
    /// The processes of the last interval.
    last: Vec<(u32, u64)>,
    unattributed: BTreeMap<String, Totals>,
    intervals: usize,
    budget: Budget,
}

/// A process of several intervals. What has a key is found by it, and stays in the order in which it
/// came.
#[derive(Clone, Debug)]
struct Sum {
    comm: String,
    cgroup: String,
    container: Option<Container>,
    pending: u64,
    in_flight: u64,
    copy_cpu_seconds: Option<f64>,
    cpu_seconds: Option<ledger::CpuTime>,
    not_followed: IndexMap<String, f64>,
    paths: IndexMap<PathName, (Totals, Errnos, Notified)>,
    claims: IndexMap<ClaimName, Claims>,
}

/// What distinguishes a path of a process from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PathName {
    op: Named<Op>,
    object: Object,
    evidence: Named<Evidence>,
    by: Option<String>,
}

/// What distinguishes a portion of a path from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClaimName {
    op: Named<Op>,
    object: Object,
    evidence: Named<Evidence>,
    claims: Vec<String>,
}

/// What is known of a portion of a path.
#[derive(Clone, Debug, Default)]
struct Claims {
    device: Option<String>,
    notifications: u64,
    totals: Totals,
}

impl Whole {
    pub(super) fn new(header: &Header, target: &Target, file: u64) -> Self {
        Self {
            document: Snapshot {
                schema: header.schema.clone(),
                seq: None,
                kernel: header.kernel.clone(),
                arch: header.arch.clone(),
                backend: header.backend.clone(),
                target: target.clone(),
                exit_status: None,
                started_at: String::new(),
                duration_ns: 0,
                total: Totals::default(),
                processes: Vec::new(),
                unattributed: Vec::new(),
                coverage: Coverage::default(),
                loss: Loss::default(),
                overhead: Overhead::default(),
                stacks: Stacks::default(),
            },
            processes: BTreeMap::new(),
            last: Vec::new(),
            unattributed: BTreeMap::new(),
            intervals: 0,
            budget: Budget::of_whole(file),
        }
    }

    /// How many intervals there were.
    #[must_use]
    pub const fn intervals(&self) -> usize {
        self.intervals
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.budget.taken()
    }

    /// Adds the next interval.
    ///
    /// # Errors
    ///
    /// When the sum takes more memory than a recording of this size is given.
    pub fn add(&mut self, interval: &Snapshot) -> Result<(), TooMuch> {
        self.try_add(interval).ok_or(TooMuch)
    }

    fn try_add(&mut self, interval: &Snapshot) -> Option<()> {
        let Self {
            document: whole,
            budget,
            ..
        } = self;
        if self.intervals == 0 {
            whole.started_at.clone_from(&interval.started_at);
        }
        self.intervals += 1;
        whole.duration_ns = whole.duration_ns.saturating_add(interval.duration_ns);
        whole.exit_status = interval.exit_status.or(whole.exit_status);
        if whole.coverage != interval.coverage {
            whole.coverage.clone_from(&interval.coverage);
        }
        for (stack, bytes) in &interval.stacks.bytes {
            if !whole.stacks.bytes.contains_key(stack) {
                budget.take(2 * (size_of::<Stack>() + size_of_val(&stack.frames[..])))?;
            }
            let sum = whole.stacks.bytes.entry(stack.clone()).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        whole.stacks.lost = whole.stacks.lost.saturating_add(interval.stacks.lost);
        for probe in interval.loss.missed_at.keys() {
            if !whole.loss.missed_at.contains_key(probe) {
                budget.take(2 * (size_of::<String>() + probe.len()))?;
            }
        }
        whole.loss.add(&interval.loss);
        let (cost, more) = (&mut whole.overhead, &interval.overhead);
        cost.bpf_runs = cost.bpf_runs.saturating_add(more.bpf_runs);
        if let Some(ns) = more.bpf_ns {
            cost.bpf_ns = Some(cost.bpf_ns.unwrap_or(0).saturating_add(ns));
        }
        // States: those of a process that an interval does not mention are over.
        for id in self.last.drain(..) {
            if let Some(process) = self.processes.get_mut(&id) {
                process.pending = 0;
                process.in_flight = 0;
            }
        }
        for process in &interval.processes {
            let id = (process.pid, process.start_time);
            self.last.push(id);
            if !self.processes.contains_key(&id) {
                // The list of the last interval's, and the document's process that it will be.
                budget.take(2 * (size_of::<Sum>() + size_of::<Process>()))?;
                budget.take(process.comm.len() + process.cgroup.len())?;
            }
            let known = self
                .processes
                .entry(id)
                .or_insert_with(|| Sum::new(process));
            known.add(process, budget)?;
        }
        for work in &interval.unattributed {
            if !self.unattributed.contains_key(&work.thread) {
                budget.take(2 * (size_of::<Unattributed>() + work.thread.len()))?;
            }
            let sum = self.unattributed.entry(work.thread.clone()).or_default();
            sum.add(&work.totals);
        }
        Some(())
    }

    /// The document.
    #[must_use]
    pub fn snapshot(self) -> Snapshot {
        let mut document = self.document;
        for ((pid, start_time), sum) in self.processes {
            let process = sum.process(pid, start_time);
            document.total.add(&process.total);
            document.processes.push(process);
        }
        document
            .processes
            .sort_by(|a, b| b.total.moved.cmp(&a.total.moved).then(a.pid.cmp(&b.pid)));
        let unattributed = self.unattributed.into_iter();
        document.unattributed = unattributed
            .map(|(thread, totals)| Unattributed { thread, totals })
            .collect();
        document
    }
}

impl Sum {
    fn new(process: &Process) -> Self {
        Self {
            comm: process.comm.clone(),
            cgroup: process.cgroup.clone(),
            container: None,
            pending: 0,
            in_flight: 0,
            copy_cpu_seconds: None,
            cpu_seconds: None,
            not_followed: IndexMap::new(),
            paths: IndexMap::new(),
            claims: IndexMap::new(),
        }
    }

    fn add(&mut self, process: &Process, budget: &mut Budget) -> Option<()> {
        self.comm.clone_from(&process.comm);
        self.cgroup.clone_from(&process.cgroup);
        if self.container != process.container {
            budget.take(process.container.as_ref().map_or(0, container_size))?;
            self.container.clone_from(&process.container);
        }
        self.pending = process.pending;
        self.in_flight = process.in_flight;
        if let Some(seconds) = process.copy_cpu_seconds {
            *self.copy_cpu_seconds.get_or_insert(0.0) += seconds;
        }
        self.cpu_seconds = ledger::CpuTime::sum(self.cpu_seconds, process.cpu_seconds);
        for one in &process.not_followed {
            if let Some(known) = self.not_followed.get_mut(&one.call) {
                *known += one.copy_cpu_seconds;
            } else {
                budget.take(2 * (size_of::<ledger::NotFollowed>() + one.call.len()))?;
                self.not_followed
                    .insert(one.call.clone(), one.copy_cpu_seconds);
            }
        }
        for claimed in &process.claims {
            let name = ClaimName {
                op: claimed.op.clone(),
                object: claimed.object.clone(),
                evidence: claimed.evidence.clone(),
                claims: claimed.claims.clone(),
            };
            let known = match self.claims.get_mut(&name) {
                Some(known) => known,
                None => {
                    budget.take(claimed_size(claimed))?;
                    self.claims.entry(name).or_default()
                }
            };
            known.totals.add(&claimed.totals);
            known.notifications = known.notifications.saturating_add(claimed.notifications);
            known.device = known.device.take().or_else(|| claimed.device.clone());
        }
        for path in &process.paths {
            let name = PathName {
                op: path.op.clone(),
                object: path.object.clone(),
                evidence: path.evidence.clone(),
                by: path.by.clone(),
            };
            let (totals, errnos, notified) = match self.paths.get_mut(&name) {
                Some(known) => known,
                None => {
                    budget.take(path_size(path))?;
                    self.paths.entry(name).or_default()
                }
            };
            totals.add(&path.totals);
            for (errno, _) in path.errnos.iter() {
                if errnos.get(errno) == 0 {
                    budget.take(ERRNO)?;
                }
            }
            errnos.add(&path.errnos);
            for class in path.notified.histogram.keys() {
                if !notified.histogram.contains_key(class) {
                    budget.take(CLASS)?;
                }
            }
            notified.add(&path.notified);
        }
        Some(())
    }

    fn process(self, pid: u32, start_time: u64) -> Process {
        let paths = self.paths.into_iter().map(|(name, known)| {
            let (totals, errnos, notified) = known;
            let PathName {
                op,
                object,
                evidence,
                by,
            } = name;
            ledger::Path {
                op,
                object,
                evidence,
                by,
                errnos,
                notified,
                totals,
            }
        });
        let paths = paths.collect();
        let mut process = Process::from_paths(pid, start_time, self.comm, self.cgroup, paths);
        process.container = self.container;
        process.pending = self.pending;
        process.in_flight = self.in_flight;
        process.copy_cpu_seconds = self.copy_cpu_seconds;
        process.cpu_seconds = self.cpu_seconds;
        // A row can have come later than the samples. Which machine it was is not known here, so no more is taken away
        // than on a real one.
        process.not_followed =
            ledger::not_followed(self.not_followed, &process.paths, ledger::Pace::USUAL);
        let claims = self.claims.into_iter().map(|(name, known)| Claimed {
            op: name.op,
            object: name.object,
            evidence: name.evidence,
            claims: name.claims,
            device: known.device,
            notifications: known.notifications,
            totals: known.totals,
        });
        process.claims = claims.collect();
        process
    }
}

/// What a container takes in a document.
fn container_size(container: &Container) -> usize {
    let Container {
        id,
        runtime,
        name,
        pod,
        pod_id,
        namespace,
    } = container;
    let names = [runtime, name, pod, pod_id, namespace];
    id.len() + names.into_iter().flatten().map(String::len).sum::<usize>()
}

/// What a count of an errno takes in a document.
pub(super) const ERRNO: usize = 32;

/// What a path takes in a document, and in what it is added up in.
pub(super) fn path_size(path: &ledger::Path) -> usize {
    let by = path.by.as_ref().map_or(0, String::len);
    let names =
        path.op.as_str().len() + path.object.as_str().len() + path.evidence.as_str().len() + by;
    2 * size_of::<ledger::Path>() + names
}

/// The same of a portion of a path.
pub(super) fn claimed_size(claimed: &Claimed) -> usize {
    let claims = claimed.claims.iter();
    let claims: usize = claims.map(|name| size_of::<String>() + name.len()).sum();
    let device = claimed.device.as_ref().map_or(0, String::len);
    let names =
        claimed.op.as_str().len() + claimed.object.as_str().len() + claimed.evidence.as_str().len();
    2 * size_of::<Claimed>() + names + claims + device
}
