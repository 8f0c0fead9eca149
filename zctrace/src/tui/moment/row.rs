//! What a moment is made of: one row of each table, and what rows share.

use std::{ops::Range, sync::Arc, time::Duration};

use zctrace_common::{Evidence, Op};

use super::per_second;
use crate::{
    claims::Verdict,
    ledger::{CpuTime, Errnos, Named, Notified, Path, Totals, Ways, ratio},
};

/// Samples of a process's own line.
pub const SPARK: usize = 16;

/// What distinguishes a row from the others, and stays the same from moment to moment.
pub type RowId = u64;

/// A row's id from what makes it what it is.
#[must_use]
pub fn id_of(parts: impl std::hash::Hash) -> RowId {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// A string that many rows share, by its number in [`Names`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sym(pub u32);

/// The strings behind [`Sym`]; the first is empty.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<Arc<str>>);

impl Names {
    /// The string, empty where there is none.
    #[must_use]
    pub fn get(&self, sym: Sym) -> &str {
        self.0.get(sym.0 as usize).map_or("", |name| name)
    }

    /// The operation with this name.
    #[must_use]
    pub fn op(&self, sym: Sym) -> Named<Op> {
        self.get(sym).into()
    }

    /// A row as the ledger has it, without its errors and notifications.
    #[must_use]
    pub fn ledger_of(&self, path: &PathRow) -> Path {
        let evidence = if path.inferred {
            Evidence::Inferred
        } else {
            Evidence::Measured
        };
        Path {
            op: self.op(path.op),
            object: self.get(path.object).into(),
            evidence: evidence.into(),
            by: None,
            errnos: Errnos::default(),
            notified: Notified::default(),
            totals: path.totals,
        }
    }
}

/// What a row gained in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Operations.
    pub ops: u64,
    /// Bytes moved.
    pub moved: u64,
    /// Bytes that a CPU copied.
    pub copied: u64,
    /// Bytes copied by copy-on-write.
    pub cow: u64,
}

impl Step {
    /// Adds what another row gained.
    pub fn add(&mut self, other: &Self) {
        let Self {
            ops,
            moved,
            copied,
            cow,
        } = other;
        self.ops = self.ops.saturating_add(*ops);
        self.moved = self.moved.saturating_add(*moved);
        self.copied = self.copied.saturating_add(*copied);
        self.cow = self.cow.saturating_add(*cow);
    }

    /// What `totals` has.
    #[must_use]
    pub fn of(totals: &Totals) -> Self {
        Self {
            ops: totals.ops,
            moved: totals.moved,
            copied: totals.copies(),
            cow: totals.cow,
        }
    }
}

/// A process, told from a later one with the same id by its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// As the user sees it.
    pub pid: u32,
    /// In clock ticks since boot.
    pub start_time: u64,
}

/// Whose rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Those of this process.
    Process(ProcessId),
    /// Those of the processes of this name.
    Command(Sym),
}

/// A row of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathRow {
    /// Index of its process.
    pub process: u32,
    /// The operation.
    pub op: Sym,
    /// What it worked on.
    pub object: Sym,
    /// The value of the `--by` dimension.
    pub by: Sym,
    /// What the application asked for, and what was seen of it: names with commas.
    pub asked: Sym,
    /// Concluded, not measured.
    pub inferred: bool,
    /// How large its operations are: a place in [`super::Moment::sizes`], from 1; 0 where that is not known.
    pub sizes: u32,
    /// How its operations failed: a place in [`super::Moment::errnos`], from 1; 0 where none did.
    pub errnos: u32,
    /// How long its zero-copy sends waited: a place in [`super::Moment::notified`], from 1; 0 where that is not known.
    pub notified: u32,
    /// Its verdict in [`super::Moment::verdicts`], from 1; 0 for a row that promises nothing.
    pub verdict: u32,
    /// Since the base.
    pub totals: Totals,
    /// In the last step.
    pub step: Step,
}

/// What distinguishes a row from the others of its process: operation, object, the value of the `--by`
/// dimension, and whether it was concluded.
pub type PathKey = (Sym, Sym, Sym, bool);

impl PathRow {
    /// What distinguishes it from the other rows of its process.
    #[must_use]
    pub const fn key(&self) -> PathKey {
        (self.op, self.object, self.by, self.inferred)
    }
}

/// A process with its rows, or several together.
#[derive(Clone, Debug, Default)]
pub struct ProcessRow {
    /// Which.
    pub id: ProcessId,
    /// Command name.
    pub comm: Sym,
    /// Path of its cgroup.
    pub cgroup: Sym,
    /// What its container is called; empty where it is in none.
    pub container: Sym,
    /// How many processes it is of.
    pub alive: u64,
    /// How many it is of that have ended.
    pub ended: u64,
    /// Since the base.
    pub totals: Totals,
    /// In the last step.
    pub step: Step,
    /// Bytes moved to the network.
    pub sent: u64,
    /// Bytes moved from it.
    pub received: u64,
    /// Seconds in the kernel's copy routines, from samples; `None` where none were taken.
    pub copy_cpu: Option<f64>,
    /// Where its processor time went, from samples; `None` where none were taken.
    pub cpu: Option<CpuTime>,
    /// Sent by reference, and may still be copied.
    pub pending: u64,
    /// Operations under way.
    pub in_flight: u64,
    /// Its rows in [`super::Moment::paths`]: the first, and how many.
    pub paths: (u32, u32),
    /// Index of the row that moved most in the last step.
    pub busiest: Option<u32>,
    /// Bytes moved per second in the last steps, oldest first.
    pub spark: [u32; SPARK],
}

impl ProcessRow {
    /// Adds the last step to the line of those before.
    pub(super) fn advance(&mut self, step: Duration) {
        self.spark.rotate_left(1);
        let rate = per_second(self.step.moved, step);
        self.spark[SPARK - 1] = saturating(rate / 1024.0);
    }

    /// Where its rows are.
    #[must_use]
    pub const fn places(&self) -> Range<usize> {
        let first = self.paths.0 as usize;
        first..first + self.paths.1 as usize
    }

    /// Whether nothing of it can do anything any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.alive == 0
    }
}

/// Requests of one process for one operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncRow {
    /// Whose.
    pub id: ProcessId,
    /// Command name.
    pub comm: Sym,
    /// The operation.
    pub op: Sym,
    /// What they worked on, with commas.
    pub objects: Sym,
    /// Some of it is concluded, not measured.
    pub inferred: bool,
    /// What the completions moved since the base.
    pub totals: Totals,
    /// In the last step.
    pub step: Step,
    /// How they were issued; `None` where the source does not say.
    pub ways: Option<Ways>,
    /// Not completed yet.
    pub in_flight: u64,
}

/// What came of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowVerdict {
    /// The answer so far.
    pub verdict: Verdict,
    /// The weightiest reason's code, for `zctrace explain`; empty for a PASS without one.
    pub code: String,
    /// That reason in a sentence.
    pub reason: String,
}

/// Bytes of a row that no CPU copied on their way.
#[must_use]
pub const fn without_copy(totals: &Totals) -> u64 {
    totals
        .spliced
        .saturating_add(totals.direct)
        .saturating_add(totals.cloned)
        .saturating_add(totals.mapped)
}

/// The part of the moved bytes that no CPU copied, in percent; `None` when nothing moved.
#[must_use]
pub fn zero_copy_share(totals: &Totals) -> Option<f64> {
    ratio(without_copy(totals), totals.moved).map(|part| part * 100.0)
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
