//! The limit on open files: every program, map and link is one. And the kernel's memory, which they take.

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
    is_behind(error, is_exhausted)
}

/// Whether the kernel had no memory: the machine's, or what the limit of a cgroup leaves, to which maps and programs
/// are charged.
pub(super) fn is_out_of_memory(error: &(dyn StdError + 'static)) -> bool {
    is_behind(error, |errno| errno == Some(libc::ENOMEM))
}

fn is_behind(error: &(dyn StdError + 'static), is: fn(Option<i32>) -> bool) -> bool {
    let own = error.downcast_ref::<io::Error>();
    own.is_some_and(|error| is(error.raw_os_error()))
        || error.source().is_some_and(|source| is_behind(source, is))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracer::Error;

    #[test]
    fn no_memory_is_no_matter_of_privileges() {
        let refused = |errno| {
            let io_error = io::Error::from_raw_os_error(errno);
            let name = "TASKS".into();
            Error::Load(aya::maps::MapError::CreateError { name, io_error }.into())
        };
        let remedy = refused(libc::ENOMEM).remedy();
        assert!(remedy.contains("memory"), "{remedy}");
        let remedy = refused(libc::EMFILE).remedy();
        assert!(remedy.contains("ulimit"), "{remedy}");
        let remedy = refused(libc::EPERM).remedy();
        assert!(remedy.contains("root"), "{remedy}");
    }
}
