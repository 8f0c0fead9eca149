//! A process of its own beside what is traced.

use anyhow::{Context as _, Result};
use nix::{
    libc,
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{ForkResult, Pid, fork},
};

/// The process; it is killed when this is dropped, and when its parent ends.
#[derive(Debug)]
pub(in crate::workload) struct Forked(Pid);

impl Forked {
    /// Starts it.
    ///
    /// # Safety
    ///
    /// `work` only makes system calls and uses memory that exists: another thread of the parent may hold any lock.
    pub(in crate::workload) unsafe fn start<A>(with: &A, work: fn(&A) -> !) -> Result<Self> {
        // SAFETY: the caller's.
        match unsafe { fork() }.context("a process")? {
            ForkResult::Child => {
                // SAFETY: a number is passed.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                work(with)
            }
            ForkResult::Parent { child } => Ok(Self(child)),
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if kill(self.0, Signal::SIGKILL).is_ok() {
            let _ = waitpid(self.0, None);
        }
    }
}
