//! One observation: from what the user asked for to the last reading.
//!
//! - `plan`: what to observe, and what came of it.
//! - `meter`: where readings come from. A test has one of its own, so the loop runs without root.
//! - `observation`: the loop. It waits for signals, ends and times, and makes the documents.
//! - `command`: a command that waits until everything is attached; `account`: whom it runs as; `pidfd`: processes that end.
//! - `channel`: the pipe on which a command marks its regions.
//! - `signals`, `interrupted`: signals held back for the loop, and while nothing can be waited for.
//! - `in_flight`: operations that are still under way at the end.
//! - `latecomers`: who belongs to the target and is not traced; `owners`: whose threads these are.
//! - `self_test`: whether the probes see known bytes; `noted`: what is said once.

pub mod account;
pub mod channel;
pub mod command;
mod error;
mod in_flight;
mod interrupted;
mod latecomers;
mod meter;
pub mod noted;
mod observation;
mod owners;
pub(crate) mod pidfd;
mod plan;
mod self_test;
mod signals;
#[cfg(test)]
mod tests;

use std::io;

pub use error::Error;
pub use meter::{Meter, attach, detach};
pub(crate) use meter::{attach_unwatched, give_memory_back, keep_no_large_pieces};
pub use observation::{follow, observe};
pub use plan::{Outcome, Plan, Subject};
pub use self_test::self_test;

fn system(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::System { what, source }
}
