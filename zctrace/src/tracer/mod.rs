//! Attaching the probes and reading what they counted.

mod attach;
mod audit;
mod backend;
mod batch;
mod bpf;
mod claims;
mod error;
mod evidence;
mod exercise;
mod files;
pub mod fuzz;
mod helpers;
mod kretprobe;
mod load;
mod missed;
mod modules;
mod names;
mod places;
mod preemption;
mod programs;
mod queued;
mod recycle;
mod regions;
mod reports;
mod requests;
mod rings;
mod rows;
mod sample;
mod segments;
mod stacks;
mod step;
mod survey;
mod tables;
mod targets;
#[cfg(all(test, not(zctrace_without_bpf)))]
mod tests;
mod unwind;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, Queue},
};
use zctrace_common::{
    AuditKey, AuditRoutines, By, COMM_LEN, CopyRoutines, Offsets, REGIONS, REGIONS_OPEN, Scope,
    Settings, TASK_SLOTS, Task,
};

pub use attach::{Attempt, Outcome, Refusal};
pub use backend::{Backend, VARIABLE as BACKEND_VARIABLE};
pub use error::Error;
pub use regions::Channel;
pub use requests::RequestId;
pub use survey::survey;

use load::Refusals;
use missed::ProgramCounters;
use modules::Modules;
use programs::Programs;
use reports::Reports;

use crate::{
    catalog,
    kernel::btf::Types,
    ledger::{
        Coverage, End, Loss, Markers, Overhead, Process, Region, Requests, RowSizes, Stacks,
        Totals, Unattributed,
        audit::{Counts, Setup},
    },
    target::{CgroupTarget, Several, View},
};

/// The BPF programs; empty in a build without a BPF toolchain.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/zctrace"));

/// What becomes of processes that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// Each is in every reading, for reports that name it.
    #[default]
    Keep,
    /// Each is in one reading only: for traces that last, of which only the intervals matter.
    Forget,
    /// Each is in one reading, and then in the row of its command: for traces that last and are
    /// looked at as a whole.
    Fold,
}

/// What to trace.
#[derive(Clone, Debug)]
pub struct Config {
    /// Thread ids, in the initial PID namespace, that are the target at the start.
    pub tasks: Vec<u32>,
    /// Which tasks become the target later.
    pub scope: Scope,
    /// The name of [`Scope::Comm`].
    pub comm: Option<String>,
    /// The cgroup of [`Scope::Cgroup`].
    pub cgroup: Option<CgroupTarget>,
    /// Which processes are read of those that are traced; `None` for all.
    pub several: Option<Several>,
    /// Whether children of the target are traced.
    pub follow: bool,
    /// Whether page faults are traced.
    pub faults: bool,
    /// The dimension that is added to rows.
    pub by: By,
    /// Where the target marks its regions; then `by` is [`By::Region`].
    pub regions: Option<Channel>,
    /// Names of probes that are switched off.
    pub without: Vec<String>,
    /// Which kinds of probes may be used.
    pub backend: Backend,
    /// Whether the kernel is asked to measure the run time of BPF programs, machine-wide.
    pub own_cost: bool,
    /// Copy routines to set breakpoints on, by name: empty for the usual choice, `None` for none.
    pub audit: Option<Vec<String>>,
    /// A stack is sampled whenever this many bytes were copied; 0: never.
    pub stack_bytes: u64,
    /// Sampled user stacks are unwound from their memory.
    pub unwind: bool,
    /// Operations are counted by their size too.
    pub sizes: bool,
    /// How requests of io_uring are batched is counted too.
    pub batches: bool,
    /// What becomes of processes that have ended.
    pub ended: Ended,
    /// Told how many probes of how many have been tried.
    pub progress: Option<fn(usize, usize)>,
    /// Bound on the number of rows at a time, and of processes.
    pub max_rows: u32,
    /// Bound on the number of threads at a time.
    pub max_threads: u32,
}

impl Config {
    /// [`Config::max_rows`] unless somebody asks for another.
    pub const ROWS: u32 = 4096;
    /// [`Config::max_threads`] unless somebody asks for another.
    pub const THREADS: u32 = 65_536;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            scope: Scope::Tasks,
            comm: None,
            cgroup: None,
            several: None,
            follow: true,
            faults: true,
            by: By::Nothing,
            regions: None,
            without: Vec::new(),
            backend: Backend::Auto,
            own_cost: false,
            audit: None,
            stack_bytes: 0,
            unwind: false,
            sizes: false,
            batches: false,
            ended: Ended::Keep,
            progress: None,
            max_rows: Self::ROWS,
            max_threads: Self::THREADS,
        }
    }
}

/// What was counted since the start.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The sum of the processes.
    pub total: Totals,
    /// The processes, most moved first.
    pub processes: Vec<Process>,
    /// Requests to io_uring and Linux AIO, by process and operation.
    pub requests: Vec<Requests>,
    /// How large operations are, by row; empty unless that is asked for.
    pub sizes: Vec<RowSizes>,
    /// Work of kernel threads.
    pub unattributed: Vec<Unattributed>,
    /// What was lost.
    pub loss: Loss,
    /// What it cost.
    pub overhead: Overhead,
    /// What breakpoints on the copy routines counted.
    pub audit: Counts,
    /// Sampled stacks.
    pub stacks: Stacks,
}

/// What a probe did since it was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Runs, those for other tasks included; `None` unless the kernel was asked to measure.
    pub runs: Option<u64>,
    /// Nanoseconds in it; `None` unless the kernel was asked to measure.
    pub ns: Option<u64>,
    /// Runs that the kernel skipped.
    pub missed: u64,
}

/// Attached probes. Dropping it, or the end of the process however it comes, detaches them: every
/// link is a file descriptor of this process.
pub struct Session {
    programs: Programs,
    twins: bool,
    attempts: Vec<Attempt>,
    coverage: Coverage,
    backend: &'static str,
    collector: rows::Collector,
    audit: Option<audit::Audit>,
    sampler: Option<stacks::Sampler>,
    statistics: Option<OwnedFd>,
    losses: evidence::LossTime,
    /// Rings that nothing sees the copies of.
    rings: rings::Rings,
    reports: Reports,
}

impl Session {
    /// Attaches every probe that the kernel takes.
    ///
    /// # Errors
    /// When nothing can be measured at all. A probe that is refused is not an error: it is part of
    /// [`Session::coverage`].
    pub fn start(config: &Config) -> Result<Self, Error> {
        if let Some(name) = config
            .without
            .iter()
            .find(|name| catalog::find(name).is_none())
        {
            return Err(Error::NoSuchProbe(name.clone()));
        }
        if OBJECT.is_empty() {
            return Err(Error::NoObject);
        }
        files::raise_limit();
        // It reads the kernel's types, for relocations that the object has none of. Each of those who read them is done
        // before the next one begins, so that attaching takes the memory of one.
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        let types = Types::running()?;
        let missing = helpers::missing(&types);
        if !missing.is_empty() {
            return Err(Error::TooOld(missing));
        }
        let mut modules = Modules::find(OBJECT, &types);
        let offsets = types.offsets(modules.described());
        check_layout(&offsets)?;
        reports::of_layout(&offsets);
        let twins = preemption::is_possible();
        let settings = settings(config, twins);
        let (rows, tasks) = (config.max_rows, task_capacity(config));
        let audit = config
            .audit
            .as_ref()
            .map(|names| audit::Plan::new(names, &types));
        let routines = audit
            .as_ref()
            .map_or(AuditRoutines::NONE, audit::Plan::routines);
        let copy_routines = sample::routines();
        let samples = config.stack_bytes != 0;
        let stack_room = if samples { stacks::ROOM } else { 1 };
        let unwound = samples && config.unwind;
        let of_regions = |room| if config.regions.is_some() { room } else { 1 };
        modules.forget();
        let mut ebpf = loader
            .override_global("ROUTINES_OF_COPIES", &copy_routines, true)
            .map_max_entries("COPY_SAMPLES", rows)
            .map_max_entries("CPU_SAMPLES", rows)
            .map_max_entries("STACKS", stack_room)
            .map_max_entries("USER_STACKS", stack_room)
            .map_max_entries("STACK_BYTES", stack_room)
            .map_max_entries("STACK_SAMPLES", unwind::room(unwound))
            .override_global("OFFSETS", &offsets, true)
            .override_global("ROUTINES", &routines, true)
            .map_max_entries("AUDIT", if audit.is_some() { AuditKey::COUNT } else { 1 })
            .override_global("SETTINGS", &settings, true)
            .override_global(aya_log::LEVEL, &reports::level(), true)
            .map_max_entries("AYA_LOGS", reports::room())
            .map_max_entries("TASKS", tasks)
            .map_max_entries("PROC_SLOTS", rows)
            .map_max_entries("PROCS", rows)
            .map_max_entries("FREE_PROCS", rows)
            .map_max_entries("ROW_SLOTS", rows)
            .map_max_entries("ROWS", rows)
            .map_max_entries("FREE_ROWS", rows)
            .map_max_entries("SIZES", if config.sizes { rows } else { 1 })
            .map_max_entries("DEVICES", rows)
            .map_max_entries("OBSTACLES", rows)
            // Few rows have errors, and those few different ones.
            .map_max_entries("ERRNOS", rows.saturating_mul(2))
            .map_max_entries("PENDING", rows)
            .map_max_entries("NOTIFIED", rows)
            .map_max_entries("LABELS", rows)
            .map_max_entries("REQUEST_COUNTS", rows)
            .map_max_entries("REGION_STACKS", of_regions(REGIONS_OPEN))
            .map_max_entries("REGIONS_OPEN", of_regions(REGIONS_OPEN))
            .map_max_entries("REGIONS", of_regions(REGIONS))
            .load(OBJECT)?;
        for queue in ["FREE_PROCS", "FREE_ROWS"] {
            let mut free: Queue<_, u32> = Queue::try_from(map(&mut ebpf, queue))?;
            // The first slot stays unused: its number means "none".
            for slot in 1..rows {
                free.push(slot, 0)?;
            }
        }
        let statistics = config
            .own_cost
            .then(|| aya::sys::enable_stats(aya::sys::Stats::RunTime).ok())
            .flatten();
        add_tasks(&mut ebpf, &config.tasks, false)?;
        let selection = attach::Selection {
            progress: config.progress,
            twins,
            faults: config.faults,
            regions: config.regions.is_some(),
            batches: config.batches,
            copy_routines: copy_routines != CopyRoutines::NONE,
            without: &config.without,
            backend: match config.backend {
                Backend::Auto => Backend::wanted()?,
                Backend::Tracepoints => Backend::Tracepoints,
            },
        };
        let mut programs = Programs::new(ebpf, modules, &types);
        drop(types);
        let btf = programs.targets.btf().map_err(aya::EbpfError::from)?;
        let mut attempts = attach::attach(&mut programs, &btf, &selection)?;
        let seen = attempts.iter().any(|attempt| {
            attempt.is_attached()
                && matches!(
                    attempt.probe.role,
                    catalog::Role::Interface(_) | catalog::Role::SystemCalls
                )
        });
        if !seen {
            let reason = attempts.iter().find_map(Attempt::refusal);
            return Err(Error::NothingAttached(
                reason.map_or_else(String::new, |refusal| refusal.cause.clone()),
            ));
        }
        queued::load(&mut programs.ebpf)?;
        find_silent(&mut programs, &mut attempts);
        attach::hand_over_silent(&mut programs, &btf, &selection, &mut attempts)?;
        reports::of_probes(&attempts);
        programs.modules.forget();
        let unwinder = if unwound {
            Some(unwind::Unwinder::start(&mut programs.ebpf)?)
        } else {
            None
        };
        let mut collector = rows::Collector::new(config, is_sampled(&attempts));
        if config.scope != Scope::System {
            collector.learn(&config.tasks);
        }
        let mut rings = rings::Rings::new(rings::Unseen {
            sockets: attach::are_rings_unseen(&attempts),
            vhost_net: !attach::follows_vhost(&attempts),
        });
        rings.look_at(&config.tasks);
        Ok(Self {
            reports: Reports::of(&programs.ebpf),
            audit: audit.map(|plan| plan.attach(&mut programs.ebpf)),
            sampler: samples.then(|| stacks::Sampler::new(unwinder)),
            coverage: attach::coverage(&attempts),
            backend: attach::backend(&attempts),
            collector,
            programs,
            twins,
            attempts,
            statistics,
            losses: evidence::LossTime::default(),
            rings,
        })
    }

    /// Makes a thread, by its id in the initial PID namespace, part of the target.
    ///
    /// # Errors
    /// When the map of tasks is full or gone.
    pub fn add_task(&mut self, tid: u32) -> Result<(), Error> {
        self.rings.look_at(&[tid]);
        add_tasks(&mut self.programs.ebpf, &[tid], true)
    }

    /// Detaches one probe; what it would have explained becomes `unexplained`. Returns whether it
    /// was attached. Only integration tests need it.
    #[doc(hidden)]
    pub fn unplug(&mut self, name: &str) -> bool {
        let attempt = self
            .attempts
            .iter_mut()
            .find(|attempt| attempt.probe.name == name);
        let Some(Attempt { outcome, .. }) = attempt else {
            return false;
        };
        let Outcome::Attached(way) = *outcome else {
            return false;
        };
        attach::detach(&mut self.programs, &way);
        *outcome = Outcome::Refused(Refusal::wanted("unplugged"));
        self.coverage = attach::coverage(&self.attempts);
        true
    }

    /// Attaches a probe again. Returns whether it is attached now. Only integration tests need it.
    #[doc(hidden)]
    pub fn plug(&mut self, name: &str) -> bool {
        let attempt = self
            .attempts
            .iter_mut()
            .find(|attempt| attempt.probe.name == name);
        let Some(attempt) = attempt else { return false };
        if !attempt.is_attached()
            && let Ok(btf) = self.programs.targets.btf()
        {
            attempt.outcome = attach::attach_probe(
                &mut self.programs,
                &btf,
                attempt.probe,
                self.twins,
                &mut Refusals::default(),
            );
        }
        let attached = attempt.is_attached();
        self.coverage = attach::coverage(&self.attempts);
        attached
    }

    /// Which probes take part.
    #[must_use]
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// What became of every probe of the catalog.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// What every probe of [`Session::attempts`] did since it was attached.
    #[must_use]
    pub fn activity(&self) -> Vec<Activity> {
        let all = self.programs.counters();
        let counters = |program: &str| all.get(program).copied();
        let timed = self.statistics.is_some();
        let activity = |attempt: &Attempt| {
            let Outcome::Attached(way) = &attempt.outcome else {
                return Activity::default();
            };
            let Some(first) = counters(way.program) else {
                return Activity::default();
            };
            let second = counters(&format!("{}{}", way.program, attach::TWIN));
            Activity {
                runs: timed.then(|| first.runs + second.map_or(0, |second| second.runs)),
                ns: timed.then(|| first.ns + second.map_or(0, |second| second.ns)),
                missed: self.lost_events(way.program, first, second),
            }
        };
        self.attempts.iter().map(activity).collect()
    }

    /// How many instructions the verifier went through before it took each program: most of the time
    /// that attaching takes. Programs that are loaded twice are in it once. Only integration tests need it.
    #[doc(hidden)]
    #[must_use]
    pub fn verified_instructions(&self) -> BTreeMap<String, u32> {
        let all = self.programs.counters().into_iter();
        all.filter(|(name, _)| !name.ends_with(attach::TWIN))
            .map(|(name, counters)| (name.to_owned(), counters.verified))
            .collect()
    }

    /// The events that a program has lost, or a pair of them: those that both were skipped for. A
    /// bound, because the kernel counts the runs it skipped for other tasks as well; exact where
    /// every task is a target.
    fn lost_events(
        &self,
        program: &str,
        first: ProgramCounters,
        second: Option<ProgramCounters>,
    ) -> u64 {
        let Some(second) = second else {
            return first.missed;
        };
        let rescued: Result<Array<_, u64>, _> = Array::try_from(
            self.programs
                .ebpf
                .map("RESCUED")
                .expect("twin.rs has this map"),
        );
        let rescued = rescued
            .and_then(|rescued| rescued.get(&zctrace_common::twin_slot(program), 0))
            .unwrap_or(0);
        second.missed.min(first.missed.saturating_sub(rescued))
    }

    /// `functions`, `tracepoints` or `mixed`.
    #[must_use]
    pub const fn backend(&self) -> &str {
        self.backend
    }

    /// Which copy routines have a breakpoint; `None` where no audit was asked for.
    #[must_use]
    pub fn audit(&self) -> Option<&Setup> {
        self.audit.as_ref().map(audit::Audit::setup)
    }

    /// Takes the slots of processes that have ended back. What they did is in the next reading.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn keep_up(&mut self) -> Result<(), Error> {
        self.collector.keep_up(&mut self.programs.ebpf)
    }

    /// The threads that are traced, by the machine's own ids.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn live_threads(&mut self) -> Result<BTreeSet<u32>, Error> {
        tables::live_threads(&mut self.programs.ebpf)
    }

    /// Requests that wait for input and have copied nothing so far; none where only submissions are seen.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn idle_requests(&mut self) -> Result<BTreeSet<RequestId>, Error> {
        let is_seen = self.attempts.iter().any(|attempt| {
            attempt.probe.name == catalog::IO_ISSUE_SQE_ENTER && attempt.is_attached()
        });
        if !is_seen {
            return Ok(BTreeSet::new());
        }
        requests::idle(&mut self.programs.ebpf)
    }

    /// Whether markers of regions are seen.
    #[must_use]
    pub fn has_regions(&self) -> bool {
        let is_of_them = |attempt: &&Attempt| attempt.probe.family == catalog::Family::Region;
        self.attempts
            .iter()
            .filter(is_of_them)
            .all(Attempt::is_attached)
    }

    /// The regions that the target has marked, and what was seen of its markers.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn regions(&mut self) -> Result<(Vec<Region>, Markers), Error> {
        regions::read(&mut self.programs.ebpf)
    }

    /// Everything counted since the start.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn read(&mut self) -> Result<Reading, Error> {
        if attach::note_late_tls(&mut self.attempts) {
            self.coverage = attach::coverage(&self.attempts);
        }
        let mut reading = self.collector.read(&mut self.programs.ebpf)?;
        self.reports.show(&reading.loss);
        if let Some(audit) = &self.audit {
            reading.audit = audit.read(&mut self.programs.ebpf)?;
        }
        if let Some(sampler) = &mut self.sampler {
            let stacks = sampler.read(&mut self.programs.ebpf, &reading.processes)?;
            reading.stacks = self.collector.chosen_stacks(stacks);
        }
        reading.loss.unfollowed_calls.rings += self.rings.count();
        let has_workers = |process: &Process| {
            let mut paths = process.paths.iter();
            paths.any(|path| path.object.is(End::Worker))
        };
        // All was seen of them at the start.
        if !self.rings.unseen.vhost_net
            && reading.processes.iter().any(has_workers)
            && !attach::follows_vhost(&self.attempts)
        {
            reading.loss.unfollowed_calls.rings += 1;
        }
        let counters = self.programs.counters();
        if self.statistics.is_some() {
            let ns = counters.values().map(|program| program.ns).sum();
            reading.overhead.bpf_ns = Some(ns);
        }
        for (name, &first) in &counters {
            if !name.ends_with(attach::TWIN) {
                let second = counters.get(format!("{name}{}", attach::TWIN).as_str());
                let lost = self.lost_events(name, first, second.copied());
                reading
                    .loss
                    .miss(attach::probe_of(&self.attempts, name), lost);
            }
        }
        self.losses.note(&reading.loss);
        evidence::weaken(&mut reading, &evidence::gaps(&self.attempts), &self.losses);
        Ok(reading)
    }
}

/// Whether processors are sampled.
fn is_sampled(attempts: &[Attempt]) -> bool {
    attempts
        .iter()
        .any(|attempt| attempt.probe.family == catalog::Family::Sample && attempt.is_attached())
}

/// Sends known bytes past the probes. Those that stay silent count as not there.
fn find_silent(programs: &mut Programs, attempts: &mut [Attempt]) {
    // Only with its statistics does the kernel count the runs of a program. Where it refuses them,
    // nothing is known to be silent.
    let Ok(_statistics) = aya::sys::enable_stats(aya::sys::Stats::RunTime) else {
        return;
    };
    let done = exercise::run();
    let runs: std::collections::HashMap<_, _> = programs
        .counters()
        .into_iter()
        .map(|(name, counters)| (name.to_owned(), counters.runs))
        .collect();
    for attempt in attempts
        .iter_mut()
        .filter(|attempt| attempt.probe.woken_by.is_some_and(|by| done.contains(&by)))
    {
        let Outcome::Attached(way) = attempt.outcome else {
            continue;
        };
        if runs.get(way.program) == Some(&0) {
            attach::detach(programs, &way);
            attempt.outcome = Outcome::Silent(way);
        }
    }
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut aya::maps::Map {
    ebpf.map_mut(name)
        .expect("every map of zctrace-ebpf/src/base/maps.rs is in the object")
}

/// Puts threads into the table of tasks, as `add` of `zctrace-ebpf/src/book/target.rs` does. Before the
/// probes are attached into the slots themselves; later, when programs use those at the same time,
/// into the hash beside them.
fn add_tasks(ebpf: &mut Ebpf, tids: &[u32], attached: bool) -> Result<(), Error> {
    const BPF_NOEXIST: u64 = 1;
    let view = rings::has_vhost().then(|| View::detect().ok()).flatten();
    let is_worker = |tid| {
        let thread = view.as_ref().map(|view| view.process(view.to_user(tid)));
        thread.is_some_and(|thread| thread.is_ok_and(|thread| rings::is_worker(&thread)))
    };
    for &tid in tids {
        let slot = tid & (TASK_SLOTS - 1);
        let task = Task {
            tid: tid.into(),
            flags: Task::FRESH | if is_worker(tid) { Task::WORKER } else { 0 },
            ..Task::NEW
        };
        let mut table: Array<_, Task> = Array::try_from(map(ebpf, "TASK_TABLE"))?;
        let owner = table.get(&slot, 0)?.tid;
        if owner == u64::from(tid) {
            // A child that the probes were quicker to follow.
            continue;
        }
        if owner == 0 && !attached {
            table.set(slot, task, 0)?;
            continue;
        }
        let mut overflow: Array<_, u32> = Array::try_from(map(ebpf, "TASK_OVERFLOW"))?;
        overflow.set(slot, 1, 0)?;
        let mut tasks: HashMap<&mut MapData, u32, Task> = HashMap::try_from(map(ebpf, "TASKS"))?;
        match tasks.insert(tid, task, BPF_NOEXIST) {
            Ok(()) => {}
            Err(_) if tasks.get(&tid, 0).is_ok() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Room for threads: all that the machine may have when all are the target. Only the buckets of the hash take memory
/// beforehand, 16 bytes each.
fn task_capacity(config: &Config) -> u32 {
    const USUAL: u32 = 16_384;
    let needed = config.tasks.len() as u32 * 2;
    let limit = || {
        std::fs::read_to_string("/proc/sys/kernel/threads-max")
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
    };
    match config.scope {
        Scope::System => limit().unwrap_or(USUAL).max(USUAL),
        _ => USUAL.max(needed),
    }
    .min(config.max_threads)
}

fn settings(config: &Config, twins: bool) -> Settings {
    let mut comm = [0; COMM_LEN];
    if let Some(name) = &config.comm {
        // The kernel cuts names in the same way.
        let length = name.len().min(COMM_LEN - 1);
        comm[..length].copy_from_slice(&name.as_bytes()[..length]);
    }
    Settings {
        cgroup: config.cgroup.map_or(0, |cgroup| cgroup.id),
        stack_bytes: config.stack_bytes,
        page_size: crate::kernel::page_size(),
        scope: config.scope as u32,
        by: config.by as u32,
        follow: config.follow.into(),
        own_tgid: View::detect().map_or_else(|_| std::process::id(), |view| view.own_pid()),
        audited: u32::from(config.audit.is_some()),
        region_inode: config.regions.map_or(0, |channel| channel.inode),
        region_device: config.regions.map_or(0, |channel| channel.device),
        unwind: config.unwind.into(),
        cgroup_level: config.cgroup.map_or(0, |cgroup| cgroup.level),
        twins: twins.into(),
        sizes: config.sizes.into(),
        comm,
    }
}

/// Refuses a kernel in whose structures nothing can be found. An offset that only some programs use
/// is not a reason: without it the verifier refuses those.
fn check_layout(offsets: &Offsets) -> Result<(), Error> {
    let missing: Vec<_> = offsets
        .missing()
        .filter(|name| catalog::probes().any(|probe| probe.needs.contains(name)))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::UnknownLayout(missing.join(", ")))
    }
}
