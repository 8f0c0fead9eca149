//! Tests that attach a tracer of their own. Their names sort before the others, which share one session: it is attached
//! once instead of again after each of these.

mod audit;
mod hunt;
mod workloads;
