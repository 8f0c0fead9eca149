//! Children that do one thing and end.

use std::{
    ffi::CString,
    panic::{AssertUnwindSafe, catch_unwind},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::{
    libc,
    sys::{
        prctl,
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    },
    unistd::{ForkResult, Pid, alarm, fork, getpid, getppid},
};

use super::shared::Shared;
use crate::workload::Run;

/// Forks a child that does `run` and ends.
pub(in crate::workload) fn start(
    comm: String,
    run: Run,
    seconds: u32,
    shared: Shared,
) -> Result<Pid> {
    let comm = CString::new(comm)?;
    let parent = getpid();
    // SAFETY: the command has one thread, and the child ends without returning.
    match unsafe { fork() }.context("fork")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let done = catch_unwind(AssertUnwindSafe(|| {
                become_child(&comm, seconds, parent)?;
                run()
            }))
            .unwrap_or_else(|_| Err(anyhow!("panicked")));
            exit(done, shared)
        }
    }
}

fn become_child(comm: &CString, seconds: u32, parent: Pid) -> Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the default action replaces a handler.
        unsafe { sigaction(signal, &default) }?;
    }
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // It may have died before: nobody would end this one, and it holds the probes too.
    ensure!(getppid() == parent, "the parent is gone");
    prctl::set_name(comm)?;
    alarm::set(seconds);
    Ok(())
}

/// Ends a child without running the parent's destructors, or flushing its output, a second time.
pub fn exit(done: Result<()>, shared: Shared) -> ! {
    let code = match done {
        Ok(()) => 0,
        Err(error) => {
            shared.fail(&error);
            1
        }
    };
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
