//! What can be wrong with a recording.

use std::{io, path::PathBuf};

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Files of a rotated recording.
    #[error("{}.1 or a later file of a rotated recording exists, and {} would look like the first of them", .0.display(), .0.display())]
    InTheWay(PathBuf),
    /// Something else.
    #[error("{} is not a recording of zctrace", .0.display())]
    NotOne(PathBuf),
    /// Of another version of the format.
    #[error("{} has version {found} of the format; this zctrace reads versions up to {}", path.display(), super::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// What it adds up to takes more memory than a file of its size is given.
    #[error("{} needs more memory than is allowed for a recording of its size", .0.display())]
    TooMuch(PathBuf),
    /// Nothing in it can be read.
    #[error("{} is damaged from its start: {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        damage: Damage,
    },
}

/// Where a recording stops being readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Damage {
    /// Offset of the first frame that is not sound.
    pub at: u64,
    /// What is wrong with it.
    pub what: &'static str,
}
