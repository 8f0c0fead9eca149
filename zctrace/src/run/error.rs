//! Why an observation ended without a result.

use std::io;

use caps::Capability;

use super::command;
use crate::{output::sink, target, tracer};

/// Why an observation ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target.
    #[error(transparent)]
    Target(#[from] target::Error),
    /// The probes may not be attached.
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
    /// Something that hardly ever fails.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

fn names(missing: &[Capability]) -> String {
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    names.join(" and ")
}
