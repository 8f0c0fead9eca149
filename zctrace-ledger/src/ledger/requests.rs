//! How asynchronous requests were issued, beside the rows of the ledger.

use zctrace_common::{Cause, Op};

use super::totals::ratio;

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

impl Requests {
    /// Whether they are of io_uring.
    #[must_use]
    pub const fn is_of_ring(&self) -> bool {
        matches!(self.op.cause(), Cause::Uring(_))
    }
}

/// How many requests were issued, and how. The last three numbers are of all requests of the process.
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
    /// Requests that the kernel took out of submission queues of the process, of whatever operation.
    pub taken: u64,
    /// How often it took some: see [`Ways::per_submission`].
    pub submissions: u64,
    /// How often threads of the process began to wait for completions.
    pub waits: u64,
}

impl Ways {
    /// How the requests were issued, in the order of the fields.
    #[must_use]
    pub const fn issued(self) -> [u64; 5] {
        [
            self.submitted,
            self.inline,
            self.worker,
            self.sq_poll,
            self.task_work,
        ]
    }

    /// How they were batched, in the order of the fields.
    #[must_use]
    pub const fn batches(self) -> [u64; 3] {
        [self.taken, self.submissions, self.waits]
    }

    /// Nothing but how they were batched.
    #[must_use]
    pub fn only_batches(self) -> Self {
        let mut only = Self::default();
        only.set_batches(self.batches());
        only
    }

    /// The requests with these [`Ways::issued`].
    #[must_use]
    pub const fn of_issued(numbers: [u64; 5]) -> Self {
        let [submitted, inline, worker, sq_poll, task_work] = numbers;
        Self {
            submitted,
            inline,
            worker,
            sq_poll,
            task_work,
            taken: 0,
            submissions: 0,
            waits: 0,
        }
    }

    /// Gives them these [`Ways::batches`].
    pub const fn set_batches(&mut self, [taken, submissions, waits]: [u64; 3]) {
        self.taken = taken;
        self.submissions = submissions;
        self.waits = waits;
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
        let (mine, theirs) = (self.issued(), other.issued());
        let mut both = Self::of_issued(std::array::from_fn(|place| f(mine[place], theirs[place])));
        let (mine, theirs) = (self.batches(), other.batches());
        both.set_batches(std::array::from_fn(|place| f(mine[place], theirs[place])));
        both
    }

    /// Completed requests. One that completes more than once counts when it ends.
    #[must_use]
    pub const fn completed(self) -> u64 {
        let first = self.inline.saturating_add(self.worker);
        first
            .saturating_add(self.sq_poll)
            .saturating_add(self.task_work)
    }

    /// Requests of the process that were submitted at a time, on average; `None` where none were seen.
    #[must_use]
    pub fn per_submission(self) -> Option<f64> {
        ratio(self.taken, self.submissions)
    }

    /// So many operations over the waits of the process; `None` where it never waited.
    #[must_use]
    pub fn per_wait(self, operations: u64) -> Option<f64> {
        ratio(operations, self.waits)
    }

    /// Requests that have not completed yet.
    #[must_use]
    pub const fn in_flight(self) -> u64 {
        // Read while they change.
        self.submitted.saturating_sub(self.completed())
    }
}
