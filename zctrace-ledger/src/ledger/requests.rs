//! How asynchronous requests were issued, beside the rows of the ledger.

use zctrace_common::Op;

/// Requests of one process for one operation, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// The process.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// Its command name.
    pub comm: String,
    /// The operation, one of io_uring or Linux AIO.
    pub op: Op,
    /// How they were issued.
    pub ways: Ways,
}

/// How many requests were issued, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Requests that were issued at least once.
    pub submitted: u64,
    /// Completed ones that the submitting thread issued while it submitted them.
    pub inline: u64,
    /// Completed ones that a worker thread issued.
    pub worker: u64,
    /// Completed ones that the thread that polls the submission queue issued.
    pub sq_poll: u64,
    /// Completed ones that task work issued again, after they had to wait.
    pub task_work: u64,
}

impl Ways {
    /// Every number, in the order of the fields.
    #[must_use]
    pub const fn numbers(self) -> [u64; 5] {
        let Self {
            submitted,
            inline,
            worker,
            sq_poll,
            task_work,
        } = self;
        [submitted, inline, worker, sq_poll, task_work]
    }

    /// The requests with these [`Ways::numbers`].
    #[must_use]
    pub const fn of_numbers(numbers: [u64; 5]) -> Self {
        let [submitted, inline, worker, sq_poll, task_work] = numbers;
        Self {
            submitted,
            inline,
            worker,
            sq_poll,
            task_work,
        }
    }

    /// Adds how others were issued.
    pub fn add(&mut self, other: Self) {
        *self = self.zip(other, u64::saturating_add);
    }

    /// What came after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let (mine, theirs) = (self.numbers(), other.numbers());
        Self::of_numbers(std::array::from_fn(|place| f(mine[place], theirs[place])))
    }

    /// Completed requests. One that completes more than once counts when it ends.
    #[must_use]
    pub const fn completed(self) -> u64 {
        let first = self.inline.saturating_add(self.worker);
        first
            .saturating_add(self.sq_poll)
            .saturating_add(self.task_work)
    }

    /// Requests that have not completed yet.
    #[must_use]
    pub const fn in_flight(self) -> u64 {
        // Read while they change.
        self.submitted.saturating_sub(self.completed())
    }
}
