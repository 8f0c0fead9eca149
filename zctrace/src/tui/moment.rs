//! What the dashboard shows at one moment: a document of the ledger, in a form that stays small
//! with a hundred thousand rows, with the rates since the moment before.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use zctrace_common::Sizes;

use super::{packed::Packed, sides::Sides, tree::Sampled, verdicts::RowVerdict};
use crate::{
    catalog::{self, Family},
    ledger::{Coverage, Errnos, ExitStatus, Loss, Overhead, Target, Totals, ratio},
};

/// Samples that charts can go back to.
pub const HISTORY: usize = 600;
/// Samples of a process's own line.
pub const SPARK: usize = 16;

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
    /// How large its operations are: a place in [`Moment::sizes`], from 1; 0 where that is not known.
    pub sizes: u32,
    /// How its operations failed: a place in [`Moment::errnos`], from 1; 0 where none did.
    pub errnos: u32,
    /// Its verdict in [`Moment::verdicts`], from 1; 0 for a row that promises nothing.
    pub verdict: u32,
    /// Since the base.
    pub totals: Totals,
    /// In the last step.
    pub step: Step,
}

/// What tells a row from the others of its process: operation, object, the value of the `--by`
/// dimension, and whether it was concluded.
pub type PathKey = (Sym, Sym, Sym, bool);

impl PathRow {
    /// What tells it from the other rows of its process.
    #[must_use]
    pub const fn key(&self) -> PathKey {
        (self.op, self.object, self.by, self.inferred)
    }
}

/// A process with its rows.
#[derive(Clone, Debug, Default)]
pub struct ProcessRow {
    /// Which.
    pub id: ProcessId,
    /// Command name.
    pub comm: Sym,
    /// Path of its cgroup.
    pub cgroup: Sym,
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
    /// Sent by reference and not released.
    pub pending: u64,
    /// Operations under way.
    pub in_flight: u64,
    /// Its rows in [`Moment::paths`]: the first, and how many.
    pub paths: (u32, u32),
    /// Index of the row that moved most in the last step.
    pub busiest: Option<u32>,
    /// Bytes moved per second in the last steps, oldest first.
    pub spark: [u32; SPARK],
}

impl ProcessRow {
    /// Where its rows are.
    #[must_use]
    pub const fn places(&self) -> Range<usize> {
        let first = self.paths.0 as usize;
        first..first + self.paths.1 as usize
    }
}

/// How requests to io_uring or Linux AIO were issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Issued at least once since the base.
    pub submitted: u64,
    /// Completed, issued while they were submitted.
    pub inline: u64,
    /// Completed, issued by a worker thread.
    pub worker: u64,
    /// Completed, issued by the thread that polls the submission queue.
    pub sq_poll: u64,
    /// Completed, issued again by task work.
    pub task_work: u64,
    /// Not completed yet.
    pub in_flight: u64,
}

impl Ways {
    /// Completed since the base.
    #[must_use]
    pub const fn completed(&self) -> u64 {
        self.inline + self.worker + self.sq_poll + self.task_work
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
    /// How they were issued; `None` where the source does not tell.
    pub ways: Option<Ways>,
}

/// Work of a kernel thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelRow {
    /// Its name.
    pub thread: Sym,
    /// Since the base.
    pub totals: Totals,
}

/// What happened in one step, of all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Its length.
    pub step: Duration,
    /// What was counted.
    pub totals: Totals,
    /// Copied when a process wrote to a private mapping of a file.
    pub cow_written: u64,
    /// Copied because of a fork: anonymous memory that parent and child shared, when one of them wrote
    /// to it, and pinned pages at once.
    pub cow_forked: u64,
    /// Faults.
    pub faults: u64,
}

/// What stays the same, or changes rarely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What is traced.
    pub target: Target,
    /// Release of the kernel.
    pub kernel: String,
    /// `functions`, `tracepoints` or `mixed`.
    pub backend: String,
    /// Which probes take part.
    pub coverage: Coverage,
    /// How the command ended.
    pub exit_status: Option<ExitStatus>,
}

/// Everything to show at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What is traced, and how.
    pub about: Arc<About>,
    /// Time since the start.
    pub at: Duration,
    /// When counting began anew, as time since the start.
    pub base_at: Duration,
    /// Time since the moment before.
    pub step: Duration,
    /// The strings.
    pub names: Arc<Names>,
    /// Sum of the processes since the base.
    pub total: Totals,
    /// The last step.
    pub last: Sample,
    /// The processes.
    pub processes: Vec<ProcessRow>,
    /// Their rows, process by process.
    pub paths: Packed,
    /// The rows of all processes taken together.
    pub merged: Packed,
    /// Requests, by process and operation.
    pub requests: Vec<AsyncRow>,
    /// How large operations are.
    pub sizes: Vec<Sizes>,
    /// How operations failed, since the base.
    pub errnos: Vec<Errnos>,
    /// Verdicts on the rows that promise to do without copies.
    pub verdicts: Vec<Arc<RowVerdict>>,
    /// Stacks since the base.
    pub stacks: Arc<Sampled>,
    /// Kernel threads.
    pub kernel_threads: Vec<KernelRow>,
    /// What was lost since the start.
    pub loss: Loss,
    /// What tracing cost since the start.
    pub overhead: Overhead,
    /// What it cost in the last step.
    pub overhead_step: Overhead,
    /// The steps before, oldest first.
    pub history: Arc<VecDeque<Sample>>,
    /// What is not in the ledger.
    pub sides: Sides,
}

impl Moment {
    /// The rows of a process.
    pub fn paths_of(&self, process: &ProcessRow) -> impl Iterator<Item = PathRow> {
        self.paths.iter(process.places())
    }

    /// The process with this id.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<&ProcessRow> {
        self.processes.iter().find(|process| process.id == id)
    }

    /// How large the operations of a row are.
    #[must_use]
    pub fn sizes(&self, path: &PathRow) -> Option<&Sizes> {
        self.sizes.get((path.sizes as usize).checked_sub(1)?)
    }

    /// How the operations of a row failed.
    #[must_use]
    pub fn errnos(&self, path: &PathRow) -> Option<&Errnos> {
        self.errnos.get((path.errnos as usize).checked_sub(1)?)
    }

    /// The verdict on a row.
    #[must_use]
    pub fn verdict(&self, path: &PathRow) -> Option<&RowVerdict> {
        let index = (path.verdict as usize).checked_sub(1)?;
        self.verdicts.get(index).map(AsRef::as_ref)
    }

    /// Why nothing of this family can be seen; `None` where a part of it can.
    #[must_use]
    pub fn unseen(&self, family: Family) -> Option<&str> {
        let is_of = |name: &str| catalog::find(name).is_some_and(|probe| probe.family == family);
        let Coverage { attached, refused } = &self.about.coverage;
        if attached.iter().any(|name| is_of(name)) {
            return None;
        }
        let first = refused.iter().find(|refused| is_of(&refused.probe));
        first.map(|refused| refused.reason.as_str())
    }

    /// A string.
    #[must_use]
    pub fn name(&self, sym: Sym) -> &str {
        self.names.get(sym)
    }

    /// How many of something in the last step that makes in a second.
    #[must_use]
    pub fn per_second(&self, amount: u64) -> f64 {
        per_second(amount, self.step)
    }

    /// Whether something was lost.
    #[must_use]
    pub const fn has_loss(&self) -> bool {
        self.loss.lost() != 0
    }
}

/// How many of something in `time` that makes in a second.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people; 2^53 is exact"
)]
pub fn per_second(amount: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    amount as f64 / time.as_secs_f64()
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
