//! Live verdicts: what `zctrace check` would say about a row if its path were the claim.

use std::{collections::HashMap, sync::Arc};

use zctrace_common::Op;

use super::{Moment, PathKey, PathRow, ProcessId, RowVerdict};
use crate::{
    claims::{Circumstances, Claim, Effect, MIN_BYTES, Verdict, ZERO_COPY, judge, rules},
    ledger::{Coverage, End, Overhead, Path, Process, Snapshot, Stacks, Totals},
    text::bytes::bytes,
};

/// Judges rows one by one.
pub(in crate::tui) struct Bench<'a> {
    /// The measurement, with the one row that is judged.
    docket: Snapshot,
    /// What does not depend on the row has changed since the last moment.
    changed: bool,
    last: Option<&'a Moment>,
    latest: Option<Arc<RowVerdict>>,
    before: HashMap<(ProcessId, PathKey), usize>,
}

impl<'a> Bench<'a> {
    pub(in crate::tui) fn new(whole: &Snapshot, last: Option<&'a Moment>) -> Self {
        let unattributed = |moment: &Moment| {
            let mut sum = Totals::default();
            for row in &moment.kernel_threads {
                sum.add(&row.totals);
            }
            sum
        };
        let mut sum = Totals::default();
        for work in &whole.unattributed {
            sum.add(&work.totals);
        }
        let changed = last.is_none_or(|last| {
            last.about.coverage != whole.coverage
                || last.loss != whole.loss
                || unattributed(last) != sum
        });
        let mut before = HashMap::new();
        if let Some(last) = last.filter(|_| !changed) {
            for process in &last.processes {
                let judged = process.places().filter(|at| last.paths.is_judged(*at));
                before.extend(judged.map(|at| ((process.id, last.paths.key(at)), at)));
            }
        }
        Self {
            docket: Snapshot {
                schema: String::new(),
                seq: None,
                kernel: whole.kernel.clone(),
                arch: whole.arch.clone(),
                backend: whole.backend.clone(),
                target: whole.target.clone(),
                exit_status: None,
                started_at: String::new(),
                duration_ns: whole.duration_ns,
                total: Totals::default(),
                processes: Vec::new(),
                unattributed: whole.unattributed.clone(),
                coverage: if changed {
                    whole.coverage.clone()
                } else {
                    Coverage::default()
                },
                loss: whole.loss.clone(),
                overhead: Overhead::default(),
                stacks: Stacks::default(),
            },
            changed,
            last,
            latest: None,
            before,
        }
    }

    /// The verdict on a process that has moved these bytes in another way than by `op`, if that is certain.
    pub(super) fn unused(
        &mut self,
        whole: &Snapshot,
        process: &Process,
        paths: Vec<Path>,
        op: Op,
    ) -> Option<RowVerdict> {
        self.open(whole);
        let docket = Process::from_paths(
            process.pid,
            process.start_time,
            process.comm.clone(),
            process.cgroup.clone(),
            paths,
        );
        self.docket.total = docket.total;
        self.docket.processes = vec![docket];
        let judgement = judge(&claim(op.name()), &self.docket, Circumstances::default());
        let mut reasons = judgement.reasons.into_iter();
        let reason = reasons.find(|reason| reason.effect == Effect::Refutes)?;
        Some(RowVerdict {
            verdict: judgement.verdict,
            code: reason.code,
            reason: reason.evidence,
        })
    }

    /// Takes over what does not depend on the row, once it is needed.
    fn open(&mut self, whole: &Snapshot) {
        if !self.changed {
            self.docket.coverage.clone_from(&whole.coverage);
            self.changed = true;
        }
    }

    /// The verdict on a row, whose numbers are those since the base.
    pub(in crate::tui) fn judge(
        &mut self,
        whole: &Snapshot,
        process: &Process,
        path: &Path,
        row: &PathRow,
    ) -> Arc<RowVerdict> {
        let id = ProcessId {
            pid: process.pid,
            start_time: process.start_time,
        };
        if let (Some(last), Some(at)) = (self.last, self.before.get(&(id, row.key())))
            && let Some(before) = last.paths.get(*at)
            && before.totals == row.totals
            && process.pending == 0
            && let Some(verdict) = last.verdicts.get(before.verdict as usize - 1)
        {
            return verdict.clone();
        }
        self.open(whole);
        let mut totals = row.totals;
        totals.copies_per_byte = None;
        let mut sum = Totals::default();
        sum.add(&totals);
        let judged = Path {
            totals: sum,
            ..path.clone()
        };
        let mut docket = Process::from_paths(
            process.pid,
            process.start_time,
            process.comm.clone(),
            process.cgroup.clone(),
            vec![judged],
        );
        let is_of = |claimed: &&crate::ledger::Claimed| {
            claimed.op == path.op
                && claimed.object == path.object
                && claimed.evidence == path.evidence
        };
        docket.claims = process.claims.iter().filter(is_of).cloned().collect();
        docket.pending = process.pending;
        self.docket.total = docket.total;
        self.docket.processes.clear();
        self.docket.processes.push(docket);
        let verdict = verdict(&self.docket, path.op.as_str());
        // Rows of many processes often fare alike.
        match &self.latest {
            Some(latest) if **latest == verdict => latest.clone(),
            _ => self.latest.insert(Arc::new(verdict)).clone(),
        }
    }
}

/// The call that would pass on what a process takes into its memory and gives away again, and the place of the row by
/// which it gives most; `None` where it does not, or where that row has a verdict. Each row comes with its place and
/// whether it has a verdict.
pub(super) fn instead_of(rows: &[(usize, Path, bool)]) -> Option<(Op, usize)> {
    let is_stream = |path: &Path| matches!(path.object.sole(), Some(End::Tcp | End::Unix));
    let is_stored = |path: &Path| path.object.sole().is_some_and(End::is_stored);
    let sum = |goes_out: bool, is: &dyn Fn(&Path) -> bool| {
        let rows = rows.iter().map(|(_, path, _)| path);
        rows.filter(|path| path.goes_out() == Some(goes_out) && is(path))
            .fold(0_u64, |sum, path| sum.saturating_add(path.totals.copies()))
    };
    let given = sum(true, &is_stream);
    // Headers and logs make a difference of a few percent.
    let as_many = |taken: u64| {
        let (less, more) = (taken.min(given), taken.max(given));
        less >= MIN_BYTES && less >= more - more / 10
    };
    let op = if as_many(sum(false, &is_stored)) {
        Op::Sendfile
    } else if as_many(sum(false, &is_stream)) {
        Op::Splice
    } else {
        return None;
    };
    let gives = |path: &Path| path.goes_out() == Some(true) && is_stream(path);
    let (at, _, has_verdict) = rows
        .iter()
        .filter(|(_, path, _)| gives(path))
        .max_by_key(|(_, path, _)| path.totals.copies())?;
    (!has_verdict).then_some((op, *at))
}

fn verdict(docket: &Snapshot, op: &str) -> RowVerdict {
    let judgement = judge(&claim(op), docket, Circumstances::default());
    let decides = match judgement.verdict {
        Verdict::Pass => Effect::Explains,
        Verdict::Fail => Effect::Refutes,
        Verdict::Inconclusive => Effect::Forbids,
    };
    let reason = judgement
        .reasons
        .iter()
        .find(|reason| reason.effect == decides);
    match reason {
        None => RowVerdict {
            verdict: judgement.verdict,
            code: String::new(),
            reason: String::new(),
        },
        Some(reason) => {
            let says = rules::find(&reason.code).map_or("", |rule| rule.says);
            let amount = if reason.bytes == 0 {
                String::new()
            } else {
                format!(" ({})", bytes(reason.bytes))
            };
            RowVerdict {
                verdict: judgement.verdict,
                code: reason.code.clone(),
                reason: format!("{says}{amount}"),
            }
        }
    }
}

/// That an operation copies nothing.
fn claim(op: &str) -> Claim {
    Claim {
        max_copies_per_byte: Some(ZERO_COPY),
        path: Some(op.to_owned()),
        ..Claim::named("zero-copy")
    }
}
