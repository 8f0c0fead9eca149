//! The limit on open files: every program, map and link is one.

use std::{error::Error as StdError, io};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Said where the limit is the reason.
pub(super) const TOO_MANY: &str = "too many open files";

/// Raises zctrace's own limit as far as it may be. A traced command has been forked by then and keeps
/// the one it was given.
pub(super) fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where it is refused, opening says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Whether this process, or the machine, may open no more files.
pub(super) fn is_exhausted(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::EMFILE | libc::ENFILE))
}

/// [`is_exhausted`] of an error or anything behind it.
pub(super) fn caused(error: &(dyn StdError + 'static)) -> bool {
    let own = error.downcast_ref::<io::Error>();
    own.is_some_and(|error| is_exhausted(error.raw_os_error()))
        || error.source().is_some_and(caused)
}
