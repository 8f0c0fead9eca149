//! Which threads are traced: the map of tasks is the filter, and these tracepoints keep it right.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_probe_read_kernel_str_bytes,
};
use zctrace_common::{ABSENT, COMM_LEN, Proc, Scope, TASK_SLOTS, Task};

use crate::{
    account,
    kernel::{self, Access as _, Probed, Typed},
    maps::{FREE_PROCS, PROC_SLOTS, PROCS, TASK_OVERFLOW, TASK_TABLE, TASKS, offset, setting},
    probe::tp_btf,
    request::{self, Now},
};

const PF_KTHREAD: u32 = 0x0020_0000;
const PF_EXITING: u32 = 0x0000_0004;

/// The current thread's record, if it is traced.
#[inline(always)]
pub(crate) fn current() -> Option<&'static mut Task> {
    let tid = bpf_get_current_pid_tgid() as u32;
    if let Some(task) = find(tid) {
        task.runs += 1;
        return Some(task);
    }
    if setting!(scope) == Scope::System as u32 {
        return adopt(tid);
    }
    None
}

/// The record of a thread.
///
/// Every probe starts here, for every task of the machine, so this is an array and not a hash: a
/// thread whose slot is free or another's is told from a target in some ten instructions. Threads
/// that collide are in a hash; slots with such threads are marked.
#[inline(always)]
pub(crate) fn find(tid: u32) -> Option<&'static mut Task> {
    let slot = tid & (TASK_SLOTS - 1);
    let task = TASK_TABLE.get_ptr_mut(slot)?;
    // SAFETY: map values. Only programs of the thread use its record, and they do not nest.
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

/// The current thread's record, if there is one: for programs that every system call reaches.
#[inline(always)]
pub(crate) fn current_quietly() -> Option<&'static mut Task> {
    find(bpf_get_current_pid_tgid() as u32)
}

/// Whether the current thread is a target, or will be at its first operation. Changes nothing: for
/// programs that run where a map must not be written to.
#[inline(always)]
pub(crate) fn is_current() -> bool {
    let ids = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((ids >> 32) as u32, ids as u32);
    if find(tid).is_some() {
        return true;
    }
    setting!(scope) == Scope::System as u32 && tid != 0 && tgid != setting!(own_tgid)
}

/// `PF_*` of the current thread.
#[inline(always)]
fn current_flags() -> u32 {
    Typed::load(kernel::current_task(), offset!(task_flags))
}

/// Whether the current thread is the kernel's.
#[inline(always)]
pub(crate) fn is_kernel_thread() -> bool {
    current_flags() & PF_KTHREAD != 0
}

/// Takes the current thread into the target ([`Scope::System`]).
#[inline(never)]
fn adopt(tid: u32) -> Option<&'static mut Task> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // Thread 0 is the idle task of every CPU at once: not a thread with a record of its own.
    if tgid == setting!(own_tgid) || tid == 0 {
        return None;
    }
    let flags = current_flags();
    if flags & PF_EXITING != 0 {
        // Its end may have been seen: nothing would take it out again.
        return None;
    }
    let kthread = if flags & PF_KTHREAD != 0 {
        Task::KTHREAD
    } else {
        0
    };
    add(tid, Task::FRESH | kthread);
    find(tid)
}

/// What a new record starts from. In a map and not on the stack, which is small.
static NEW_TASK: Task = Task::NEW;

/// Makes a record. The thread is the current one or does not run yet; of one that was moved between
/// cgroups, at most one operation is taken for a first one.
#[inline(never)]
fn add(tid: u32, flags: u32) {
    const BPF_NOEXIST: u64 = 1;
    const EEXIST: i32 = 17;
    let slot = tid & (TASK_SLOTS - 1);
    let Some(task) = TASK_TABLE.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: map values.
    unsafe {
        let owner = claim(&raw mut (*task).tid, u64::from(tid));
        if owner == 0 {
            (*task).flags = flags;
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
                }
                Err(error) if error == -EEXIST => {}
                Err(_) => account::lost(),
            }
        }
    }
}

/// Puts `tid` where 0 is; returns what was there.
///
/// # Safety
/// `owner` points to an aligned field of a map value.
#[inline(always)]
pub(crate) unsafe fn claim(owner: *mut u64, tid: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut found = 0_u64;
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!(
                "r0 = cmpxchg_64({owner} + 0, r0, {tid})",
                owner = in(reg) owner,
                tid = in(reg) tid,
                inlateout("r0") found,
                options(nostack),
            );
        }
        found
    }
    // Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        // SAFETY: the caller's promise.
        let owner = unsafe { AtomicU64::from_ptr(owner) };
        match owner.compare_exchange(0, tid, Relaxed, Relaxed) {
            Ok(found) | Err(found) => found,
        }
    }
}

/// Takes a thread out. Its slot is free only when its record is clean again.
#[inline(never)]
fn remove(tid: u32) {
    let Some(task) = TASK_TABLE.get_ptr_mut(tid & (TASK_SLOTS - 1)) else {
        return;
    };
    // SAFETY: a map value; the thread is the current one.
    unsafe {
        if (*task).tid == u64::from(tid) && tid != 0 {
            clean(task);
            core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
            (&raw mut (*task).tid).write_volatile(0);
            return;
        }
    }
    let _ = TASKS.remove(tid);
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
    find_process(task)
}

#[inline(never)]
fn find_process(task: &mut Task) -> Option<u32> {
    const BPF_NOEXIST: u64 = 1;
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let current = kernel::current_task();
    let leader = kernel::pointer::<Typed>(current, offset!(task_group_leader));
    let start_ns: u64 = Typed::load(leader, offset!(task_start_boottime));
    if let Some(slot) = PROC_SLOTS.get_ptr(tgid) {
        // SAFETY: a map value.
        let slot = unsafe { *slot };
        let is_earlier = PROCS.get_ptr_mut(slot).is_some_and(|process| {
            // SAFETY: a map value. One that is being made has no id yet.
            unsafe { (*process).tgid == tgid && (*process).start_ns != start_ns }
        });
        if !is_earlier {
            task.proc_slot = slot;
            return Some(slot);
        }
        // Its end was missed, and its id is another one's.
        ended(tgid);
    }
    let Ok(Some(slot)) = FREE_PROCS.pop() else {
        account::lost();
        return None;
    };
    if PROC_SLOTS.insert(tgid, slot, BPF_NOEXIST).is_err() {
        // Another thread of the process was quicker, or the map is full.
        let _ = FREE_PROCS.push(slot, 0);
        let Some(theirs) = PROC_SLOTS.get_ptr(tgid) else {
            account::lost();
            return None;
        };
        // SAFETY: a map value.
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
        name(process, leader);
        // Last: the user side takes a process with an id of 0 for one that is being made.
        process.tgid = tgid;
    }
    task.proc_slot = slot;
    Some(slot)
}

/// A process has ended. Its slot, if it has one: its last thread need not have been traced.
#[inline(always)]
fn ended(tgid: u32) -> Option<&'static mut Proc> {
    let slot = PROC_SLOTS.get_ptr(tgid)?;
    // SAFETY: map values.
    let process = unsafe { &mut *PROCS.get_ptr_mut(*slot)? };
    if process.tgid != tgid {
        return None;
    }
    let _ = PROC_SLOTS.remove(tgid);
    process.flags |= Proc::EXITED;
    Some(process)
}

/// Takes the name of a process from its first thread: other threads often have names of their own.
#[inline(always)]
fn name(process: &mut Proc, leader: *const u8) {
    let comm = leader.wrapping_add(offset!(task_comm) as usize);
    // SAFETY: the helper writes at most the length of `comm` and checks the source.
    let _ = unsafe { bpf_probe_read_kernel_str_bytes(comm, &mut process.comm) };
}

/// Whether `task` (typed) is in the cgroup of [`Scope::Cgroup`] or below it.
#[inline(always)]
fn in_cgroup(task: *const u8) -> bool {
    if offset!(cgroup_ancestors) == ABSENT || offset!(cgroup_level) == ABSENT {
        return false;
    }
    let css_set = kernel::pointer::<Typed>(task, offset!(task_cgroups));
    let cgroup = kernel::pointer::<Typed>(css_set, offset!(css_set_dfl_cgrp));
    let wanted = setting!(cgroup_level);
    if Typed::load::<u32>(cgroup, offset!(cgroup_level)) < wanted {
        return false;
    }
    let ancestor = kernel::pointer::<Probed>(cgroup, offset!(cgroup_ancestors) + wanted * 8);
    let node = kernel::pointer::<Probed>(ancestor, offset!(cgroup_kn));
    Probed::load::<u64>(node, offset!(kernfs_node_id)) == setting!(cgroup)
}

#[inline(always)]
fn has_comm(comm: &[u8; COMM_LEN]) -> bool {
    let wanted = setting!(comm);
    let mut i = 0;
    while i < COMM_LEN {
        if comm[i] != wanted[i] {
            return false;
        }
        if comm[i] == 0 {
            return true;
        }
        i += 1;
    }
    true
}

#[inline(always)]
fn current_has_comm() -> bool {
    bpf_get_current_comm().is_ok_and(|comm| has_comm(&comm))
}

tp_btf! {
    /// Threads of a traced process are always traced, child processes if they are followed.
    task_fork(ctx) {
        let parent: *const u8 = ctx.arg(0);
        let child: *const u8 = ctx.arg(1);
        let parent_tid: u32 = Typed::load(parent, offset!(task_pid));
        let tid: u32 = Typed::load(child, offset!(task_pid));
        let thread = Typed::load::<u32>(child, offset!(task_tgid))
            == Typed::load::<u32>(parent, offset!(task_tgid));
        if find(parent_tid).is_some() {
            if thread || setting!(follow) != 0 {
                add(tid, 0);
            }
        } else if setting!(scope) == Scope::Cgroup as u32 && in_cgroup(child) {
            // clone3 can put a child of a stranger straight into a cgroup.
            add(tid, 0);
        }
    }
}

tp_btf! {
    /// Threads that io_uring makes for a process: they pass no `sched_process_fork`.
    task_newtask(ctx) {
        const PF_IO_WORKER: u32 = 0x10;
        let child: *const u8 = ctx.arg(0);
        if Typed::load::<u32>(child, offset!(task_flags)) & PF_IO_WORKER != 0
            && current_quietly().is_some()
        {
            add(Typed::load(child, offset!(task_pid)), 0);
        }
    }
}

tp_btf! {
    task_exec(ctx) {
        let task: *const u8 = ctx.arg(0);
        let old_tid: u32 = ctx.arg(1);
        let tid: u32 = Typed::load(task, offset!(task_pid));
        if old_tid != tid && let Some(old) = find(old_tid) {
            // A thread other than the first has called exec: it takes over the first one's id.
            add(tid, 0);
            if let Some(new) = find(tid) {
                new.proc_slot = old.proc_slot;
                new.runs = old.runs;
            }
            remove(old_tid);
        }
        if let Some(record) = find(tid) {
            if let Some(process) = PROCS.get_ptr_mut(record.proc_slot) {
                // SAFETY: a map value; a torn name is replaced at the next report.
                name(unsafe { &mut *process }, task);
            }
        } else if setting!(scope) == Scope::Comm as u32 && current_has_comm() {
            add(tid, 0);
        }
    }
}

tp_btf! {
    /// A thread that gives itself the name of `--comm`.
    task_renamed(ctx) {
        let task: *const u8 = ctx.arg(0);
        let new: *const u8 = ctx.arg(1);
        if setting!(scope) == Scope::Comm as u32 {
            let mut comm = [0_u8; COMM_LEN];
            // SAFETY: the helper writes at most the length of `comm` and checks the source.
            unsafe {
                let _ = bpf_probe_read_kernel_str_bytes(new, &mut comm);
            }
            let tid: u32 = Typed::load(task, offset!(task_pid));
            if has_comm(&comm) && tid == bpf_get_current_pid_tgid() as u32 {
                add(tid, 0);
            }
        }
    }
}

tp_btf! {
    /// A task that is moved into the cgroup of `--cgroup`.
    task_moved(ctx) {
        let task: *const u8 = ctx.arg(2);
        if setting!(scope) == Scope::Cgroup as u32 && in_cgroup(task) {
            add(Typed::load(task, offset!(task_pid)), Task::FRESH);
        }
    }
}

tp_btf! {
    task_exit(ctx) {
        let task: *const u8 = ctx.arg(0);
        let tid: u32 = Typed::load(task, offset!(task_pid));
        let tgid: u32 = Typed::load(task, offset!(task_tgid));
        if let Some(record) = find(tid) {
            account::left_behind(record);
            request::leave(record, Now::Later);
            let (slot, runs) = (record.proc_slot, record.runs);
            remove(tid);
            if slot != Task::NO_PROC
                && let Some(process) = PROCS.get_ptr_mut(slot)
                // SAFETY: a map value. Where threads end at the same time, the first may see the end of
                // the process, and its slot be another one's.
                && unsafe { (*process).tgid } == tgid
            {
                // SAFETY: as above.
                account::add(unsafe { &raw mut (*process).runs }, runs);
            }
        }
        let signal = kernel::pointer::<Typed>(task, offset!(task_signal));
        if Typed::load::<i32>(signal, offset!(signal_live)) == 0
            && let Some(process) = ended(tgid)
        {
            let leader = kernel::pointer::<Typed>(task, offset!(task_group_leader));
            name(process, leader);
        }
    }
}
