//! zctrace shows, on a running Linux machine, where every I/O byte was copied and where it was not.

pub mod bench;
pub mod catalog;
pub mod claims;
pub mod cli;
pub mod config;
pub mod explain;
pub mod kernel;
pub mod ledger;
pub mod output;
pub mod recording;
pub mod run;
pub mod serve;
pub mod target;
pub mod tracer;
pub mod tui;
pub mod workload;
