//! Requests of `ioctl`: clones, userfaultfd, and what others read from files and write into them.

use zctrace_common::{ABSENT, Class, Object, ObjectKind, Op};

use crate::{
    base::{
        abi::{FICLONE, FICLONERANGE, FIDEDUPERANGE},
        kernel::{self, Access as _, Probed, Typed},
        maps::{offset, reports},
        syscalls,
    },
    book::object::{self, Ends, USERFAULTFD},
    interface::uffd,
    tracepoint::{
        fault::without_access,
        memory::user,
        plan::{
            BY_ACCOUNT, FIRST_BLOCK_OPEN, IN_ARGUMENT, argument, entered, pins, plan, remember,
            user_u32,
        },
    },
};

/// A request of userfaultfd, on such a file.
#[inline(always)]
fn userfault(regs: *const u8, op: Op, class: Class) {
    if !reports(Op::UffdCopy as u16) || offset!(file_dentry) == ABSENT {
        return;
    }
    let Some(task) = entered() else { return };
    let file = object::file_of_fd(argument(regs, offset!(regs_arg0)) as u32);
    let dentry = kernel::pointer::<Probed>(file, offset!(file_dentry));
    let name = kernel::pointer::<Probed>(dentry, offset!(dentry_name));
    if Probed::load::<[u8; 8]>(name, 0) != *b"[userfau" {
        return;
    }
    remember(task, &Ends::of(USERFAULTFD), plan(op, class) | IN_ARGUMENT);
}

/// `FICLONE` and similar requests. Their result is not a length: that comes from the arguments at the exit.
#[inline(always)]
pub(super) fn ioctl(regs: *const u8) {
    let request = argument(regs, offset!(regs_arg1));
    if let Some((op, class)) = uffd::operation(request) {
        userfault(regs, op, class);
        return;
    }
    if !matches!(request, FICLONE | FICLONERANGE | FIDEDUPERANGE) {
        other_ioctl(request);
        return;
    }
    if !reports(Op::Clone as u16) {
        return;
    }
    let Some(task) = entered() else { return };
    let own = object::file_of_fd(argument(regs, offset!(regs_arg0)) as u32);
    let third = argument(regs, offset!(regs_arg2));
    let other_fd = match request {
        FICLONE => third,
        FICLONERANGE => user(third),
        // The first destination; the others are assumed to be of the same kind.
        _ => user(third + DEDUPE_HEADER),
    };
    let other = object::file_of_fd(other_fd as u32);
    if own.is_null() || other.is_null() {
        return;
    }
    let (source, sink) = if request == FIDEDUPERANGE {
        (own, other)
    } else {
        (other, own)
    };
    let ends = Ends::files::<Probed>(task, source, sink);
    let first = if object::may_be_inline::<Probed>(source) {
        FIRST_BLOCK_OPEN
    } else {
        0
    };
    remember(task, &ends, plan(Op::Clone, Class::Cloned) | first);
    // The length of the source, for the requests that mean "to its end".
    let inode = kernel::pointer::<Probed>(source, offset!(file_inode));
    task.rest = Probed::load(inode, offset!(inode_size));
}

/// A request that is no operation can read and write files all the same: `BTRFS_IOC_SEND` writes its stream. How often
/// these bytes are copied is not known.
#[inline(always)]
fn other_ioctl(request: u64) {
    /// It runs a virtual machine, whose first use of its memory is a fault without an access.
    const KVM_RUN: u32 = 0xae80;
    if !reports(Op::Other as u16) || offset!(task_rchar) == ABSENT {
        return;
    }
    let Some(task) = entered() else { return };
    let object = Object::pack(ObjectKind::Syscall, syscalls::IOCTL as u64);
    let pins = if request as u32 == KVM_RUN { 0 } else { pins() };
    if pins != 0 {
        task.fault_filled = without_access(task);
    }
    remember(
        task,
        &Ends::of(object),
        plan(Op::Other, Class::Unexplained) | BY_ACCOUNT | pins,
    );
    task.rest = account_of_thread();
}

/// The bytes that read and write calls of the current thread have moved so far, those within the kernel among them
/// (`add_rchar` and `add_wchar` in `kernel_read` and `kernel_write`).
#[inline(always)]
pub(super) fn account_of_thread() -> u64 {
    let task = kernel::current_task();
    let read: u64 = Typed::load(task, offset!(task_rchar));
    let written: u64 = Typed::load(task, offset!(task_wchar));
    read.wrapping_add(written)
}

/// Size of `struct file_dedupe_range` without its destinations.
const DEDUPE_HEADER: u64 = 24;

/// How many destinations a successful call had, and how a single destination failed. With several destinations, the row
/// cannot keep an errno for each.
#[inline(always)]
pub(super) fn deduped(regs: *const u8) -> (u64, u64) {
    /// `FILE_DEDUPE_RANGE_DIFFERS`, which is `-EBADE` before it is reported.
    const DIFFERS: i32 = 1;
    const EBADE: u64 = 52;
    /// `struct file_dedupe_range_info.status` of the first destination.
    const STATUS: u64 = DEDUPE_HEADER + 24;
    if argument(regs, offset!(regs_arg1)) != FIDEDUPERANGE {
        return (1, 0);
    }
    let third = argument(regs, offset!(regs_arg2));
    let count = user(third + 16) & 0xffff;
    let status = user_u32(third + STATUS) as i32;
    let errno = if count != 1 {
        0
    } else if status == DIFFERS {
        EBADE
    } else {
        u64::from(status.min(0).unsigned_abs())
    };
    (count, errno)
}

/// Where in its source a `FICLONE`, `FICLONERANGE` or `FIDEDUPERANGE` begins.
#[inline(always)]
pub(super) fn clones_from(regs: *const u8) -> u64 {
    let third = argument(regs, offset!(regs_arg2));
    match argument(regs, offset!(regs_arg1)) {
        FICLONE => 0,
        FICLONERANGE => user(third + 8),
        _ => user(third),
    }
}

/// The bytes that a successful `FICLONE`, `FICLONERANGE` or `FIDEDUPERANGE` shared. `size` is the
/// length of the source.
#[inline(always)]
pub(super) fn cloned(size: u64, regs: *const u8) -> u64 {
    let third = argument(regs, offset!(regs_arg2));
    match argument(regs, offset!(regs_arg1)) {
        FICLONE => size,
        FICLONERANGE => {
            let (start, length) = (user(third + 8), user(third + 16));
            if length == 0 {
                size.saturating_sub(start)
            } else {
                length
            }
        }
        _ => {
            let count = user(third + 16) & 0xffff;
            let mut sum = 0;
            let mut i = 0;
            while i < 16 {
                // struct file_dedupe_range_info: fd, offset, bytes_deduped, status, reserved.
                if i < count {
                    sum += user(third + DEDUPE_HEADER + i * 32 + 16);
                }
                i += 1;
            }
            sum
        }
    }
}
