//! Where readings come from: zctrace's probes, or a test's made-up ones.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write as _},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{error::Error, interrupted::Watch, system};
use crate::{
    kernel::privileges::Privileges,
    ledger::{Counted, Coverage, audit::Setup},
    text::message::say,
    tracer::{self, Config, Reading, RequestId, Session},
};

/// How long [`detach`] is silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where readings come from.
pub trait Meter {
    /// Makes a thread part of the target.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    fn add_task(&mut self, tid: u32) -> Result<(), tracer::Error>;
    /// Which probes take part.
    fn coverage(&self) -> &Coverage;
    /// `functions`, `tracepoints` or `mixed`.
    fn backend(&self) -> &str;
    /// Something to tell the user about the target, where standard error is not for people.
    fn tell(&mut self, note: &str) {
        let _ = note;
    }
    /// Which copy routines have a breakpoint; `None` where no audit was asked for.
    fn audit(&self) -> Option<&Setup> {
        None
    }
    /// Everything counted since the start.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn read(&mut self) -> Result<Reading, tracer::Error>;
    /// Requests that wait for input and have copied nothing so far.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn idle_requests(&mut self) -> Result<BTreeSet<RequestId>, tracer::Error> {
        Ok(BTreeSet::new())
    }
    /// The threads that are traced, by the machine's own ids.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn live_threads(&mut self) -> Result<BTreeSet<u32>, tracer::Error>;
    /// Makes room where processes have ended; the next reading has what they did.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn keep_up(&mut self) -> Result<(), tracer::Error>;
}

impl Meter for Session {
    fn add_task(&mut self, tid: u32) -> Result<(), tracer::Error> {
        Self::add_task(self, tid)
    }

    fn coverage(&self) -> &Coverage {
        Self::coverage(self)
    }

    fn backend(&self) -> &str {
        Self::backend(self)
    }

    fn idle_requests(&mut self) -> Result<BTreeSet<RequestId>, tracer::Error> {
        Self::idle_requests(self)
    }

    fn live_threads(&mut self) -> Result<BTreeSet<u32>, tracer::Error> {
        Self::live_threads(self)
    }

    fn keep_up(&mut self) -> Result<(), tracer::Error> {
        Self::keep_up(self)
    }

    fn audit(&self) -> Option<&Setup> {
        Self::audit(self)
    }

    fn read(&mut self) -> Result<Reading, tracer::Error> {
        Self::read(self)
    }
}

impl From<Reading> for Counted {
    fn from(reading: Reading) -> Self {
        let Reading {
            processes,
            unattributed,
            loss,
            overhead,
            total,
            audit,
            stacks,
            // For the dashboard, which reads the session itself.
            requests: _,
            sizes: _,
        } = reading;
        Self {
            processes,
            unattributed,
            total,
            loss,
            overhead,
            audit,
            stacks,
        }
    }
}

/// Attaches zctrace's probes, if this process may. A signal that is held back ends the process
/// meanwhile.
///
/// # Errors
///
/// When nothing can be measured.
pub fn attach(config: &Config) -> Result<Session, Error> {
    let _watch = Watch::start().map_err(system("watch for signals"))?;
    if !io::stderr().is_terminal() {
        return attach_unwatched(config);
    }
    let config = Config {
        progress: Some(attaching),
        ..config.clone()
    };
    let session = attach_unwatched(&config);
    // Whatever comes next begins at the beginning of an empty line.
    let _ = write!(io::stderr(), "\r\x1b[K");
    session
}

/// One line that is written over. One that cannot be shown is no reason to fail.
fn attaching(tried: usize, of: usize) {
    let _ = write!(io::stderr(), "\r\x1b[Kattaching {tried} of {of} probes …");
}

/// [`attach`] for those who have an end of their own.
pub(crate) fn attach_unwatched(config: &Config) -> Result<Session, Error> {
    let missing = Privileges::current().missing();
    if !missing.is_empty() {
        return Err(Error::NotPermitted { missing });
    }
    keep_no_large_pieces();
    let session = Session::start(config);
    give_memory_back();
    Ok(session?)
}

/// Has large pieces of memory mapped, each on its own, so that what a reading took is the kernel's
/// again when the next one is made. glibc goes over to keeping them once the first was freed
/// (`mallopt(3)`, "dynamic mmap threshold"), and every second brings another reading.
pub(crate) fn keep_no_large_pieces() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 128 << 10;
        // SAFETY: mallopt takes two integers; where it refuses, nothing has changed.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}

/// Gives back what is free, in small pieces too: attaching reads every type of the kernel.
pub(crate) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes an integer and touches only what is free.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Ends a meter. For each function the kernel waits until no task is in what was attached there, a tenth
/// of a second and more (`unregister_ftrace_function`); a terminal is told when that takes long.
pub fn detach<M>(meter: M) {
    let (done, is_done) = mpsc::channel::<()>();
    if io::stderr().is_terminal() {
        thread::spawn(move || {
            if is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                say("detaching, which takes the kernel some time …");
            }
        });
    }
    drop(meter);
    drop(done);
}
