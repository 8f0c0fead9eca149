//! One process of a hunt: it does its operations while this one watches that it goes on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
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
    ROUND,
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

#[repr(C)]
struct Area {
    step: AtomicUsize,
    answers: [AtomicU64; ROUND],
}

/// What the process was answered, in memory that it shares with this one.
pub(super) struct Notes(&'static Area);

impl Notes {
    pub(super) fn new() -> Result<Self> {
        let mapping = Mapping::anonymous(size_of::<Area>(), MapFlags::MAP_SHARED)?;
        let area = mapping.address().cast::<Area>();
        // It lives as long as the command.
        std::mem::forget(mapping);
        // SAFETY: page-aligned, zeroed, large enough, never unmapped; all fields are atomics, for
        // which zero is a value.
        Ok(Self(unsafe { &*area }))
    }

    fn reset(&self) {
        self.0.step.store(0, SeqCst);
        for answer in &self.0.answers {
            answer.store(0, SeqCst);
        }
    }

    /// What each operation was answered, in a number.
    pub(super) fn answers(&self) -> [u64; ROUND] {
        self.0.answers.each_ref().map(|answer| answer.load(SeqCst))
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
    notes: &Notes,
) -> Result<Ended> {
    notes.reset();
    // SAFETY: the command has one thread, and the child ends without returning.
    match unsafe { fork() }.context("fork")? {
        ForkResult::Parent { child } => {
            watch(child, notes).with_context(|| format!("process {number}: {operations:#?}"))
        }
        ForkResult::Child => {
            let done = catch_unwind(AssertUnwindSafe(|| act(number, operations, places, notes)));
            if let Ok(Err(error)) = &done {
                say(&format!("process {number}: {error:#}"));
            }
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!matches!(done, Ok(Ok(()))))) }
        }
    }
}

fn watch(child: Pid, notes: &Notes) -> Result<Ended> {
    let end = pidfd::open(child.as_raw().cast_unsigned())?;
    let mut last = (notes.0.step.load(SeqCst), Instant::now());
    loop {
        let mut fds = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(500_u16)) == Ok(1) {
            return match waitpid(child, None)? {
                WaitStatus::Exited(_, 0) => Ok(Ended::Well),
                status => bail!("{status:?}"),
            };
        }
        let step = notes.0.step.load(SeqCst);
        if step != last.0 {
            last = (step, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            kill(child, Signal::SIGKILL)?;
            waitpid(child, None)?;
            return Ok(Ended::Stuck(step));
        }
    }
}

fn act(
    number: u64,
    operations: &[(usize, Operation)],
    places: &Places,
    notes: &Notes,
) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let name = std::ffi::CString::new(format!("hunt-{number}"))?;
    prctl::set_name(&name)?;
    // SAFETY: a signal is ignored; nobody else relies on it.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
    let mut world = World::new(places)?;
    for (step, operation) in operations {
        notes.0.step.store(*step, SeqCst);
        // That something it needs cannot be made is an answer as well.
        let made = world.act(operation).is_ok();
        let answers = world.answers() << 1 | u64::from(made);
        notes.0.answers[*step].store(answers, SeqCst);
    }
    Ok(())
}
