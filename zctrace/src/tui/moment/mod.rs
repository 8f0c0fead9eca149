//! What the dashboard shows at one moment: a document of the ledger, in a form that stays small
//! with a hundred thousand rows, with the rates since the moment before.

pub mod advice;
mod base;
pub mod builder;
mod gather;
mod interner;
mod numbers;
pub mod packed;
mod row;
pub(in crate::tui) mod sample;
pub mod sides;
mod together;
pub mod tree;
pub mod verdicts;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use zctrace_common::Sizes;

use self::{packed::Packed, sides::Sides, tree::Sampled};
use crate::{
    catalog::{self, Family},
    ledger::{Coverage, Errnos, ExitStatus, Loss, Notified, Overhead, Target, Totals},
};
pub use row::{
    AsyncRow, Names, PathKey, PathRow, ProcessId, ProcessRow, RowId, RowVerdict, SPARK, Step, Sym,
    Whose, id_of, without_copy, zero_copy_share,
};

/// The reason of a verdict that nothing of substance was moved.
const TOO_FEW_BYTES: &str = "too-few-bytes";
/// Samples that charts can go back to.
pub const HISTORY: usize = 600;
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
    /// The processes of each command taken together; their rows are in [`Moment::by_command`].
    pub commands: Vec<ProcessRow>,
    /// Their rows, command by command.
    pub by_command: Packed,
    /// Requests, by process and operation.
    pub requests: Vec<AsyncRow>,
    /// How large operations are.
    pub sizes: Vec<Sizes>,
    /// How operations failed, since the base.
    pub errnos: Vec<Errnos>,
    /// How long zero-copy sends waited for their notification, since the base.
    pub notified: Vec<Notified>,
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

    /// The processes of this name together.
    #[must_use]
    pub fn command(&self, comm: Sym) -> Option<&ProcessRow> {
        self.commands.iter().find(|command| command.comm == comm)
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

    /// How long the zero-copy sends of a row waited for their notification.
    #[must_use]
    pub fn notified(&self, path: &PathRow) -> Option<&Notified> {
        self.notified.get((path.notified as usize).checked_sub(1)?)
    }

    /// The verdict on a row.
    #[must_use]
    pub fn verdict(&self, path: &PathRow) -> Option<&RowVerdict> {
        let index = (path.verdict as usize).checked_sub(1)?;
        self.verdicts.get(index).map(AsRef::as_ref)
    }

    /// Whether the row at a place moved too few bytes to be judged.
    #[must_use]
    pub fn is_small(&self, place: usize) -> bool {
        let path = self.paths.get(place);
        let verdict = path.as_ref().and_then(|path| self.verdict(path));
        verdict.is_some_and(|verdict| verdict.code == TOO_FEW_BYTES)
    }

    /// Why nothing of a technique can be seen; `None` where a part of it can.
    #[must_use]
    pub fn unseen(&self, technique: &str, family: Family) -> Option<&str> {
        let is_of = |name: &str| catalog::find(name).is_some_and(|probe| probe.family == family);
        let Coverage { refused, .. } = &self.about.coverage;
        let not_seen = self.about.coverage.not_seen();
        if not_seen.iter().all(|unseen| unseen.name != technique) {
            return None;
        }
        let first = refused.iter().find(|refused| is_of(&refused.probe));
        first.map(|refused| refused.reason.as_str())
    }

    /// The techniques of which nothing is seen: a row for them would be missing without a word.
    #[must_use]
    pub fn not_seen(&self) -> Option<String> {
        let techniques = self.about.coverage.not_seen();
        let names: Vec<_> = techniques.iter().map(|technique| technique.name).collect();
        (!names.is_empty()).then(|| format!("not seen here: {}", names.join(", ")))
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
