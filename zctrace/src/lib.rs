//! zctrace shows, on a running Linux machine, where every I/O byte was copied and where it was not.
//!
//! This library is what the program of that name is made of, and what its tests use. It is for programs that observe
//! without running `zctrace`. Whoever only reads recordings or documents, and judges them, needs no more than
//! [`zctrace_ledger`], whose modules [`catalog`], [`claims`], [`ledger`], [`recording`] and [`text`] are handed on here.
//!
//! Where to start:
//!
//! - [`run::observe`] observes a target from its start to the last reading: a [`run::Plan`] says what, and
//!   [`run::attach`] attaches. What comes of it is a [`ledger::Snapshot`].
//! - [`tracer::Session`] is what lies beneath: the programs in the kernel, and their counts.
//! - [`report`] shows a snapshot as a table, JSON, CSV or HTML, and [`claims::judge`] holds it against a claim.
//! - [`kernel::doctor`] says what can be measured on this machine.
//!
//! Observing needs root, or the capabilities that [`kernel::privileges`] names. The API follows the program, so any
//! version may change it; the documents that the program writes are what stays (`docs/json.md`).

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
