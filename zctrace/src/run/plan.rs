//! What to observe, and what came of it.

use std::{ffi::OsString, os::fd::OwnedFd, time::Duration};

use zctrace_common::By;

use super::{account::Account, channel::Channel};
use crate::{
    ledger::{
        Snapshot,
        audit::{Counts, Setup},
    },
    target::{Spec, Unseen},
    tracer::Config,
};

/// What to observe.
#[derive(Debug)]
pub enum Subject {
    /// Something that runs already.
    Target(Spec),
    /// A command to run, its program first.
    Command(Vec<OsString>),
}

impl Subject {
    /// Whether it is several names, of which the programs in the kernel know none.
    #[must_use]
    pub const fn is_several(&self) -> bool {
        matches!(self, Self::Target(Spec::Comms(_) | Spec::Cgroups(_)))
    }
}

/// What to observe, and how.
#[derive(Debug)]
pub struct Plan {
    /// What.
    pub subject: Subject,
    /// Whom a command runs as; `None` for whoever runs zctrace.
    pub user: Option<Account>,
    /// Children of a target are targets.
    pub follow: bool,
    /// Count page faults.
    pub faults: bool,
    /// The extra dimension of rows.
    pub by: By,
    /// Where a command marks its regions; then `by` is [`By::Region`].
    pub channel: Option<Channel>,
    /// Probes that are not to be attached.
    pub without: Vec<String>,
    /// Measure what zctrace itself costs.
    pub own_cost: bool,
    /// Copy routines to set breakpoints on: empty for the usual choice, `None` for none.
    pub audit: Option<Vec<String>>,
    /// A stack is sampled whenever this many bytes were copied; 0: never.
    pub stack_bytes: u64,
    /// User stacks are unwound from their memory, for code without frame pointers.
    pub unwind: bool,
    /// Operations are counted by their size too.
    pub sizes: bool,
    /// What becomes of processes that have ended.
    pub ended: crate::tracer::Ended,
    /// How long; `None` for as long as the target lives and nobody interrupts.
    pub duration: Option<Duration>,
    /// How often to report.
    pub interval: Option<Duration>,
    /// How long to wait at the end for bytes that are still on their way.
    pub settle: Duration,
    /// Bound on the number of rows at a time, and of processes.
    pub max_rows: u32,
    /// Bound on the number of threads at a time.
    pub max_threads: u32,
    /// Told `ready` when everything is attached.
    pub ready: Option<OwnedFd>,
}

impl Plan {
    /// How long a verdict waits for bytes that are still on their way.
    pub const SETTLE: Duration = Duration::from_secs(2);

    /// The target and its children, with every probe and nothing else: until the target ends.
    #[must_use]
    pub fn of(subject: Subject) -> Self {
        Self {
            subject,
            user: None,
            follow: true,
            faults: true,
            by: By::Nothing,
            channel: None,
            without: Vec::new(),
            own_cost: false,
            audit: None,
            stack_bytes: 0,
            unwind: false,
            sizes: false,
            ended: crate::tracer::Ended::Keep,
            duration: None,
            interval: None,
            settle: Duration::ZERO,
            max_rows: Config::ROWS,
            max_threads: Config::THREADS,
            ready: None,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The ledger of the whole time.
    pub snapshot: Snapshot,
    /// What breakpoints counted in that time, and which there were.
    pub audit: Option<(Counts, Setup)>,
    /// The command was told to end because the time was up.
    pub cut_short: bool,
    /// The duration that was asked for is over.
    pub time_is_up: bool,
    /// Of the operations in flight at the end, those that only wait for input.
    pub waiting: u64,
    /// Processes of a command that were alive after it had ended.
    pub left_behind: Vec<String>,
    /// Processes of the target that had threads which were not traced, at the end or at a look before.
    pub untraced: Vec<String>,
    /// What may belong to the target too.
    pub unseen: Unseen,
    /// What of it was not told at the beginning.
    pub unseen_since: Unseen,
    /// The signal that ended the wait for a command which still runs.
    pub abandoned_by: Option<i32>,
    /// A key was pressed to end it, so the terminal shows `^C` in the line of the cursor.
    pub key_pressed: bool,
    /// The last signal that asked for the end.
    pub asked: Option<i32>,
}

impl Outcome {
    /// What to say of processes that are not in the report, or not whole.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let left = first(&self.left_behind).map(|names| {
            format!(
                "note: the command has left {names}: what happens there from now on is not counted"
            )
        });
        let untraced = first(&self.untraced).map(|names| {
            format!("note: joined the target later, so not counted, or not whole: {names}")
        });
        let mut notes: Vec<_> = left.into_iter().chain(untraced).collect();
        notes.extend(self.unseen_since.notes());
        notes
    }
}

/// The first of these names, and how many more there are.
fn first(names: &[String]) -> Option<String> {
    let (first, more) = names.split_first()?;
    Some(match more.len() {
        0 => first.clone(),
        more => format!("{first} and {more} more"),
    })
}
