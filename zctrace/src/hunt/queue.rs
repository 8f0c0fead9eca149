//! Message queues: one message into a new one, and out of it.

use anyhow::Result;
use nix::{errno::Errno, libc};

use super::operation::{Operation, Queue};

/// The longest message that both kinds take unless they are told otherwise.
const LONGEST: usize = 8192;

/// Sends once and receives twice, where the second time there is nothing left unless the first one
/// failed. What is received has as much room as files have bytes.
pub(super) fn pass(
    kind: Queue,
    flags: libc::c_int,
    memory: *mut u8,
    operation: &Operation,
) -> Result<()> {
    let (length, room) = (operation.length, operation.make.bytes);
    match kind {
        Queue::Posix => posix(memory, length, room),
        Queue::SystemV => system_v(memory, length, room, flags),
    }
}

fn posix(memory: *mut u8, length: usize, room: usize) -> Result<()> {
    const NAME: &std::ffi::CStr = c"/zctrace-hunt";
    // SAFETY: integers, for which zero is fine.
    let mut limits: libc::mq_attr = unsafe { std::mem::zeroed() };
    limits.mq_maxmsg = 2;
    limits.mq_msgsize = LONGEST as _;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let memory: *mut libc::c_char = memory.cast();
    // SAFETY: the name and the limits outlive the calls, and the memory has room for every length
    // that is drawn.
    unsafe {
        let limits = &raw mut limits;
        let queue = Errno::result(libc::mq_open(NAME.as_ptr(), flags, 0o600, limits))?;
        libc::mq_unlink(NAME.as_ptr());
        libc::mq_send(queue, memory, length, 1);
        for _ in 0..2 {
            libc::mq_receive(queue, memory, room, std::ptr::null_mut());
        }
        libc::mq_close(queue);
    }
    Ok(())
}

fn system_v(memory: *mut u8, length: usize, room: usize, flags: libc::c_int) -> Result<()> {
    let flags = flags | libc::IPC_NOWAIT;
    // SAFETY: the memory has room for every length that is drawn, and for the head.
    unsafe {
        let queue = Errno::result(libc::msgget(libc::IPC_PRIVATE, 0o600))?;
        memory.cast::<libc::c_long>().write_unaligned(1);
        libc::msgsnd(queue, memory.cast(), length, libc::IPC_NOWAIT);
        for _ in 0..2 {
            libc::msgrcv(queue, memory.cast(), room, 0, flags);
        }
        libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut());
    }
    Ok(())
}
