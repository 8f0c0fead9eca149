//! How asynchronous requests were issued, beside the rows of the ledger.

/// Requests of one process for one operation, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// The process.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// Its command name.
    pub comm: String,
    /// Name of the operation, for example `uring.read`.
    pub op: &'static str,
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

impl Requests {
    /// Adds how those of another process were issued.
    pub const fn add(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.inline += other.inline;
        self.worker += other.worker;
        self.sq_poll += other.sq_poll;
        self.task_work += other.task_work;
    }

    /// Completed requests. One that completes more than once counts when it ends.
    #[must_use]
    pub const fn completed(&self) -> u64 {
        self.inline + self.worker + self.sq_poll + self.task_work
    }

    /// Requests that have not completed yet.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        // Read while they change.
        self.submitted.saturating_sub(self.completed())
    }
}
