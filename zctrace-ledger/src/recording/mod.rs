//! Recordings: intervals of the ledger in a file, for later and elsewhere.
//!
//! The format is described in docs/recording.md. A file is a header and frames that are only
//! appended, each with a checksum: a crash, a full disk or `kill -9` loses at most the last one, and
//! whatever else happens to the file, it is read up to the last sound frame or refused.

mod beside;
mod containers;
mod cpu;
mod errnos;
mod error;
mod filled;
mod frame;
#[cfg(any(test, feature = "samples"))]
pub mod fuzz;
mod limits;
mod not_followed;
mod notified;
mod part;
mod read;
mod tables;
mod whole;
mod wire;
mod write;

pub use beside::Beside;
pub use error::{Damage, Error};
pub use read::{Mark, Recording};
pub use whole::Whole;
pub use wire::Header;
pub use write::{Rotation, Writer};

/// The version of the format that is written; it and the earlier ones are read.
pub const VERSION: u16 = 2;

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod tests;
