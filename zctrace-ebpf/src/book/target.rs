//! Which threads are traced: the table of tasks is the filter. `interface/lifecycle.rs` maintains it.

use core::ptr::NonNull;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel_str_bytes};
use zctrace_common::{Proc, Scope, TASK_SLOTS, Task};

use crate::base::{
    abi::{BPF_NOEXIST, EEXIST, PF_EXITING, PF_IO_WORKER, PF_KTHREAD, PF_USER_WORKER},
    atomic::set_if_zero,
    kernel::{self, Access as _, Typed},
    log,
    loss::lost,
    maps::{FREE_PROCS, PROC_SLOTS, PROCS, TASK_OVERFLOW, TASK_TABLE, TASKS, offset, setting},
};

/// The current thread's record, if it is traced.
///
/// Only programs that run in the thread change its record. A program does not interrupt another one of the same thread,
/// except in an interrupt, where only `request::complete` uses the record, for the cached row. So the caller has to
/// promise something about its own program only.
///
/// # Safety
/// The program uses no other reference to the record while it uses this one.
#[inline(always)]
pub(crate) unsafe fn current_or_adopt() -> Option<&'static mut Task> {
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: the caller's promise.
    if let Some(task) = unsafe { find(tid) } {
        task.runs += 1;
        return Some(task);
    }
    if setting!(scope) == Scope::System as u32 {
        // SAFETY: the caller's promise.
        return unsafe { adopt(tid) };
    }
    None
}

/// The record of a thread.
///
/// Every probe starts here, for every task of the machine. So this is an array and not a hash: it takes some ten
/// instructions to see that a thread's slot is free or belongs to another thread. Threads that collide are in a hash,
/// and slots with such threads are marked.
///
/// # Safety
/// As for [`current_or_adopt`]; the thread is the current one, or does not run.
#[inline(always)]
unsafe fn find(tid: u32) -> Option<&'static mut Task> {
    let slot = tid & (TASK_SLOTS - 1);
    let task = TASK_TABLE.get_ptr_mut(slot)?;
    // SAFETY: map values, which outlive the program; the caller has the only reference.
    unsafe {
        if (*task).tid == u64::from(tid) && tid != 0 {
            return Some(&mut *task);
        }
        if *TASK_OVERFLOW.get_ptr(slot)? == 0 {
            return None;
        }
        TASKS.get_ptr_mut(tid).map(|task| &mut *task)
    }
}

/// The record of a thread as a pointer: to ask whether it exists, or to dereference it when no reference to it is in
/// use.
#[inline(always)]
pub(crate) fn record(tid: u32) -> Option<NonNull<Task>> {
    // SAFETY: the reference ends here.
    unsafe { find(tid) }.map(NonNull::from)
}

/// The current thread's record, if there is one: for programs that every system call reaches.
///
/// # Safety
/// As for [`current_or_adopt`].
#[inline(always)]
pub(crate) unsafe fn current() -> Option<&'static mut Task> {
    // SAFETY: the caller's promise.
    unsafe { find(bpf_get_current_pid_tgid() as u32) }
}

/// The current thread's record, as a pointer.
#[inline(always)]
pub(crate) fn current_record() -> Option<NonNull<Task>> {
    record(bpf_get_current_pid_tgid() as u32)
}

/// Whether the current thread is a target, or will be at its first operation. It changes nothing, for programs that
/// must not write to a map.
#[inline(always)]
pub(crate) fn is_current() -> bool {
    let ids = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((ids >> 32) as u32, ids as u32);
    if record(tid).is_some() {
        return true;
    }
    setting!(scope) == Scope::System as u32 && tid != 0 && tgid != setting!(own_tgid)
}

/// `PF_*` of the current thread.
#[inline(always)]
fn current_flags() -> u32 {
    Typed::load(kernel::current_task(), offset!(task_flags))
}

/// Whether the current thread is a kernel thread.
#[inline(always)]
pub(crate) fn is_kernel_thread() -> bool {
    current_flags() & PF_KTHREAD != 0
}

/// Takes the current thread into the target ([`Scope::System`]).
///
/// # Safety
/// As for [`current_or_adopt`].
#[inline(never)]
unsafe fn adopt(tid: u32) -> Option<&'static mut Task> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // Thread 0 is the idle task of every CPU at once, so it cannot have a record of its own.
    if tgid == setting!(own_tgid) || tid == 0 {
        return None;
    }
    let flags = current_flags();
    if flags & PF_EXITING != 0 {
        // Its end may already have been seen, so nothing would take it out again.
        return None;
    }
    add(tid, Task::FRESH | kind(flags));
    // SAFETY: the caller's promise.
    unsafe { find(tid) }
}

/// What a thread with these `PF_*` is that is not a program's own: [`Task::KTHREAD`], [`Task::WORKER`] or 0.
#[inline(always)]
pub(crate) const fn kind(flags: u32) -> u32 {
    if flags & PF_KTHREAD != 0 {
        Task::KTHREAD
    } else if flags & PF_USER_WORKER != 0 && flags & PF_IO_WORKER == 0 {
        Task::WORKER
    } else {
        0
    }
}

/// The initial contents of a record. It is in a map because the stack is small.
static NEW_TASK: Task = Task::NEW;

/// Makes a record. The thread is the current one or does not run yet. For a thread that was moved between cgroups, at
/// most one operation is mistaken for a first one.
#[inline(never)]
pub(crate) fn add(tid: u32, flags: u32) {
    let slot = tid & (TASK_SLOTS - 1);
    let Some(task) = TASK_TABLE.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: map values. Only the thread that puts its id into a free record fills it.
    unsafe {
        let owner = set_if_zero(&raw mut (*task).tid, u64::from(tid));
        if owner == 0 {
            (*task).flags = flags;
            log::followed(tid);
        } else if owner != u64::from(tid) {
            if let Some(overflow) = TASK_OVERFLOW.get_ptr_mut(slot) {
                overflow.write_volatile(1);
            }
            let template: &Task = &NEW_TASK;
            match TASKS.insert(tid, template, BPF_NOEXIST) {
                Ok(()) => {
                    if let Some(task) = TASKS.get_ptr_mut(tid) {
                        (*task).tid = u64::from(tid);
                        (*task).flags = flags;
                    }
                    log::followed(tid);
                }
                Err(error) if error == -EEXIST => {}
                Err(_) => lost(),
            }
        }
    }
}

/// Takes a thread out. Its slot is free only when its record is clean again.
#[inline(never)]
pub(crate) fn remove(tid: u32) {
    let Some(task) = TASK_TABLE.get_ptr_mut(tid & (TASK_SLOTS - 1)) else {
        return;
    };
    // SAFETY: a map value; the thread is the current one.
    unsafe {
        if (*task).tid == u64::from(tid) && tid != 0 {
            clean(task);
            core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
            (&raw mut (*task).tid).write_volatile(0);
            log::left(tid);
            return;
        }
    }
    if TASKS.remove(tid).is_ok() {
        log::left(tid);
    }
}

/// Sets everything but the id to zero.
///
/// # Safety
/// `task` points to a map value of the current thread.
#[inline(always)]
unsafe fn clean(task: *mut Task) {
    const WORDS: usize = size_of::<Task>() / 8;
    let words = task.cast::<u64>();
    let mut i = core::mem::offset_of!(Task, tid) / 8 + 1;
    while i < WORDS {
        // SAFETY: within the record. Volatile: one store after the other, before the id.
        unsafe { words.add(i).write_volatile(0) };
        i += 1;
    }
}

/// The slot of the current thread's process, made if there is none.
#[inline(always)]
pub(crate) fn proc_slot(task: &mut Task) -> Option<u32> {
    if task.proc_slot != Task::NO_PROC {
        return Some(task.proc_slot);
    }
    find_or_make_process(task)
}

#[inline(never)]
fn find_or_make_process(task: &mut Task) -> Option<u32> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let current = kernel::current_task();
    let leader = kernel::pointer::<Typed>(current, offset!(task_group_leader));
    let start_ns: u64 = Typed::load(leader, offset!(task_start_boottime));
    if let Some(slot) = PROC_SLOTS.get_ptr(tgid) {
        // SAFETY: a map value, of which an aligned integer is read.
        let slot = unsafe { *slot };
        let is_earlier = PROCS.get_ptr_mut(slot).is_some_and(|process| {
            // SAFETY: a map value. One that is being made has no id yet.
            unsafe { (*process).tgid == tgid && (*process).start_ns != start_ns }
        });
        if !is_earlier {
            task.proc_slot = slot;
            return Some(slot);
        }
        // Its end was missed, and its id belongs to another process now.
        mark_exited(tgid);
    }
    let Ok(Some(slot)) = FREE_PROCS.pop() else {
        lost();
        return None;
    };
    if PROC_SLOTS.insert(tgid, slot, BPF_NOEXIST).is_err() {
        // Another thread of the process was quicker, or the map is full.
        let _ = FREE_PROCS.push(slot, 0);
        let Some(theirs) = PROC_SLOTS.get_ptr(tgid) else {
            lost();
            return None;
        };
        // SAFETY: a map value, of which an aligned integer is read.
        task.proc_slot = unsafe { *theirs };
        return Some(task.proc_slot);
    }
    if let Some(process) = PROCS.get_ptr_mut(slot) {
        // SAFETY: a map value; the slot was just taken.
        let process = unsafe { &mut *process };
        process.start_ns = start_ns;
        process.cgroup = kernel::current_cgroup();
        process.runs = 0;
        process.flags = if task.flags & Task::KTHREAD != 0 {
            Proc::KTHREAD
        } else {
            0
        };
        set_name(process, leader);
        // This comes last: to the user side, an id of 0 means that the process is still being made.
        process.tgid = tgid;
    }
    task.proc_slot = slot;
    Some(slot)
}

/// A process, if it has a slot. It may have ended: its end is then being noted.
#[inline(always)]
pub(crate) fn process(tgid: u32) -> Option<NonNull<Proc>> {
    // SAFETY: map values, of which aligned integers are read.
    unsafe {
        let process = PROCS.get_ptr_mut(*PROC_SLOTS.get_ptr(tgid)?)?;
        if (*process).tgid != tgid {
            return None;
        }
        NonNull::new(process)
    }
}

/// A process has ended. It may have no slot, because its last thread need not have been traced.
#[inline(always)]
pub(crate) fn mark_exited(tgid: u32) -> Option<*mut Proc> {
    let slot = PROC_SLOTS.get_ptr(tgid)?;
    // SAFETY: both are map values. Whoever changes the flags takes the process out of `PROC_SLOTS` first.
    unsafe {
        let process = PROCS.get_ptr_mut(*slot)?;
        if (*process).tgid != tgid {
            return None;
        }
        let _ = PROC_SLOTS.remove(tgid);
        (*process).flags |= Proc::EXITED;
        Some(process)
    }
}

/// Takes the name of a process from its first thread: other threads often have names of their own.
#[inline(always)]
pub(crate) fn set_name(process: &mut Proc, leader: *const u8) {
    let comm = leader.wrapping_add(offset!(task_comm) as usize);
    // SAFETY: the helper writes at most the length of `comm` and checks the source.
    let _ = unsafe { bpf_probe_read_kernel_str_bytes(comm, &mut process.comm) };
}
