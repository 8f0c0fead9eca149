//! What commands share: arguments, and how a command ends.
//!
//! Commands use this folder, but not each other.

pub(crate) mod by;
pub(crate) mod damage;
pub(crate) mod duration;
pub(crate) mod exit;
pub(crate) mod failure;
pub(crate) mod files;
pub(crate) mod least;
pub(crate) mod limit;
pub(crate) mod percent;
pub(crate) mod ready_fd;
pub(crate) mod size;
pub(crate) mod target;
