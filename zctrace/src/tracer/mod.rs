//! Placeholder: attaches nothing and counts nothing. The real one replaces it.

use zctrace_common::{By, Scope};

use crate::{
    kernel::doctor::Survey,
    ledger::{Coverage, Loss, Overhead, Process, Totals, Unattributed},
    target::CgroupTarget,
};

/// What to trace and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Thread ids, in the initial PID namespace, that are the target at the start.
    pub tasks: Vec<u32>,
    /// Which tasks join them.
    pub scope: Scope,
    /// The command name of [`Scope::Comm`].
    pub comm: Option<String>,
    /// The cgroup of [`Scope::Cgroup`].
    pub cgroup: Option<CgroupTarget>,
    /// Children of a target are targets.
    pub follow: bool,
    /// Attach the page fault probes.
    pub faults: bool,
    /// The extra dimension of rows.
    pub by: By,
    /// Names of probes that are not to be attached.
    pub without: Vec<String>,
    /// Let the kernel measure how long zctrace's programs run.
    pub own_cost: bool,
    /// Bound on the number of rows.
    pub max_rows: u32,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing can be attached.
    #[error("no probe could be attached")]
    Nothing,
}

impl Error {
    /// What the user can do about it, in one line.
    #[must_use]
    pub fn remedy(&self) -> String {
        "`zctrace doctor` shows what this kernel allows".into()
    }
}

/// The attached probes.
#[derive(Debug, Default)]
pub struct Session {
    coverage: Coverage,
}

impl Session {
    /// Attaches everything.
    ///
    /// # Errors
    ///
    /// When nothing can be measured.
    pub fn start(_config: &Config) -> Result<Self, Error> {
        Ok(Self::default())
    }

    /// Makes a thread (in the initial PID namespace) part of the target.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the update.
    pub fn add_task(&mut self, _tid: u32) -> Result<(), Error> {
        Ok(())
    }

    /// Which probes took part.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// `functions`, `tracepoints` or `mixed`.
    #[must_use]
    pub fn backend(&self) -> &str {
        "functions"
    }

    /// Everything counted since the start.
    ///
    /// # Errors
    ///
    /// When the maps cannot be read.
    pub fn read(&mut self) -> Result<Reading, Error> {
        Ok(Reading::default())
    }
}

/// Everything counted since the start.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The processes, most moved first.
    pub processes: Vec<Process>,
    /// Work in kernel threads.
    pub unattributed: Vec<Unattributed>,
    /// What was lost.
    pub loss: Loss,
    /// What it cost.
    pub overhead: Overhead,
    /// The sum of the processes.
    pub total: Totals,
}

/// Tries every probe of the catalog, and with `self_test` sends known bytes through each family.
///
/// # Errors
///
/// When the catalog cannot be tried at all.
pub fn survey(_config: &Config, _self_test: bool) -> Result<Survey, Error> {
    Err(Error::Nothing)
}
