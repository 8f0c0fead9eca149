//! Signals as something to wait for, beside the clock and the end of processes.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::{
    signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
    signalfd::{SfdFlags, SignalFd},
};

/// A signal that asks zctrace to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) signal: Signal,
    /// The terminal sent it to the whole process group, the traced command included.
    pub(crate) by_terminal: bool,
}

/// SIGINT, SIGTERM and SIGHUP, held back from their default action.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    before: SigSet,
    held: SigSet,
}

impl Signals {
    /// Holds them back from now on. SIGHUP is left alone where it is ignored, as under `nohup`;
    /// SIGINT is not, because shells ignore it for what a script runs in the background, and
    /// `kill -INT` is how such a script ends a trace.
    pub(crate) fn hold() -> io::Result<Self> {
        let mut held = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        if !is_ignored(Signal::SIGHUP) {
            held.add(Signal::SIGHUP);
        }
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut before))?;
        let fd = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, before, held })
    }

    /// The mask from before, which a traced command is to have.
    pub(crate) fn before(&self) -> SigSet {
        self.before
    }

    /// The next one, if there is one.
    pub(crate) fn next(&self) -> io::Result<Option<Asked>> {
        let Some(info) = self.fd.read_signal()? else {
            return Ok(None);
        };
        let signal = i32::try_from(info.ssi_signo)
            .ok()
            .and_then(|number| Signal::try_from(number).ok());
        Ok(signal.map(|signal| Asked {
            signal,
            // The end of a terminal is told to the leader of its session alone.
            by_terminal: info.ssi_code == libc::SI_KERNEL && signal != Signal::SIGHUP,
        }))
    }

    /// Lets the next one end zctrace at once.
    pub(crate) fn release(&self) {
        // Nothing to do about an error: the signals stay held, and the end is near.
        let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&self.held), None);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: all-zero bytes are a value of this C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks; `action` is writable.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
