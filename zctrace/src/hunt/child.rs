//! One process of a hunt: it does its operations while this one watches that it goes on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        mman::MapFlags,
        prctl,
        signal::{SigHandler, Signal, kill, signal},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork},
};
use std::os::fd::AsFd as _;

use super::{
    operation::Operation,
    world::{Places, World},
};
use crate::{run::pidfd, text::message::say, workload::stage::mapping::Mapping};

/// How long an operation may take. Nothing that does not wait for ever takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a process ended.
pub(super) enum Ended {
    /// It has done everything.
    Well,
    /// The operation of this number did not end, and the process was killed.
    Stuck(usize),
}

/// The number of the operation that the process does, in memory that it shares with this one.
pub(super) struct Step(&'static AtomicUsize);

impl Step {
    pub(super) fn new() -> Result<Self> {
        let mapping = Mapping::anonymous(size_of::<AtomicUsize>(), MapFlags::MAP_SHARED)?;
        let step = mapping.address().cast::<AtomicUsize>();
        // It lives as long as the command.
        std::mem::forget(mapping);
        // SAFETY: page-aligned, zeroed, large enough, never unmapped; zero is a value of an atomic.
        Ok(Self(unsafe { &*step }))
    }
}

/// The number of the process that has this name.
pub(super) fn number(comm: &str) -> Option<u64> {
    comm.strip_prefix("hunt-")?.parse().ok()
}

/// Does operations in a process of their own.
pub(super) fn run(
    number: u64,
    operations: &[(usize, Operation)],
    places: &Places,
    step: &Step,
) -> Result<Ended> {
    step.0.store(0, SeqCst);
    // SAFETY: the command has one thread, and the child ends without returning.
    match unsafe { fork() }.context("fork")? {
        ForkResult::Parent { child } => {
            watch(child, step).with_context(|| format!("process {number}: {operations:#?}"))
        }
        ForkResult::Child => {
            let done = catch_unwind(AssertUnwindSafe(|| act(number, operations, places, step)));
            if let Ok(Err(error)) = &done {
                say(&format!("process {number}: {error:#}"));
            }
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!matches!(done, Ok(Ok(()))))) }
        }
    }
}

fn watch(child: Pid, step: &Step) -> Result<Ended> {
    let end = pidfd::open(child.as_raw().cast_unsigned())?;
    let mut last = (step.0.load(SeqCst), Instant::now());
    loop {
        let mut fds = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(500_u16)) == Ok(1) {
            return match waitpid(child, None)? {
                WaitStatus::Exited(_, 0) => Ok(Ended::Well),
                status => bail!("{status:?}"),
            };
        }
        let now = step.0.load(SeqCst);
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            kill(child, Signal::SIGKILL)?;
            waitpid(child, None)?;
            return Ok(Ended::Stuck(now));
        }
    }
}

fn act(number: u64, operations: &[(usize, Operation)], places: &Places, step: &Step) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let name = std::ffi::CString::new(format!("hunt-{number}"))?;
    prctl::set_name(&name)?;
    // SAFETY: a signal is ignored; nobody else relies on it.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
    let mut world = World::new(places)?;
    for (number, operation) in operations {
        step.0.store(*number, SeqCst);
        // What it needs may be missing.
        let _ = world.act(operation);
    }
    Ok(())
}
