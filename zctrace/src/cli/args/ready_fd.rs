//! File descriptors that the caller has opened for zctrace.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
};

use super::failure::Failure;

/// A descriptor that the caller has opened for zctrace.
pub(crate) fn inherited(fd: RawFd) -> Result<OwnedFd, Failure> {
    // SAFETY: the number is only looked up: a descriptor that is not open is an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map_err(|error: io::Error| {
        Failure::usage(
            format!("--ready-fd {fd}: {error}"),
            "give the number of an open file descriptor",
        )
    })
}
