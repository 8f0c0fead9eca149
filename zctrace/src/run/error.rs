//! Why an observation ended without a result.

use std::io;

use caps::Capability;

use super::command;
use crate::{target, text::sink, tracer};

/// Why an observation ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target.
    #[error(transparent)]
    Target(#[from] target::Error),
    /// Attaching the probes is not permitted.
    #[error("not permitted to trace the kernel: {} missing", names(missing))]
    NotPermitted {
        /// What it takes.
        missing: Vec<Capability>,
    },
    /// The probes.
    #[error(transparent)]
    Tracer(#[from] tracer::Error),
    /// The command.
    #[error(transparent)]
    Command(#[from] command::Error),
    /// The report.
    #[error(transparent)]
    Output(#[from] sink::Error),
    /// A signal came before there was anything to report.
    #[error("interrupted while attaching; nothing was measured")]
    Interrupted {
        /// Which.
        signal: i32,
    },
    /// Something that hardly ever fails.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// The remedy for [`Error::Interrupted`].
    pub(crate) const INTERRUPTED_REMEDY: &str =
        "attaching can take half a minute on kernels where functions are traced: wait for it";
}

fn names(missing: &[Capability]) -> String {
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    names.join(" and ")
}
