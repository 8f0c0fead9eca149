//! Whether the kernel steps over a breakpoint with a BPF program on it.
//!
//! On arm64 a breakpoint stays in the way of its instruction until the kernel has stepped over it. Kernels without
//! d11a69873d9a (Linux 6.6, and some updates of older ones) do this only for events without a program: a processor
//! that meets a breakpoint with one meets it again for ever. A breakpoint on the kernel's own code would stop the
//! machine. So one is tried on code of a process that can be killed.

use std::{
    hint::black_box,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use aya_obj::generated::perf_event_attr;
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork, pipe, read, write},
};

/// How long the process may take that meets a breakpoint. A process that loops never ends.
const LIMIT: Duration = Duration::from_secs(5);

/// How often it meets it.
const TIMES: u64 = 3;

// include/uapi/linux/perf_event.h, include/uapi/linux/hw_breakpoint.h
const PERF_TYPE_BREAKPOINT: u32 = 5;
const HW_BREAKPOINT_X: u32 = 4;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// What became of the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steps {
    /// The process went on behind the breakpoint.
    Over,
    /// It did not in time.
    Never,
    /// It went on, but did not meet the breakpoint each time.
    Unmet,
}

/// Tries a breakpoint with this loaded program of the kind `perf_event`.
pub(super) fn try_out(program: BorrowedFd<'_>) -> io::Result<Steps> {
    let (wait, go) = pipe()?;
    // SAFETY: the child makes system calls and does not allocate.
    let child = match unsafe { fork() }? {
        ForkResult::Child => {
            drop(go);
            // Nothing is read if the parent gives up.
            if read(&wait, &mut [0]) == Ok(1) {
                for _ in 0..TIMES {
                    stepped();
                }
            }
            // SAFETY: ends the process, and nothing else.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => Child(child),
    };
    drop(wait);
    let event = open(child.0)?;
    control(&event, PERF_EVENT_IOC_SET_BPF, program.as_raw_fd())?;
    control(&event, PERF_EVENT_IOC_ENABLE, 0)?;
    write(&go, &[1])?;
    if !child.ends()? {
        return Ok(Steps::Never);
    }
    let mut met = [0; 8];
    read(&event, &mut met)?;
    Ok(if u64::from_ne_bytes(met) >= TIMES {
        Steps::Over
    } else {
        Steps::Unmet
    })
}

/// Where the breakpoint is. It must be a function, with an address of its own.
#[inline(never)]
extern "C" fn stepped() {
    black_box(0);
}

/// A child that does not outlive the one who holds it.
struct Child(Pid);

impl Child {
    /// Whether it ends in time.
    fn ends(&self) -> io::Result<bool> {
        let begin = Instant::now();
        // Left to `drop`, which waits for it.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            let id = nix::sys::wait::Id::Pid(self.0);
            match nix::sys::wait::waitid(id, flags)? {
                WaitStatus::StillAlive if begin.elapsed() < LIMIT => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                status => return Ok(status != WaitStatus::StillAlive),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// A breakpoint on [`stepped`] in a process, which does nothing yet.
fn open(process: Pid) -> io::Result<OwnedFd> {
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    // SAFETY: a plain C struct for which all zeros are a value.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<perf_event_attr>() as u32;
    attr.type_ = PERF_TYPE_BREAKPOINT;
    attr.__bindgen_anon_1.sample_period = 1;
    attr.__bindgen_anon_2.wakeup_events = 1;
    attr.bp_type = HW_BREAKPOINT_X;
    attr.__bindgen_anon_3.bp_addr = stepped as extern "C" fn() as usize as u64;
    attr.__bindgen_anon_4.bp_len = size_of::<libc::c_long>() as u64;
    attr.set_disabled(1);
    attr.set_exclude_kernel(1);
    attr.set_exclude_hv(1);
    // SAFETY: `attr` lives until the call is over.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            process.as_raw(),
            -1,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn control(event: &OwnedFd, request: libc::c_ulong, argument: i32) -> io::Result<()> {
    // SAFETY: both requests take a number.
    if unsafe { libc::ioctl(event.as_raw_fd(), request as _, argument) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
