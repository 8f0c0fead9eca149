//! The rows of processes, as they are put together from a document.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use zctrace_common::Evidence;

use super::{
    Moment, PathKey, PathRow, ProcessId, ProcessRow, RowVerdict, Sample, Step, Sym,
    base::{Base, BaseProcess},
    interner::Interner,
    numbers::index,
    packed::Packed,
    sample::add_to_sample,
    verdicts::{self, Bench},
};
use crate::{
    claims::MIN_BYTES,
    ledger::{CpuTime, Errnos, Notified, Path, Process, Snapshot},
    tui::rows::views,
};

/// The rows as they are put together.
pub(super) struct Rows<'a> {
    last: Option<&'a Moment>,
    before: HashMap<ProcessId, &'a ProcessRow>,
    pub(super) step: Duration,
    pub(super) processes: Vec<ProcessRow>,
    pub(super) paths: Packed,
    pub(super) sample: Sample,
    whole: &'a Snapshot,
    bench: Bench<'a>,
    pub(super) verdicts: Vec<Arc<RowVerdict>>,
    pub(super) beside: Beside,
}

/// What few rows have, at the places that they name.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) errnos: Vec<Errnos>,
    pub(super) notified: Vec<Notified>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(last: Option<&'a Moment>, step: Duration, whole: &'a Snapshot) -> Self {
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
            beside: Beside::default(),
            last,
            before,
            step,
        }
    }

    /// Adds a process; `joined` are those that were rows of their own at the moment before.
    pub(super) fn add(
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
        let whose = Owner {
            process,
            id,
            index: index(self.processes.len()),
            base,
            counted: base.processes.get(&id),
            earlier: Earlier {
                paths: self.last.map(|last| &last.paths),
                places: [id]
                    .iter()
                    .chain(joined)
                    .filter_map(|id| Some(self.before.get(id)?.places()))
                    .collect(),
            },
        };
        let mut row = whose.row(interner);
        if let Some(earlier) = self.before.get(&id) {
            row.spark = earlier.spark;
        }
        let first = index(self.paths.len());
        let mut most = 0;
        for (position, document) in process.paths.iter().enumerate() {
            let Some(path) = self.path(&whose, position, document, interner) else {
                continue;
            };
            row.totals.add(&path.totals);
            row.step.add(&path.step);
            if row.busiest.is_none() || path.step.moved > most {
                most = path.step.moved;
                row.busiest = Some(index(self.paths.len()));
            }
            self.paths.push(&path);
        }
        row.paths = (first, index(self.paths.len()) - first);
        self.suspect(process, &row, interner);
        row.advance(self.step);
        if !row.totals.is_empty() || row.pending != 0 || row.in_flight != 0 {
            self.processes.push(row);
        }
    }

    /// Gives a verdict to the row by which a process gives away most, if it takes the bytes into its memory instead of
    /// passing them on within the kernel.
    fn suspect(&mut self, process: &Process, row: &ProcessRow, interner: &Interner) {
        // Most processes copy little, and nothing is asked about them.
        if row.totals.copies() < 2 * MIN_BYTES {
            return;
        }
        let names = &interner.names;
        let rows = row
            .places()
            .filter_map(|at| Some((at, self.paths.get(at)?)));
        let rows: Vec<_> = rows
            .map(|(at, path)| (at, names.ledger_of(&path), path.verdict != 0))
            .collect();
        let Some((op, at)) = verdicts::instead_of(&rows) else {
            return;
        };
        let paths = rows.into_iter().map(|(_, path, _)| path).collect();
        if let Some(verdict) = self.bench.unused(self.whole, process, paths, op) {
            self.verdicts.push(Arc::new(verdict));
            self.paths.set_verdict(at, index(self.verdicts.len()));
        }
    }

    /// The row of a path; `None` where nothing was counted since the base.
    fn path(
        &mut self,
        whose: &Owner<'_>,
        position: usize,
        document: &Path,
        interner: &mut Interner,
    ) -> Option<PathRow> {
        let mut path = PathRow {
            process: whose.index,
            op: interner.sym(document.op.as_str()),
            object: interner.sym(document.object.as_str()),
            by: interner.sym(document.by.as_deref().unwrap_or_default()),
            asked: interner.sym(&asked(whose.process, document)),
            inferred: document.evidence == Evidence::Inferred,
            verdict: 0,
            sizes: 0,
            errnos: 0,
            notified: 0,
            totals: document.totals,
            step: Step::default(),
        };
        if let Some(counted) = whose.counted.and_then(|base| base.path(path.key())) {
            path.totals.subtract(counted);
        }
        if path.totals.is_empty() {
            return None;
        }
        let mut gained = path.totals;
        let earlier = whose.earlier.find(position, path.key());
        let earlier =
            earlier.or_else(|| reclassified(&path, whose.process, &whose.earlier, interner));
        if let Some(earlier) = earlier {
            gained.subtract(&earlier.totals);
        }
        path.step = Step::of(&gained);
        let op = interner.names.op(path.op);
        add_to_sample(&mut self.sample, op.known(), &document.object, &path.step);
        if views::promises(&op, &path) {
            let verdict = self.bench.judge(self.whole, whose.process, document, &path);
            self.verdicts.push(verdict);
            path.verdict = index(self.verdicts.len());
        }
        if !document.errnos.is_empty() {
            let mut errnos = document.errnos.clone();
            if let Some(counted) = whose.base.errnos.get(&(whose.id, path.key())) {
                errnos.subtract(counted);
            }
            self.beside.errnos.push(errnos);
            path.errnos = index(self.beside.errnos.len());
        }
        if !document.notified.is_empty() {
            let mut notified = document.notified.clone();
            if let Some(counted) = whose.base.notified.get(&(whose.id, path.key())) {
                notified.subtract(counted);
            }
            self.beside.notified.push(notified);
            path.notified = index(self.beside.notified.len());
        }
        Some(path)
    }
}

/// The process that rows are added of.
struct Owner<'a> {
    process: &'a Process,
    id: ProcessId,
    /// The place of its row.
    index: u32,
    base: &'a Base,
    /// What had been counted of it at the base.
    counted: Option<&'a BaseProcess>,
    /// Its rows at the moment before.
    earlier: Earlier<'a>,
}

impl Owner<'_> {
    /// Its row, without what its paths add to that.
    fn row(&self, interner: &mut Interner) -> ProcessRow {
        let (process, counted) = (self.process, self.counted);
        let (alive, ended) = if process.is_several() {
            (0, process.processes)
        } else {
            (1, 0)
        };
        ProcessRow {
            id: self.id,
            comm: interner.sym(&process.comm),
            cgroup: interner.sym(&process.cgroup),
            container: match &process.container {
                Some(container) => interner.sym(&container.title()),
                None => Sym::default(),
            },
            alive,
            ended,
            sent: process
                .sent
                .saturating_sub(counted.map_or(0, |base| base.sent)),
            received: process
                .received
                .saturating_sub(counted.map_or(0, |base| base.received)),
            copy_cpu: process
                .copy_cpu_seconds
                .map(|seconds| (seconds - counted.map_or(0.0, |base| base.copy_cpu)).max(0.0)),
            cpu: process.cpu_seconds.map(|mut time| {
                time.subtract(&counted.map_or_else(CpuTime::default, |base| base.cpu));
                time
            }),
            pending: process.pending,
            in_flight: process.in_flight,
            ..ProcessRow::default()
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
