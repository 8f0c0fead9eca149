//! What a process moved in another way than the one that was claimed.
//!
//! This refutes a claim, so it is narrow. An operation that passes bytes on within the kernel is replaced
//! only by a process that took as many bytes into its memory as it gave away.

use zctrace_common::Op;

use super::{
    Claim,
    job::{Job, Place, ends, job},
    operations::matches,
    portion::carried,
};
use crate::{
    ledger::{Path, Process, Snapshot, ratio},
    text::{bytes::bytes, escape::printable},
};

/// Bytes of a row that went somewhere.
pub(super) fn amount(path: &Path) -> u64 {
    carried(path).saturating_add(path.totals.cloned)
}

/// What went another way than by the path of a claim.
pub(super) struct Instead<'a> {
    process: &'a Process,
    /// How much.
    pub(super) bytes: u64,
    rows: Vec<&'a Path>,
}

impl<'a> Instead<'a> {
    /// What the process that did most of it moved in other ways than by `claim`'s path.
    pub(super) fn of(claim: &Claim, snapshot: &'a Snapshot) -> Option<Self> {
        let path = claim.path.as_deref()?;
        let jobs: Vec<_> = Op::ALL
            .iter()
            .copied()
            .filter(|op| matches(path, op.name()))
            .filter_map(job)
            .collect();
        snapshot
            .processes
            .iter()
            .filter_map(|process| Self::in_process(claim, &jobs, process))
            .max_by_key(|instead| instead.bytes)
    }

    fn in_process(claim: &Claim, jobs: &[Job], process: &'a Process) -> Option<Self> {
        let others: Vec<_> = process
            .paths
            .iter()
            .filter(|path| !claim.is_about(path.op.as_str()) && amount(path) > 0)
            .filter_map(|path| Some((path, ends(path)?)))
            .collect();
        let rows = |is: &dyn Fn(Option<Place>, Option<Place>) -> bool| -> Vec<&'a Path> {
            let is = |entry: &&(&'a Path, (Option<Place>, Option<Place>))| is(entry.1.0, entry.1.1);
            others.iter().filter(is).map(|(path, _)| *path).collect()
        };
        jobs.iter()
            .filter_map(|job| {
                let (rows, bytes) = match *job {
                    Job::Take(from) => {
                        let rows = rows(&|source, _| source.is_some_and(from));
                        let bytes = sum(&rows);
                        (rows, bytes)
                    }
                    Job::Give(to) => {
                        let rows = rows(&|_, sink| sink.is_some_and(to));
                        let bytes = sum(&rows);
                        (rows, bytes)
                    }
                    Job::Pass(from, to) => {
                        let is =
                            |place: Option<Place>, is: fn(Place) -> bool| place.is_some_and(is);
                        let passed = rows(&|source, sink| is(source, from) && is(sink, to));
                        let taken = rows(&|source, sink| is(source, from) && sink.is_none());
                        let given = rows(&|source, sink| source.is_none() && is(sink, to));
                        let through = sum(&taken).min(sum(&given));
                        let bytes = sum(&passed).saturating_add(through);
                        let mut rows = passed;
                        if through > 0 {
                            rows.extend(given);
                            rows.extend(taken);
                        }
                        (rows, bytes)
                    }
                };
                (bytes > 0).then_some(Self {
                    process,
                    bytes,
                    rows,
                })
            })
            .max_by_key(|instead| instead.bytes)
    }

    /// In words: whose they were, how they went, and at what price.
    pub(super) fn words(&self) -> String {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|path| std::cmp::Reverse(amount(path)));
        let names: Vec<_> = rows
            .iter()
            .take(3)
            .map(|path| format!("`{} {}`", path.op, printable(&path.object)))
            .collect();
        let copies = rows
            .iter()
            .fold(0_u64, |sum, path| sum.saturating_add(path.totals.copies()));
        let mark = if rows.iter().any(|path| path.totals.unexplained > 0) {
            "?"
        } else {
            ""
        };
        let rate = ratio(copies, self.bytes).unwrap_or_default();
        format!(
            "{} ({}) moved {} by {} at {rate:.2}{mark} copies per byte",
            printable(&self.process.comm),
            self.process.pid,
            bytes(self.bytes),
            names.join(" and "),
        )
    }
}

fn sum(rows: &[&Path]) -> u64 {
    rows.iter()
        .fold(0_u64, |sum, path| sum.saturating_add(amount(path)))
}
