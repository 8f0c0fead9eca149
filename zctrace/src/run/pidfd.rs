//! Waiting for processes that are not children.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::target::View;

/// How often to look for processes that no descriptor stands for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A descriptor that becomes readable when the process ends.
///
/// `pid` is an id of zctrace's own PID namespace.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given out this descriptor, to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The processes whose end is the end of the trace.
#[derive(Debug)]
pub(crate) struct Alive {
    fds: Vec<OwnedFd>,
    /// Of another PID namespace, or beyond the limit of open files.
    unwatched: Vec<u32>,
}

impl Alive {
    /// Watches processes, given as ids of `view`.
    pub(crate) fn watch(view: &View, processes: impl IntoIterator<Item = u32>) -> Self {
        let mut alive = Self {
            fds: Vec::new(),
            unwatched: Vec::new(),
        };
        for pid in processes {
            match open(view.to_user(pid)) {
                Ok(fd) => alive.fds.push(fd),
                // It has ended.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(_) => alive.unwatched.push(pid),
            }
        }
        alive
    }

    /// How long a wait may be until the next look.
    pub(crate) fn look_every(&self) -> Option<Duration> {
        (!self.unwatched.is_empty()).then_some(LOOK_EVERY)
    }

    /// What to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.fds.iter().map(AsFd::as_fd)
    }

    /// Forgets those that have ended and says whether any is left.
    pub(crate) fn any(&mut self, view: &View) -> bool {
        self.fds.retain(|fd| {
            let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
            !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
        });
        self.unwatched.retain(|pid| view.process(*pid).is_ok());
        !self.fds.is_empty() || !self.unwatched.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_end_of_the_last_process_shows() {
        let view = View::detect().unwrap();
        let mut children: Vec<_> = (0..2)
            .map(|_| Command::new("sleep").arg("60").spawn().unwrap())
            .collect();
        let mut alive = Alive::watch(&view, children.iter().map(std::process::Child::id));
        assert!(alive.any(&view));
        for (index, child) in children.iter_mut().enumerate() {
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(alive.any(&view), index == 0);
        }
    }
}
