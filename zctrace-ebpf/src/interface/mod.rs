//! Where an operation ends and says what it moved, and where threads begin and end.

pub(crate) mod file;
pub(crate) mod lifecycle;
pub(crate) mod message;
pub(crate) mod socket;
pub(crate) mod splice;
pub(crate) mod uffd;
