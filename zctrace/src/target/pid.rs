//! `--pid`: which ids are processes that can be traced.

use std::io;

use procfs::{ProcError, process::Process};

use super::{Error, View, view::PF_KTHREAD};

/// Checks that `pid`, as the user gave it, is a live process; returns its id in `view`.
pub(super) fn check(view: &View, pid: u32) -> Result<u32, Error> {
    let id = view.from_user(pid)?;
    if id == view.own_pid() {
        return Err(Error::Myself { pid });
    }
    let explain = |error| match error {
        ProcError::NotFound(_) => Error::NoSuchProcess { pid },
        // The files of a process that ends while they are read give ESRCH.
        ProcError::Io(error, _) if error.raw_os_error() == Some(libc::ESRCH) => {
            Error::NoSuchProcess { pid }
        }
        source => Error::Procfs { pid, source },
    };
    let process = view.process(id).map_err(explain)?;
    let status = process.status().map_err(explain)?;
    let tgid = u32::try_from(status.tgid).unwrap_or(id);
    if tgid != id {
        return Err(Error::IsThread {
            tid: pid,
            pid: view.to_user(tgid),
        });
    }
    let stat = process.stat().map_err(explain)?;
    if stat.flags & PF_KTHREAD != 0 {
        let comm = stat.comm;
        return Err(Error::KernelThread { pid, comm });
    }
    if has_ended(&process, &stat).map_err(explain)? {
        let comm = stat.comm;
        return Err(Error::Zombie { pid, comm });
    }
    Ok(id)
}

/// Whether no thread is alive. A zombie leader alone does not say so: it may have ended before its
/// threads did.
fn has_ended(process: &Process, leader: &procfs::process::Stat) -> Result<bool, ProcError> {
    if !ended(leader.state) {
        return Ok(false);
    }
    for task in process.tasks()? {
        match task.and_then(|task| task.stat()) {
            Ok(stat) if !ended(stat.state) => return Ok(false),
            Ok(_) | Err(ProcError::NotFound(_)) => {}
            Err(ProcError::Io(error, _)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn ended(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread, time::Duration};

    use super::*;

    fn view() -> View {
        View::detect().unwrap()
    }

    #[test]
    fn a_live_process_passes_and_zctrace_does_not() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(check(&view(), child.id()).unwrap(), child.id());
        child.kill().unwrap();
        // Not waited for yet: a zombie.
        while !matches!(check(&view(), child.id()), Err(Error::Zombie { .. })) {
            thread::sleep(Duration::from_millis(5));
        }
        child.wait().unwrap();
        assert!(matches!(
            check(&view(), child.id()),
            Err(Error::NoSuchProcess { .. })
        ));
        assert!(matches!(
            check(&view(), std::process::id()),
            Err(Error::Myself { .. })
        ));
    }

    #[test]
    fn a_thread_is_not_a_process() {
        let mut child = Command::new("sh").args(["-c", "sleep 60"]).spawn().unwrap();
        let tid = thread::spawn(|| {
            let tid = nix::unistd::gettid().as_raw();
            check(&view(), u32::try_from(tid).unwrap())
        })
        .join()
        .unwrap();
        assert!(matches!(tid, Err(Error::IsThread { pid, .. }) if pid == std::process::id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_kernel_thread_is_refused() {
        if std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n") {
            assert!(matches!(
                check(&view(), 2),
                Err(Error::KernelThread { pid: 2, .. })
            ));
        }
    }
}
