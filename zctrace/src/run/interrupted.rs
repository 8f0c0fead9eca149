//! The end of zctrace while it attaches, which the kernel can take half a minute for.

use std::{
    io, process,
    thread::{self, JoinHandle},
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::pipe2,
};

use super::Error;
use crate::text::message::say;

/// Ends the process at one of the signals that its thread holds back, until it is dropped. Attaching
/// cannot be broken off in between: most of it is one system call after another, and what is attached
/// already goes with the process. So does a command that waits for its `exec`.
pub(super) struct Watch {
    /// Its closing ends the thread.
    end: Option<std::os::fd::OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches from now on; nothing where no signal is held back.
    pub(super) fn start() -> io::Result<Self> {
        let mut watch = Self {
            end: None,
            thread: None,
        };
        let blocked = SigSet::thread_get_mask()?;
        let held: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .filter(|signal| blocked.contains(*signal))
            .collect();
        if held.iter().next().is_none() {
            return Ok(watch);
        }
        let signals = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let (ended, end) = pipe2(OFlag::O_CLOEXEC)?;
        let wait = move || {
            use std::os::fd::AsFd as _;
            loop {
                let mut fds = [
                    PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                    PollFd::new(ended.as_fd(), PollFlags::POLLIN),
                ];
                let _ = poll(&mut fds, PollTimeout::NONE);
                let is_over = fds[1].any().unwrap_or(true);
                if let Ok(Some(info)) = signals.read_signal() {
                    leave(info.ssi_signo.cast_signed());
                }
                if is_over {
                    return;
                }
            }
        };
        watch.thread = Some(thread::Builder::new().spawn(wait)?);
        watch.end = Some(end);
        Ok(watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn leave(signal: i32) -> ! {
    let error = Error::Interrupted { signal };
    say(&format!(
        "error: {error}\n help: {}",
        Error::INTERRUPTED_REMEDY
    ));
    process::exit(128 + signal)
}
