//! From the documents of the ledger to what the dashboard shows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use zctrace_common::{Evidence, Sizes};

use super::{
    About, AsyncRow, HISTORY, KernelRow, Moment, PathKey, ProcessId, Sample, Sym,
    base::Base,
    gather::Rows,
    interner::Interner,
    numbers::{add_sizes, index},
    packed::Packed,
    sides::Sides,
    together::{by_command, merge},
    tree::Sampled,
};
use crate::ledger::{Overhead, Process, Requests, Snapshot, Totals};

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
        let last = last.as_deref();
        let step = at.saturating_sub(last.map_or(Duration::ZERO, |last| last.at));
        let mut rows = self.rows(whole, last, step);
        let requests = self.requests(&rows, &sides);
        let mut total = whole.total;
        total.subtract(&self.base.total);
        let mut gained = total;
        if let Some(last) = last {
            gained.subtract(&last.total);
        }
        let sample = Sample {
            totals: gained,
            ..rows.sample
        };
        let mut sizes = self.sizes(&mut rows, &sides);
        let mut merged = Packed::default();
        let all = rows.paths.iter(0..rows.paths.len());
        merge(all, &mut sizes, &mut rows.beside, &mut merged);
        let (commands, by_command) = by_command(&mut rows, &mut sizes, last);
        let moment = Arc::new(Moment {
            about: about(whole, last),
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
            errnos: rows.beside.errnos,
            notified: rows.beside.notified,
            verdicts: rows.verdicts,
            stacks: self.stacks(whole, last),
            kernel_threads: self.kernel_threads(whole),
            loss: whole.loss.clone(),
            overhead: whole.overhead,
            overhead_step: gained_since(last, whole.overhead),
            history: self.history(last, sample),
            names: self.interner.names.clone(),
            sides,
        });
        self.last = Some(moment.clone());
        moment
    }

    /// The rows of the processes. What has ended is in the row of its command from now on.
    fn rows<'a>(
        &mut self,
        whole: &'a Snapshot,
        last: Option<&'a Moment>,
        step: Duration,
    ) -> Rows<'a> {
        let mut rows = Rows::new(last, step, whole);
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
        rows
    }

    /// The steps before, with the last one.
    fn history(&mut self, last: Option<&Moment>, sample: Sample) -> Arc<VecDeque<Sample>> {
        let mut history = match (self.past.take(), last) {
            (Some(past), _) => Arc::new(past),
            (None, Some(last)) => last.history.clone(),
            (None, None) => Arc::new(VecDeque::new()),
        };
        let samples = Arc::make_mut(&mut history);
        while samples.len() >= HISTORY {
            samples.pop_front();
        }
        samples.push_back(sample);
        history
    }

    /// Counts from now on, and what to show until there is something.
    pub fn rebase(&mut self) -> Option<Arc<Moment>> {
        let last = self.last.take()?;
        self.base.take(&last);
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
            notified: Vec::new(),
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
        let mut requests = self.completed(rows);
        if let Some(counts) = sides.requests.here() {
            self.count_requests(counts, &mut requests);
            // Requests that were neither submitted nor completed since the base, nor are under way.
            requests.retain(|row| {
                !row.totals.is_empty()
                    || row.in_flight != 0
                    || row.ways.is_some_and(|ways| ways.issued() != [0; 5])
            });
        }
        requests
    }

    /// What the completions of requests moved.
    fn completed(&mut self, rows: &Rows<'_>) -> Vec<AsyncRow> {
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
        requests
    }

    /// Adds how requests were issued since the base, and how many are under way.
    fn count_requests(&mut self, counts: &[Requests], requests: &mut Vec<AsyncRow>) {
        let places = requests.iter().enumerate();
        let mut places: HashMap<(ProcessId, Sym), usize> = places
            .map(|(place, row)| ((row.id, row.op), place))
            .collect();
        for counts in counts {
            let id = ProcessId {
                pid: counts.pid,
                start_time: counts.start_time,
            };
            let op = self.interner.sym(counts.op.name());
            let base = self.base.ways(id, op, counts.is_of_ring());
            let ways = counts.ways.since(base);
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

/// What tracing has cost since the moment before.
fn gained_since(last: Option<&Moment>, overhead: Overhead) -> Overhead {
    let before = last.map(|last| last.overhead).unwrap_or_default();
    Overhead {
        bpf_runs: overhead.bpf_runs.saturating_sub(before.bpf_runs),
        bpf_ns: overhead
            .bpf_ns
            .map(|ns| ns.saturating_sub(before.bpf_ns.unwrap_or(0))),
    }
}

/// What rarely changes: the same as before where it has not.
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
