//! From accumulators to rows.

use core::ptr::NonNull;

use zctrace_common::{
    Acc, Class, Evidence, Object, ObjectKind, Op, Request, StackKind, Task, take_usual,
};

use crate::{
    base::{
        atomic::{add, add_nonzero},
        global::global,
        kernel, syscalls, words,
    },
    book::{
        object::{self, Ends},
        request, row,
        settle::{self, Shape},
        stacks, target,
    },
};

/// A site saw `bytes` in the current thread. Programs that look up its record themselves call [`saw_in`] instead.
#[inline(always)]
pub(crate) fn saw(acc: Acc, bytes: u64) {
    // SAFETY: the caller has no reference to the record, and this one ends here.
    if let Some(task) = unsafe { target::current_or_adopt() } {
        saw_in(task, acc, bytes);
    }
}

/// A site whose function returns the number of bytes, or an error.
#[inline(always)]
pub(crate) fn saw_result(acc: Acc, result: i64) {
    if result > 0 {
        saw(acc, result as u64);
    }
}

/// A site saw `bytes` in the thread of `task`. Returns the request that the thread works on.
#[inline(always)]
pub(crate) fn saw_in(task: &mut Task, acc: Acc, bytes: u64) -> Option<NonNull<Request>> {
    #[cfg(bpf_target_arch = "aarch64")]
    if crate::base::maps::setting!(audited) != 0
        && let Some(sightings) = crate::base::maps::SIGHTINGS.get_ptr_mut(0)
    {
        // SAFETY: a map value of this CPU. A count that preemption loses makes a hit count twice, at worst.
        unsafe { *sightings += 1 };
    }
    // SAFETY: what looks up the request of a thread calls no site's program afterwards. The reference ends
    // here: a pointer is returned.
    let request = unsafe { request::current(task) };
    let acc = match request {
        Some(_) => request::of_user(task, acc),
        None => acc,
    };
    match acc {
        Acc::ToUser => stacks::copied(task, StackKind::ToUser, bytes),
        Acc::FromUser => stacks::copied(task, StackKind::FromUser, bytes),
        Acc::SourceCopy | Acc::SinkCopy => stacks::copied(task, StackKind::InKernel, bytes),
        _ => {}
    }
    if let Some(request) = request {
        request::saw(request, acc, bytes);
        return Some(NonNull::from(request));
    }
    if task.flags & (Task::KTHREAD | Task::WORKER) != 0 {
        outside_calls(task, acc, bytes, 1);
        return None;
    }
    enter(task, kernel::current_nr());
    task.acc[acc as usize] += bytes;
    task.filled |= 1 << acc as u32;
    None
}

/// What the sites have seen of one kind in the thread's operation.
#[inline(always)]
pub(crate) fn seen(task: &mut Task, acc: Acc) -> u64 {
    // SAFETY: the reference ends here.
    if let Some(request) = unsafe { request::current(task) } {
        return request.acc[acc as usize];
    }
    enter(task, kernel::current_nr());
    task.acc[acc as usize]
}

/// Forgets what the sites have seen of one kind, because an outer function knows better.
#[inline(always)]
pub(crate) fn forget(task: &mut Task, acc: Acc) {
    // SAFETY: the reference ends here.
    if let Some(request) = unsafe { request::current(task) } {
        request.acc[acc as usize] = 0;
        return;
    }
    enter(task, kernel::current_nr());
    task.acc[acc as usize] = 0;
}

/// Forgets so many bytes at most of what the sites have seen of one kind.
#[inline(always)]
pub(crate) fn forget_some(task: &mut Task, acc: Acc, bytes: u64) {
    // SAFETY: the reference ends here.
    if let Some(request) = unsafe { request::current(task) } {
        let seen = &mut request.acc[acc as usize];
        *seen = seen.saturating_sub(bytes);
        return;
    }
    enter(task, kernel::current_nr());
    let seen = &mut task.acc[acc as usize];
    *seen = seen.saturating_sub(bytes);
}

/// What entered the page cache in the thread's operation, once everything else that sites saw is taken.
#[inline(always)]
pub(crate) fn take_added(task: &mut Task) -> u64 {
    if task.filled == 0 {
        return 0;
    }
    task.filled = 0;
    let added = task.acc[Acc::Added as usize];
    task.acc[Acc::Added as usize] = 0;
    added
}

/// Starts the accumulators for system call `nr`. What another call left there belongs to no operation.
#[inline(always)]
pub(crate) fn enter(task: &mut Task, nr: i32) {
    if task.nr != nr {
        left_behind(task);
        task.nr = nr;
        clear(task);
    }
}

/// The kinds of copies that sites see.
const COPIES: u32 = 1 << Acc::ToUser as u32
    | 1 << Acc::FromUser as u32
    | 1 << Acc::SourceCopy as u32
    | 1 << Acc::SinkCopy as u32;

/// Copies in a call that is not an operation (an `ioctl` that writes into a pipe) are still somebody's bytes. They get
/// a row that is named after the call. So does what entered the page cache there (`readahead`).
#[inline(always)]
pub(crate) fn left_behind(task: &mut Task) {
    const ADDED: u32 = 1 << Acc::Added as u32;
    if task.filled & (COPIES | ADDED) != 0 {
        book_other(task);
    }
}

/// Whether sites saw copies that belong to no operation so far.
#[inline(always)]
pub(crate) const fn has_copied(task: &Task) -> bool {
    task.filled & COPIES != 0
}

global! {
    /// Only called when accumulators that no interface has settled are discarded.
    fn book_other(task: *mut Task) -> u32 {
        // SAFETY: the only caller passes its own `&mut Task` and does not use it until this returns.
        let Some(task) = (unsafe { task.as_mut() }) else {
            return 0;
        };
        if !syscalls::is_other(task.nr) {
            return 0;
        }
        let to_user = task.acc[Acc::ToUser as usize];
        let from_user = task.acc[Acc::FromUser as usize];
        let (source, sink) = (
            task.acc[Acc::SourceCopy as usize],
            task.acc[Acc::SinkCopy as usize],
        );
        let added = task.acc[Acc::Added as usize];
        let copies = to_user + from_user + source + sink;
        if copies + added == 0 {
            return 0;
        }
        // Bytes that were copied on both legs are assumed to be the same.
        let in_kernel = if source > sink { source } else { sink };
        let ends = Ends::of(Object::pack(ObjectKind::Syscall, u64::from(task.nr as u32)));
        if let Some(row) = row::row(task, Op::Other as u16, Evidence::Measured, &ends) {
            // SAFETY: counters of a map value, which are only added to, atomically.
            unsafe {
                add_nonzero(&raw mut (*row).ops, u64::from(copies != 0));
                add_nonzero(&raw mut (*row).moved, to_user + from_user + in_kernel);
                add_nonzero(&raw mut (*row).class[Class::CopiedToUser as usize], to_user);
                add_nonzero(&raw mut (*row).class[Class::CopiedFromUser as usize], from_user);
                add_nonzero(&raw mut (*row).class[Class::CopiedInKernel as usize], in_kernel);
                add_nonzero(&raw mut (*row).recopied, source + sink - in_kernel);
                add_nonzero(&raw mut (*row).filled, added);
            }
        }
        0
    }
}

/// overlayfs has copied up a file of a lower layer, because it was opened for writing or changed. These are copies with
/// nothing moved. Within an operation they belong to it.
pub(crate) fn copied_up(task: &mut Task) {
    enter(task, kernel::current_nr());
    let source = task.acc[Acc::SourceCopy as usize];
    let sink = task.acc[Acc::SinkCopy as usize];
    if source + sink == 0 || request::is_working(task) || !syscalls::is_other(task.nr) {
        return;
    }
    task.acc[Acc::SourceCopy as usize] = 0;
    task.acc[Acc::SinkCopy as usize] = 0;
    let ends = Ends::of(Object::pack(ObjectKind::Overlay, 0));
    if let Some(row) = row::row(task, Op::CopyUp as u16, Evidence::Measured, &ends) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe {
            add(&raw mut (*row).ops, 1);
            add(&raw mut (*row).recopied, source + sink);
        }
    }
}

#[inline(always)]
pub(crate) fn clear(task: &mut Task) {
    if task.filled != 0 {
        task.filled = 0;
        task.acc = words::nothing_seen();
    }
}

/// Copies by a kernel thread belong to no operation and are counted as `unattributed`, and so does what it puts into the
/// page cache. Those by a thread that works for a process belong to that. `ops` is how many copies they are.
#[inline(never)]
pub(crate) fn outside_calls(task: &mut Task, acc: Acc, bytes: u64, ops: u64) {
    let (op, ends) = if task.flags & Task::WORKER == 0 {
        (Op::Kernel as u16, Ends::of(object::UNKNOWN))
    } else {
        (Op::Other as u16, Ends::of(Object::WORKER))
    };
    if matches!(acc, Acc::Added) {
        if let Some(row) = row::row(task, op, Evidence::Measured, &ends) {
            // SAFETY: counters of a map value, which are only added to, atomically.
            unsafe { add(&raw mut (*row).filled, bytes) };
        }
        return;
    }
    let class = match acc {
        Acc::ToUser => Class::CopiedToUser,
        Acc::FromUser => Class::CopiedFromUser,
        Acc::SourceCopy | Acc::SinkCopy => Class::CopiedInKernel,
        _ => return,
    };
    if let Some(row) = row::row(task, op, Evidence::Measured, &ends) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe {
            add(&raw mut (*row).ops, ops);
            add(&raw mut (*row).moved, bytes);
            add(&raw mut (*row).class[class as usize], bytes);
        }
    }
}

/// An operation of the current thread ended: `result` is what its interface returned.
#[inline(always)]
pub(crate) fn finish(task: &mut Task, op: Op, shape: Shape, ends: &Ends, result: i64) {
    enter(task, kernel::current_nr());
    conclude(task, op, shape, ends, result);
}

/// The same, if the accumulators are known to belong to this operation.
#[inline(always)]
pub(crate) fn conclude(task: &mut Task, op: Op, shape: Shape, ends: &Ends, result: i64) {
    if let Some(class) = take_usual(task, shape, result) {
        let added = take_added(task);
        if let Some(row) =
            row::sized_row(task, op as u16, Evidence::Measured, ends, 1, result as u64)
        {
            // SAFETY: counters of a map value, which are only added to, atomically.
            unsafe {
                add(&raw mut (*row).ops, 1);
                add(&raw mut (*row).moved, result as u64);
                add(&raw mut (*row).class[class as usize], result as u64);
                add_nonzero(&raw mut (*row).filled, added);
            }
        }
        return;
    }
    settle::settle(task, shape, result);
    row::record(task, op as u16, ends);
}
