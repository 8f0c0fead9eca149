//! The ledger of zctrace: what each number means, what it proves, and how it is kept.
//!
//! zctrace counts in the kernel how I/O bytes move. What it counts becomes a
//! [`ledger::Snapshot`], an immutable document, and everything else is made of such documents.
//! This crate is that part: it knows neither BPF nor terminals, so a recording is read, judged and
//! compared without root, on any machine, through the code that a live observation uses.
//!
//! The modules, each of which may use those before it:
//!
//! - [`text`]: units, escapes, columns, colours, messages and files.
//! - [`object`]: what an operation worked on, such as a file of ext4 or a TCP socket.
//! - [`catalog`]: every probe, what it sees, and what is lost without it.
//! - [`ledger`]: totals, their differences, losses, and the audit.
//! - [`claims`]: rules and verdicts, such as "this path is zero-copy".
//! - [`recording`]: the file format, read and written.
//!
//! ```no_run
//! use zctrace_ledger::recording::Recording;
//!
//! # fn main() -> Result<(), zctrace_ledger::recording::Error> {
//! let mut recording = Recording::open("io.rec".as_ref())?;
//! let snapshot = recording.whole()?.snapshot();
//! println!("{} bytes moved", snapshot.total.moved);
//! # Ok(())
//! # }
//! ```

// They panic where nothing can be written; `text::message::say` and `text::sink` do not.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod catalog;
pub mod claims;
pub mod ledger;
pub mod object;
pub mod recording;
pub mod text;
