//! A thing that has been made, as two descriptors.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::Result;
use nix::{
    errno::Errno,
    libc::{self, c_int},
};

/// The two ends of a thing: bytes go in at the first and come out at the second.
pub(super) struct Ends {
    pub(super) into: OwnedFd,
    pub(super) out_of: OwnedFd,
    /// Must stay open.
    pub(super) _keep: Vec<OwnedFd>,
}

pub(super) const fn of(into: OwnedFd, out_of: OwnedFd) -> Ends {
    Ends {
        into,
        out_of,
        _keep: Vec::new(),
    }
}

/// A descriptor that the kernel gave.
pub(super) fn owned(result: c_int) -> Result<OwnedFd> {
    let fd = Errno::result(result)?;
    // SAFETY: it is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn option(socket: &OwnedFd, level: c_int, name: c_int, value: c_int) {
    // SAFETY: an int, which outlives the call.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
}
