//! zctrace shows, on a running Linux machine, where every I/O byte was copied and where it was not.

// They panic where nothing can be written; `text::message::say` and `text::sink` do not.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

// The pure part is a crate of its own.
pub use zctrace_ledger::{catalog, claims, ledger, recording, text};

pub mod advise;
pub mod bench;
pub mod cli;
pub mod explain;
pub mod hunt;
pub mod kernel;
pub mod report;
pub mod run;
pub mod serve;
pub mod target;
pub mod tracer;
pub mod tui;
pub mod verbose;
pub mod workload;
