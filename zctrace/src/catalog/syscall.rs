//! The tracepoint backend: system calls, where their functions cannot be traced.

use super::Probe;

pub(super) const PROBES: &[Probe] = &[];
