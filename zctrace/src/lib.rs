//! zctrace shows, on a running Linux machine, where every I/O byte was copied and where it was not.

pub mod catalog;
pub mod cli;
pub mod explain;
pub mod kernel;
pub mod ledger;
pub mod output;
pub mod run;
pub mod target;
pub mod tracer;
pub mod workload;
