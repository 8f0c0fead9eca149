//! A process whose last thread has done nothing, and a later one with the same id.

use std::{fs, io::ErrorKind, ptr};

use anyhow::{Context as _, Result, bail};
use nix::{errno::Errno, libc, unistd::Pid};

use super::{read_all, reads};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic, comm,
    scene::mounts::Fs,
    stage::{buffer::Buffer, child},
    traffic::fault_anon::succeeded,
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-last",
    "a process that an idle thread ends, and a later one with its id",
    prepare,
)
.tag(TAG)];

const TAG: &str = "aw-last";
const FIRST: &str = "first";
const SECOND: &str = "second";
/// How many times the first one reads all of it; the second one does once.
const TIMES: u64 = 4;
/// The id that the kernel gave last.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
/// Others take ids too.
const TRIES: u32 = 20;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    if let Err(error) = fs::OpenOptions::new().write(true).open(LAST_PID) {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => {
                bail!(Skip("process ids cannot be chosen here".to_owned()))
            }
            _ => return Err(error).context(LAST_PID),
        }
    }
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let expected = Expected::new()
        .row(ExpectedRow::anything_else())
        .row(reads(bytes, chunk, TIMES).of(FIRST));
    let shared = arena.shared;
    let mut prepared = Prepared::new(expected, move || {
        let child = |role: &str, times: u64, end: fn() -> Result<()>| {
            let file = file.try_clone()?;
            let run = move || {
                read_all(&file, bytes, chunk, times)?;
                end()
            };
            child::start(comm(TAG, role), Box::new(run), 60, shared)
        };
        let first = child(FIRST, TIMES, leave_idle_thread)?;
        shared.set_descendant(first.as_raw().cast_unsigned());
        succeeded(first)?;
        for _ in 0..TRIES {
            fs::write(LAST_PID, (first.as_raw() - 1).to_string()).context(LAST_PID)?;
            let second: Pid = child(SECOND, 1, || Ok(()))?;
            succeeded(second)?;
            if second == first {
                return Ok(());
            }
        }
        bail!(Skip("others took the process id".to_owned()))
    });
    prepared.descendant = Some(FIRST);
    Ok(prepared)
}

/// Ends this thread, and leaves the end of the process to one that does nothing before: it does not even
/// fault, since its stack and its code have been used.
fn leave_idle_thread() -> Result<()> {
    const STACK: usize = 64 * 1024;
    const FLAGS: libc::c_int = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    wait();
    let stack = Buffer::filled(STACK)?;
    let stack = Box::leak(Box::new(stack));
    let top = stack.as_mut_ptr().wrapping_add(STACK).cast();
    // SAFETY: the stack is there until the process ends; the thread uses nothing else.
    let thread = unsafe { libc::clone(end_late, top, FLAGS, ptr::null_mut()) };
    Errno::result(thread).context("clone")?;
    // SAFETY: ends the thread.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    bail!("a thread lives on")
}

/// Until the other thread has ended.
fn wait() {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    let none = ptr::null_mut::<libc::timespec>();
    // SAFETY: sleeps.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, none) };
}

extern "C" fn end_late(_argument: *mut libc::c_void) -> libc::c_int {
    wait();
    // SAFETY: ends the process.
    unsafe { libc::syscall(libc::SYS_exit_group, 0) };
    0
}
