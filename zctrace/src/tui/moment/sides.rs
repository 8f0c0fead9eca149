//! What the dashboard shows beside the ledger. Each view takes one narrow part of it, and says so
//! where that part is not there.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    kernel::doctor::ProbeStatus,
    ledger::{Requests, RowSizes},
};

/// A part that may not be there, and why.
#[derive(Clone, Debug)]
pub enum Part<T> {
    /// What there is.
    Here(T),
    /// Why there is none.
    Missing(&'static str),
}

impl<T> Part<T> {
    /// What there is.
    pub const fn here(&self) -> Option<&T> {
        match self {
            Self::Here(part) => Some(part),
            Self::Missing(_) => None,
        }
    }
}

/// A probe of the catalog.
#[derive(Clone, Debug)]
pub struct ProbeRow {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its family.
    pub family: &'static str,
    /// How it is attached; empty where it is not.
    pub kind: &'static str,
    /// What became of it.
    pub state: ProbeStatus,
    /// Runs since it was attached; `None` unless the kernel counts them.
    pub runs: Option<u64>,
    /// Nanoseconds in it since then.
    pub ns: Option<u64>,
    /// Runs in the last step.
    pub runs_step: u64,
    /// Runs that the kernel skipped.
    pub missed: u64,
    /// Why it does not take part.
    pub reason: String,
    /// What cannot be told without it.
    pub lost: Cow<'static, str>,
}

/// Everything beside the ledger.
#[derive(Clone, Debug)]
pub struct Sides {
    /// The catalog.
    pub probes: Part<Arc<Vec<ProbeRow>>>,
    /// Requests to io_uring and Linux AIO, since the start.
    pub requests: Part<Arc<Vec<Requests>>>,
    /// How large operations are, since the start.
    pub sizes: Part<Arc<Vec<RowSizes>>>,
    /// A stack is sampled whenever this many bytes were copied; missing where none is.
    pub stacks: Part<u64>,
    /// Processor time of zctrace itself in the last step; `None` where it is not of this run.
    pub own_cpu: Option<Duration>,
}

impl Default for Sides {
    fn default() -> Self {
        Self {
            probes: Part::Missing("the source of these numbers does not say"),
            requests: Part::Missing("the source of these numbers does not say"),
            sizes: Part::Missing("the source of these numbers does not say"),
            stacks: Part::Missing("the source of these numbers has no stacks"),
            own_cpu: None,
        }
    }
}
