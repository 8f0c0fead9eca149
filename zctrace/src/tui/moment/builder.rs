//! From the documents of the ledger to what the dashboard shows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use zctrace_common::{Evidence, Op, Sizes};

use super::{
    About, AsyncRow, HISTORY, KernelRow, Moment, Names, PathKey, PathRow, ProcessId, ProcessRow,
    RowVerdict, SPARK, Sample, Step, Sym, packed::Packed, per_second, sides::Sides, tree::Sampled,
    verdicts::Bench,
};
use crate::{
    ledger::{
        CpuTime, End, Errnos, Object, Overhead, Path, Process, Snapshot, Stacks, Totals, Ways,
    },
    tui::rows::views,
};

/// What had been counted when the user set the counters to zero.
#[derive(Debug, Default)]
struct Base {
    at: Duration,
    total: Totals,
    processes: HashMap<ProcessId, BaseProcess>,
    kernel_threads: HashMap<Sym, Totals>,
    requests: HashMap<(ProcessId, Sym), Ways>,
    sizes: HashMap<(ProcessId, PathKey), Sizes>,
    errnos: HashMap<(ProcessId, PathKey), Errnos>,
    stacks: Stacks,
}

impl Base {
    /// What was known of a process that has ended goes to the row of its command.
    fn fold(&mut self, id: ProcessId, number: u64) {
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

#[derive(Debug, Default)]
struct BaseProcess {
    sent: u64,
    received: u64,
    copy_cpu: f64,
    cpu: CpuTime,
    paths: Vec<(PathKey, Totals)>,
}

impl BaseProcess {
    fn path(&self, key: PathKey) -> Option<&Totals> {
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

/// Strings by their number.
#[derive(Debug)]
struct Interner {
    known: HashMap<Arc<str>, Sym>,
    names: Arc<Names>,
}

impl Interner {
    fn new() -> Self {
        let empty: Arc<str> = "".into();
        Self {
            known: HashMap::from([(empty.clone(), Sym(0))]),
            names: Arc::new(Names(vec![empty])),
        }
    }

    fn sym(&mut self, name: &str) -> Sym {
        if let Some(sym) = self.known.get(name) {
            return *sym;
        }
        let name: Arc<str> = name.into();
        let names = Arc::make_mut(&mut self.names);
        let sym = Sym(u32::try_from(names.0.len()).unwrap_or(0));
        names.0.push(name.clone());
        self.known.insert(name, sym);
        sym
    }
}

/// Makes a [`Moment`] of each document. The documents are of the whole time since the start, each
/// later than the one before.
#[derive(Debug)]
pub struct Builder {
    interner: Interner,
    base: Base,
    last: Option<Arc<Moment>>,
    past: Option<VecDeque<Sample>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            interner: Interner::new(),
            base: Base::default(),
            last: None,
            past: None,
        }
    }
}

impl Builder {
    /// Goes on at another time of the same run: what is known of the moment before is forgotten,
    /// and counting is from the start again unless the base is `at` that time or earlier.
    pub fn jump(&mut self, at: Duration) {
        self.last = None;
        if self.base.at > at {
            self.base = Base::default();
        }
    }

    /// The last moment.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Moment>> {
        self.last.clone()
    }

    /// What the charts show of the time before the next moment.
    pub fn remember(&mut self, past: VecDeque<Sample>) {
        self.past = Some(past);
    }

    /// What to show of `whole`, the document of the time until `at`.
    pub fn build(&mut self, whole: &Snapshot, at: Duration, sides: Sides) -> Arc<Moment> {
        let last = self.last.take();
        let step = at.saturating_sub(last.as_ref().map_or(Duration::ZERO, |last| last.at));
        let mut rows = Rows::new(last.as_deref(), step, whole);
        // What has ended is in the row of its command from now on.
        let mut folded: BTreeMap<u64, Folded> = BTreeMap::new();
        for process in &whole.processes {
            let number = match process.ended_into {
                Some(number) => number,
                None if process.is_several() => process.start_time,
                None => {
                    rows.add(process, &[], &mut self.interner, &self.base);
                    continue;
                }
            };
            let row = folded.entry(number).or_insert_with(|| Folded {
                process: Process::of_several(number, process.comm.clone()),
                ended: Vec::new(),
            });
            row.process.absorb(process);
            if process.ended_into.is_some() {
                let id = ProcessId {
                    pid: process.pid,
                    start_time: process.start_time,
                };
                row.ended.push(id);
                self.base.fold(id, number);
            }
        }
        for row in folded.values() {
            rows.add(&row.process, &row.ended, &mut self.interner, &self.base);
        }
        let requests = self.requests(&rows, &sides);
        let mut total = whole.total;
        total.subtract(&self.base.total);
        let mut gained = total;
        if let Some(last) = &last {
            gained.subtract(&last.total);
        }
        let sample = Sample {
            totals: gained,
            ..rows.sample
        };
        let mut history = match (self.past.take(), &last) {
            (Some(past), _) => Arc::new(past),
            (None, Some(last)) => last.history.clone(),
            (None, None) => Arc::new(VecDeque::new()),
        };
        let samples = Arc::make_mut(&mut history);
        while samples.len() >= HISTORY {
            samples.pop_front();
        }
        samples.push_back(sample);
        let overhead_before = last.as_ref().map(|last| last.overhead).unwrap_or_default();
        let mut sizes = self.sizes(&mut rows, &sides);
        let mut merged = Packed::default();
        let all = rows.paths.iter(0..rows.paths.len());
        merge(all, &mut sizes, &mut rows.errnos, &mut merged);
        let (commands, by_command) = by_command(&mut rows, &mut sizes, last.as_deref());
        let moment = Arc::new(Moment {
            about: about(whole, last.as_deref()),
            at,
            base_at: self.base.at,
            step,
            total,
            last: sample,
            processes: rows.processes,
            paths: rows.paths,
            merged,
            commands,
            by_command,
            requests,
            sizes,
            errnos: rows.errnos,
            verdicts: rows.verdicts,
            stacks: self.stacks(whole, last.as_deref()),
            kernel_threads: self.kernel_threads(whole),
            loss: whole.loss.clone(),
            overhead: whole.overhead,
            overhead_step: Overhead {
                bpf_runs: whole
                    .overhead
                    .bpf_runs
                    .saturating_sub(overhead_before.bpf_runs),
                bpf_ns: whole
                    .overhead
                    .bpf_ns
                    .map(|ns| ns.saturating_sub(overhead_before.bpf_ns.unwrap_or(0))),
            },
            history,
            names: self.interner.names.clone(),
            sides,
        });
        self.last = Some(moment.clone());
        moment
    }

    /// Counts from now on, and what to show until there is something.
    pub fn rebase(&mut self) -> Option<Arc<Moment>> {
        let last = self.last.take()?;
        self.base.at = last.at;
        self.base.total.add(&last.total);
        for process in &last.processes {
            let base = self.base.processes.entry(process.id).or_default();
            base.sent = base.sent.saturating_add(process.sent);
            base.copy_cpu += process.copy_cpu.unwrap_or(0.0);
            base.cpu.add(&process.cpu.unwrap_or_default());
            base.received = base.received.saturating_add(process.received);
            for path in last.paths_of(process) {
                base.add(path.key(), &path.totals);
            }
        }
        for row in &last.kernel_threads {
            let base = self.base.kernel_threads.entry(row.thread).or_default();
            base.add(&row.totals);
        }
        for row in &last.requests {
            if let Some(ways) = row.ways {
                let base = self.base.requests.entry((row.id, row.op)).or_default();
                base.add(ways);
            }
        }
        for process in &last.processes {
            for path in last.paths_of(process) {
                if let Some(sizes) = last.sizes(&path) {
                    let base = self.base.sizes.entry((process.id, path.key())).or_default();
                    add_sizes(base, sizes);
                }
                if let Some(errnos) = last.errnos(&path) {
                    let key = (process.id, path.key());
                    self.base.errnos.entry(key).or_default().add(errnos);
                }
            }
        }
        self.base.stacks.add(&last.stacks.stacks);
        // Not a clone of all that then is empty: it can be large.
        let moment = Arc::new(Moment {
            about: last.about.clone(),
            at: last.at,
            base_at: last.at,
            step: last.step,
            names: last.names.clone(),
            total: Totals::default(),
            last: last.last,
            processes: Vec::new(),
            paths: Packed::default(),
            merged: Packed::default(),
            commands: Vec::new(),
            by_command: Packed::default(),
            requests: Vec::new(),
            sizes: Vec::new(),
            errnos: Vec::new(),
            verdicts: Vec::new(),
            stacks: Arc::default(),
            kernel_threads: Vec::new(),
            loss: last.loss.clone(),
            overhead: last.overhead,
            overhead_step: last.overhead_step,
            history: last.history.clone(),
            sides: last.sides.clone(),
        });
        self.last = Some(moment.clone());
        Some(moment)
    }

    /// How large operations are since the base; the rows are told where theirs are.
    fn sizes(&mut self, rows: &mut Rows<'_>, sides: &Sides) -> Vec<Sizes> {
        let mut sizes: Vec<Sizes> = Vec::new();
        let Some(all) = sides.sizes.here() else {
            return sizes;
        };
        let mut places: HashMap<(ProcessId, PathKey), usize> = HashMap::new();
        for row in all.iter() {
            let id = ProcessId {
                pid: row.pid,
                start_time: row.start_time,
            };
            let key = (
                self.interner.sym(row.op.name()),
                self.interner.sym(row.object.as_str()),
                self.interner.sym(row.by.as_deref().unwrap_or_default()),
                row.evidence == Evidence::Inferred,
            );
            let place = *places.entry((id, key)).or_insert_with(|| {
                sizes.push(Sizes::ZERO);
                sizes.len() - 1
            });
            add_sizes(&mut sizes[place], &row.sizes);
        }
        for (key, place) in &places {
            if let Some(base) = self.base.sizes.get(key) {
                let counts = sizes[*place].counts.iter_mut().zip(base.counts);
                counts.for_each(|(count, base)| *count = count.saturating_sub(base));
            }
        }
        for process in &rows.processes {
            for at in process.places() {
                if let Some(place) = places.get(&(process.id, rows.paths.key(at))) {
                    rows.paths.set_sizes(at, index(place + 1));
                }
            }
        }
        sizes
    }

    /// The stacks since the base; the same ones as before where nothing was added.
    fn stacks(&self, whole: &Snapshot, last: Option<&Moment>) -> Arc<Sampled> {
        let stacks = whole.stacks.since(&self.base.stacks);
        match last {
            Some(last) if last.stacks.stacks == stacks => last.stacks.clone(),
            _ => Arc::new(Sampled::new(stacks)),
        }
    }

    /// Requests by process and operation: what the completions moved, beside how they were issued.
    fn requests(&mut self, rows: &Rows<'_>, sides: &Sides) -> Vec<AsyncRow> {
        let mut requests: Vec<AsyncRow> = Vec::new();
        let mut places: HashMap<(ProcessId, Sym), usize> = HashMap::new();
        for process in &rows.processes {
            for at in process.places() {
                if !self.interner.names.op(rows.paths.op(at)).is_request() {
                    continue;
                }
                let Some(path) = rows.paths.get(at) else {
                    continue;
                };
                let place = *places.entry((process.id, path.op)).or_insert_with(|| {
                    requests.push(AsyncRow {
                        id: process.id,
                        comm: process.comm,
                        op: path.op,
                        objects: path.object,
                        ..AsyncRow::default()
                    });
                    requests.len() - 1
                });
                let row = &mut requests[place];
                row.inferred |= path.inferred;
                row.totals.add(&path.totals);
                row.step.add(&path.step);
                let objects = self.interner.names.get(row.objects);
                let object = self.interner.names.get(path.object);
                if !objects.split(", ").any(|known| known == object) {
                    let objects = format!("{objects}, {object}");
                    row.objects = self.interner.sym(&objects);
                }
            }
        }
        let Some(counts) = sides.requests.here() else {
            return requests;
        };
        for counts in counts.iter() {
            let id = ProcessId {
                pid: counts.pid,
                start_time: counts.start_time,
            };
            let op = self.interner.sym(counts.op.name());
            let base = self.base.requests.get(&(id, op)).copied();
            let ways = counts.ways.since(base.unwrap_or_default());
            let place = *places.entry((id, op)).or_insert_with(|| {
                requests.push(AsyncRow {
                    id,
                    comm: self.interner.sym(&counts.comm),
                    op,
                    ..AsyncRow::default()
                });
                requests.len() - 1
            });
            requests[place].ways = Some(ways);
            requests[place].in_flight = counts.ways.in_flight();
        }
        // Requests that were neither submitted nor completed since the base, nor are under way.
        requests.retain(|row| {
            !row.totals.is_empty()
                || row.in_flight != 0
                || row.ways.is_some_and(|ways| ways != Ways::default())
        });
        requests
    }

    fn kernel_threads(&mut self, whole: &Snapshot) -> Vec<KernelRow> {
        let mut rows = Vec::new();
        for work in &whole.unattributed {
            let thread = self.interner.sym(&work.thread);
            let mut totals = work.totals;
            if let Some(base) = self.base.kernel_threads.get(&thread) {
                totals.subtract(base);
            }
            if !totals.is_empty() {
                rows.push(KernelRow { thread, totals });
            }
        }
        rows
    }
}

/// What an interval's document adds to the charts.
#[must_use]
pub(in crate::tui) fn sample_of(interval: &Snapshot) -> Sample {
    let mut sample = Sample {
        step: Duration::from_nanos(interval.duration_ns),
        totals: interval.total,
        ..Sample::default()
    };
    for path in interval.processes.iter().flat_map(|process| &process.paths) {
        add_to_sample(
            &mut sample,
            path.op.known(),
            &path.object,
            &Step::of(&path.totals),
        );
    }
    sample
}

fn add_to_sample(sample: &mut Sample, op: Option<Op>, object: &Object, step: &Step) {
    if matches!(op, Some(Op::FaultCow | Op::FaultMap)) {
        sample.faults = sample.faults.saturating_add(step.ops);
    }
    // Anonymous memory is shared by forks.
    let sum = match (op, object.sole()) {
        (Some(Op::ForkCow), _) | (Some(Op::FaultCow), Some(End::Anon)) => &mut sample.cow_forked,
        (Some(Op::FaultCow), _) => &mut sample.cow_written,
        _ => return,
    };
    *sum = sum.saturating_add(step.cow);
}

fn about(whole: &Snapshot, last: Option<&Moment>) -> Arc<About> {
    if let Some(last) = last
        && last.about.target == whole.target
        && last.about.coverage == whole.coverage
        && last.about.exit_status == whole.exit_status
        && last.about.backend == whole.backend
    {
        return last.about.clone();
    }
    Arc::new(About {
        target: whole.target.clone(),
        kernel: whole.kernel.clone(),
        backend: whole.backend.clone(),
        coverage: whole.coverage.clone(),
        exit_status: whole.exit_status,
    })
}

/// The row of a command's processes that have ended, and those that ended last.
struct Folded {
    process: Process,
    ended: Vec<ProcessId>,
}

/// The rows as they are put together.
struct Rows<'a> {
    last: Option<&'a Moment>,
    before: HashMap<ProcessId, &'a ProcessRow>,
    step: Duration,
    processes: Vec<ProcessRow>,
    paths: Packed,
    sample: Sample,
    whole: &'a Snapshot,
    bench: Bench<'a>,
    verdicts: Vec<Arc<RowVerdict>>,
    errnos: Vec<Errnos>,
}

impl<'a> Rows<'a> {
    fn new(last: Option<&'a Moment>, step: Duration, whole: &'a Snapshot) -> Self {
        let before = last.map_or_else(HashMap::new, |last| {
            last.processes
                .iter()
                .map(|process| (process.id, process))
                .collect()
        });
        Self {
            processes: Vec::with_capacity(before.len()),
            paths: Packed::like(last.map(|last| &last.paths)),
            sample: Sample {
                step,
                ..Sample::default()
            },
            whole,
            bench: Bench::new(whole, last),
            verdicts: Vec::new(),
            errnos: Vec::new(),
            last,
            before,
            step,
        }
    }

    /// Adds a process; `joined` are those that were rows of their own at the moment before.
    fn add(
        &mut self,
        process: &Process,
        joined: &[ProcessId],
        interner: &mut Interner,
        base: &Base,
    ) {
        let id = ProcessId {
            pid: process.pid,
            start_time: process.start_time,
        };
        let (index, first) = (index(self.processes.len()), index(self.paths.len()));
        let earlier = self.before.get(&id).copied();
        let earlier_paths = Earlier {
            paths: self.last.map(|last| &last.paths),
            places: [id]
                .iter()
                .chain(joined)
                .filter_map(|id| Some(self.before.get(id)?.places()))
                .collect(),
        };
        let base_errnos = &base.errnos;
        let base = base.processes.get(&id);
        let mut row = ProcessRow {
            id,
            comm: interner.sym(&process.comm),
            cgroup: interner.sym(&process.cgroup),
            container: match &process.container {
                Some(container) => interner.sym(&container.title()),
                None => Sym::default(),
            },
            alive: if process.is_several() { 0 } else { 1 },
            ended: if process.is_several() {
                process.processes
            } else {
                0
            },
            sent: process
                .sent
                .saturating_sub(base.map_or(0, |base| base.sent)),
            received: process
                .received
                .saturating_sub(base.map_or(0, |base| base.received)),
            copy_cpu: process
                .copy_cpu_seconds
                .map(|seconds| (seconds - base.map_or(0.0, |base| base.copy_cpu)).max(0.0)),
            cpu: process.cpu_seconds.map(|mut time| {
                time.subtract(&base.map_or_else(CpuTime::default, |base| base.cpu));
                time
            }),
            pending: process.pending,
            in_flight: process.in_flight,
            spark: earlier.map_or([0; SPARK], |earlier| earlier.spark),
            ..ProcessRow::default()
        };
        let mut most = 0;
        for (position, document) in process.paths.iter().enumerate() {
            let path = document;
            let mut path = PathRow {
                process: index,
                op: interner.sym(path.op.as_str()),
                object: interner.sym(path.object.as_str()),
                by: interner.sym(path.by.as_deref().unwrap_or_default()),
                asked: interner.sym(&asked(process, path)),
                inferred: path.evidence == Evidence::Inferred,
                verdict: 0,
                sizes: 0,
                errnos: 0,
                totals: path.totals,
                step: Step::default(),
            };
            if let Some(base) = base.and_then(|base| base.path(path.key())) {
                path.totals.subtract(base);
            }
            if path.totals.is_empty() {
                continue;
            }
            let mut gained = path.totals;
            let earlier = earlier_paths
                .find(position, path.key())
                .or_else(|| reclassified(&path, process, &earlier_paths, interner));
            if let Some(earlier) = earlier {
                gained.subtract(&earlier.totals);
            }
            path.step = Step::of(&gained);
            row.totals.add(&path.totals);
            row.step.add(&path.step);
            if row.busiest.is_none() || path.step.moved > most {
                most = path.step.moved;
                row.busiest = Some(self.paths.len().try_into().unwrap_or(u32::MAX));
            }
            let op = interner.names.op(path.op);
            add_to_sample(&mut self.sample, op.known(), &document.object, &path.step);
            if views::promises(&op, &path) {
                let verdict = self.bench.judge(self.whole, process, document, &path);
                self.verdicts.push(verdict);
                path.verdict = crate::tui::moment::builder::index(self.verdicts.len());
            }
            if !document.errnos.is_empty() {
                let mut errnos = document.errnos.clone();
                if let Some(base) = base_errnos.get(&(id, path.key())) {
                    errnos.subtract(base);
                }
                self.errnos.push(errnos);
                path.errnos = crate::tui::moment::builder::index(self.errnos.len());
            }
            self.paths.push(&path);
        }
        row.paths = (
            first,
            crate::tui::moment::builder::index(self.paths.len()) - first,
        );
        row.spark.rotate_left(1);
        let rate = per_second(row.step.moved, self.step);
        row.spark[SPARK - 1] = saturating(rate / 1024.0);
        if !row.totals.is_empty() || row.pending != 0 || row.in_flight != 0 {
            self.processes.push(row);
        }
    }
}

/// The same row under its other evidence, if that is gone: loss turns a measured row into an
/// inferred one, bytes and all.
fn reclassified(
    path: &PathRow,
    process: &Process,
    earlier: &Earlier<'_>,
    interner: &Interner,
) -> Option<PathRow> {
    let (op, object) = (interner.names.get(path.op), interner.names.get(path.object));
    let by = interner.names.get(path.by);
    let both = process.paths.iter().filter(|other| {
        other.op.as_str() == op
            && other.object.as_str() == object
            && other.by.as_deref().unwrap_or_default() == by
    });
    if both.count() != 1 {
        return None;
    }
    let key = (path.op, path.object, path.by, !path.inferred);
    earlier.find(0, key)
}

/// The rows that a process had at the moment before.
struct Earlier<'a> {
    paths: Option<&'a Packed>,
    places: Vec<Range<usize>>,
}

impl Earlier<'_> {
    /// The row with this key, which usually is in the same position as before.
    fn find(&self, position: usize, key: PathKey) -> Option<PathRow> {
        let paths = self.paths?;
        let same = |at: &usize| paths.key(*at) == key;
        let mut sum: Option<PathRow> = None;
        for places in &self.places {
            let usual = places.clone().nth(position).filter(same);
            let Some(at) = usual.or_else(|| places.clone().find(same)) else {
                continue;
            };
            let row = paths.get(at)?;
            match &mut sum {
                Some(sum) => sum.totals.add(&row.totals),
                None => sum = Some(row),
            }
        }
        sum
    }
}

/// What the application asked for at a path, and what was seen of it.
fn asked(process: &Process, path: &Path) -> String {
    let mut names: Vec<&str> = Vec::new();
    let portions = process.claims.iter().filter(|claimed| {
        claimed.op == path.op && claimed.object == path.object && claimed.evidence == path.evidence
    });
    for claimed in portions {
        let all = claimed.claims.iter().map(String::as_str);
        for name in all.chain(claimed.device.as_deref()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.join(", ")
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A rate as an integer; `as` keeps to the bounds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float keeps to the bounds"
)]
fn saturating(rate: f64) -> u32 {
    rate.ceil() as u32
}

fn add_sizes(sum: &mut Sizes, more: &Sizes) {
    for (sum, more) in sum.counts.iter_mut().zip(more.counts) {
        *sum = sum.saturating_add(more);
    }
}

/// The processes by their commands.
fn by_command(
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
        let mut sum = ProcessRow {
            comm,
            spark: before.get(&comm).map_or([0; SPARK], |before| before.spark),
            ..ProcessRow::default()
        };
        let (mut busiest, mut most) = (None, 0);
        for (count, place) in members.iter().enumerate() {
            let process = &rows.processes[*place];
            if process.alive != 0 {
                // A number tells which process it is only where one runs.
                sum.id = if sum.alive == 0 {
                    process.id
                } else {
                    ProcessId::default()
                };
            }
            sum.cgroup = if count == 0 || sum.cgroup == process.cgroup {
                process.cgroup
            } else {
                Sym::default()
            };
            sum.container = if count == 0 || sum.container == process.container {
                process.container
            } else {
                Sym::default()
            };
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
            if busiest.is_none() || process.step.moved > most {
                (busiest, most) = (process.busiest, process.step.moved);
            }
        }
        sum.busiest = busiest;
        sum.spark.rotate_left(1);
        let rate = per_second(sum.step.moved, rows.step);
        sum.spark[SPARK - 1] = saturating(rate / 1024.0);
        let first = index(merged.len());
        let places = members.iter().map(|place| rows.processes[*place].places());
        let paths = places.flat_map(|places| rows.paths.iter(places));
        merge(paths, sizes, &mut rows.errnos, &mut merged);
        sum.paths = (first, index(merged.len()) - first);
        commands.push(sum);
    }
    (commands, merged)
}

/// Rows of several processes by what they are.
fn merge(
    paths: impl Iterator<Item = PathRow>,
    sizes: &mut Vec<Sizes>,
    errnos: &mut Vec<Errnos>,
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
        if let Some(own) = own.map(|place| errnos[place].clone()) {
            if row.errnos == 0 {
                errnos.push(Errnos::default());
                row.errnos = index(errnos.len());
            }
            errnos[row.errnos as usize - 1].add(&own);
        }
        row.totals.add(&path.totals);
        row.step.add(&path.step);
    }
    merged.iter().for_each(|row| packed.push(row));
}
