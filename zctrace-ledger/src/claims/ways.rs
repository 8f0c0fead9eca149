//! What a process moved in another way than the one that was claimed.
//!
//! This refutes a claim, so it is narrow. An operation that passes bytes on within the kernel is replaced
//! only by a process that took as many bytes into its memory as it gave away.

use std::collections::BTreeMap;

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
#[derive(Default)]
pub(super) struct Instead<'a> {
    /// One process, or small ones of one name.
    processes: Vec<&'a Process>,
    /// How much.
    pub(super) bytes: u64,
    /// The copies of these bytes.
    copies: u64,
    rows: Vec<&'a Path>,
}

impl<'a> Instead<'a> {
    /// What was moved most in other ways than by `claim`'s path: by a process, or by the small ones of one name
    /// together, as the workers of a server have.
    pub(super) fn of(claim: &Claim, snapshot: &'a Snapshot) -> Option<Self> {
        let path = claim.path.as_deref()?;
        Op::ALL
            .iter()
            .copied()
            .filter(|op| matches(path, op.name()))
            .filter_map(job)
            .flat_map(|job| Self::of_job(claim, job, snapshot))
            .max_by_key(|instead| instead.bytes)
    }

    fn of_job(claim: &Claim, job: Job, snapshot: &'a Snapshot) -> Vec<Self> {
        let (mut all, mut small) = (Vec::new(), BTreeMap::<&str, Self>::new());
        for process in &snapshot.processes {
            let part = Self::in_process(claim, job, process);
            if part.bytes >= claim.min_bytes {
                all.push(part);
            } else if part.bytes > 0 {
                small.entry(&process.comm).or_default().add(part);
            }
        }
        all.extend(small.into_values());
        all
    }

    fn add(&mut self, other: Self) {
        self.processes.extend(other.processes);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.copies = self.copies.saturating_add(other.copies);
        self.rows.extend(other.rows);
    }

    fn in_process(claim: &Claim, job: Job, process: &'a Process) -> Self {
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
        let mut part = Self {
            processes: vec![process],
            ..Self::default()
        };
        match job {
            Job::Take(from) => part.takes(rows(&|source, _| source.is_some_and(from)), u64::MAX),
            Job::Give(to) => part.takes(rows(&|_, sink| sink.is_some_and(to)), u64::MAX),
            Job::Pass(from, to) => {
                let is = |place: Option<Place>, is: fn(Place) -> bool| place.is_some_and(is);
                let taken = rows(&|source, sink| is(source, from) && sink.is_none());
                let given = rows(&|source, sink| source.is_none() && is(sink, to));
                let through = sum(&taken).min(sum(&given));
                part.takes(given, through);
                // The same bytes: they count once, and the copies of both ways.
                part.bytes = 0;
                part.takes(taken, through);
                part.takes(
                    rows(&|source, sink| is(source, from) && is(sink, to)),
                    u64::MAX,
                );
            }
        }
        part
    }

    /// Adds at most so many bytes of these rows, and their part of the copies.
    fn takes(&mut self, rows: Vec<&'a Path>, most: u64) {
        let all = sum(&rows);
        let bytes = all.min(most);
        if bytes == 0 {
            return;
        }
        let copies = rows
            .iter()
            .fold(0_u64, |sum, path| sum.saturating_add(path.totals.copies()));
        let part = u128::from(copies) * u128::from(bytes) / u128::from(all);
        self.bytes = self.bytes.saturating_add(bytes);
        self.copies = self
            .copies
            .saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
        self.rows.extend(rows);
    }

    /// In words: whose they were, how they went, and at what price.
    pub(super) fn words(&self) -> String {
        let mut ways: BTreeMap<String, u64> = BTreeMap::new();
        for path in &self.rows {
            let name = format!("`{} {}`", path.op, printable(path.object.as_str()));
            let sum = ways.entry(name).or_default();
            *sum = sum.saturating_add(amount(path));
        }
        // What a program reads of its libraries is not the work.
        let least = self.bytes / 100;
        let mut ways: Vec<_> = ways
            .into_iter()
            .filter(|(_, count)| *count >= least)
            .collect();
        ways.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let names: Vec<_> = ways.into_iter().take(3).map(|(name, _)| name).collect();
        let mark = if self.rows.iter().any(|path| path.totals.is_lower_bound()) {
            "?"
        } else {
            ""
        };
        let rate = ratio(self.copies, self.bytes).unwrap_or_default();
        let who = match self.processes.as_slice() {
            [process] => format!("{} ({})", printable(&process.comm), process.pid),
            processes => {
                let comm = processes.first().map_or("", |process| &process.comm);
                format!("{} processes named {}", processes.len(), printable(comm))
            }
        };
        format!(
            "{who} moved {} by {} at {rate:.2}{mark} copies per byte",
            bytes(self.bytes),
            names.join(" and "),
        )
    }
}

fn sum(rows: &[&Path]) -> u64 {
    rows.iter()
        .fold(0_u64, |sum, path| sum.saturating_add(amount(path)))
}
