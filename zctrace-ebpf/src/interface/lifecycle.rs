//! Births, ends, names and cgroups of threads: this maintains the table of the target.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_probe_read_kernel_str_bytes,
};
use zctrace_common::{ABSENT, COMM_LEN, COUNTS_FAULTS, Op, Scope, Task};

use crate::{
    base::{
        abi::{PF_IO_WORKER, PF_USER_WORKER},
        atomic,
        kernel::{self, Access as _, Probed, Typed},
        loss::unfollowed_ring,
        maps::{PROCS, offset, reports, setting},
    },
    book::{
        account,
        object::{self, Ends},
        probe::program,
        region,
        request::{self, Now},
        row,
        target::{self, add, current_record, kind, mark_exited, process, record, remove, set_name},
    },
    site::vhost,
};

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

/// Of pages that are pinned for long, such as registered buffers of io_uring, the kernel copies those for the child of a
/// fork that are anonymous and private (`copy_present_page`). Where nothing sees that, each of them may have been.
#[inline(always)]
fn pinned_at_fork(child: *const u8) {
    if !reports(COUNTS_FAULTS as u16) || offset!(mm_pinned) == ABSENT {
        return;
    }
    let memory = kernel::pointer::<Typed>(kernel::current_task(), offset!(task_mm));
    let of_child = kernel::pointer::<Typed>(child, offset!(task_mm));
    let pinned: u64 = Probed::load(memory, offset!(mm_pinned));
    if memory == of_child || pinned == 0 {
        return;
    }
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current() } {
        let ends = Ends::of(object::UNKNOWN);
        row::record_occurrences(task, Op::FaultWrite as u16, &ends, pinned);
    }
}

program! {
    /// Threads of a traced process are always traced, child processes if they are followed.
    tp_btf marked task_fork(ctx) {
        let parent: *const u8 = ctx.arg(0);
        let child: *const u8 = ctx.arg(1);
        let parent_tid: u32 = Typed::load(parent, offset!(task_pid));
        let tid: u32 = Typed::load(child, offset!(task_pid));
        let thread = Typed::load::<u32>(child, offset!(task_tgid))
            == Typed::load::<u32>(parent, offset!(task_tgid));
        if record(parent_tid).is_some() {
            if thread || setting!(follow) != 0 {
                add(tid, 0);
                if region::are_marked() {
                    region::follow(parent, child);
                }
            }
            if !thread {
                pinned_at_fork(child);
            }
        } else if setting!(scope) == Scope::Cgroup as u32 && in_cgroup(child) {
            // clone3 can put a child of another process directly into a cgroup.
            add(tid, 0);
        }
    }
}

program! {
    /// Threads that io_uring and vhost make for a process: they pass no `sched_process_fork`.
    tp_btf marked task_newtask(ctx) {
        let child: *const u8 = ctx.arg(0);
        let flags: u32 = Typed::load(child, offset!(task_flags));
        if flags & (PF_IO_WORKER | PF_USER_WORKER) == 0 {
            return 0;
        }
        let kind = kind(flags);
        let is_ours = current_record().is_some();
        if kind & Task::WORKER != 0
            && (is_ours || setting!(scope) == Scope::System as u32)
            && vhost::makes_unseen_worker()
        {
            unfollowed_ring();
        }
        if is_ours {
            add(Typed::load(child, offset!(task_pid)), kind);
        }
    }
}

program! {
    tp_btf marked task_exec(ctx) {
        let task: *const u8 = ctx.arg(0);
        let old_tid: u32 = ctx.arg(1);
        let tid: u32 = Typed::load(task, offset!(task_pid));
        if old_tid != tid && let Some(old) = record(old_tid) {
            // A thread other than the first has called exec, so it takes over the id of the first.
            add(tid, 0);
            if let Some(new) = record(tid) {
                // SAFETY: map values, both of this thread: the first one has ended.
                unsafe {
                    (*new.as_ptr()).proc_slot = (*old.as_ptr()).proc_slot;
                    (*new.as_ptr()).runs = (*old.as_ptr()).runs;
                }
            }
            remove(old_tid);
            if region::are_marked() {
                region::renumber(old_tid, tid);
            }
        }
        if let Some(record) = record(tid) {
            // SAFETY: a map value, of which an aligned integer is read.
            if let Some(process) = PROCS.get_ptr_mut(unsafe { (*record.as_ptr()).proc_slot }) {
                // SAFETY: a map value; a torn name is replaced at the next report.
                set_name(unsafe { &mut *process }, task);
            }
        } else if setting!(scope) == Scope::Comm as u32 && current_has_comm() {
            add(tid, 0);
        }
    }
}

program! {
    /// A thread that gets another name: the first one's is that of its process, which may be that of `--comm` then.
    tp_btf marked task_renamed(ctx) {
        let task: *const u8 = ctx.arg(0);
        let new: *const u8 = ctx.arg(1);
        let tgid: u32 = Typed::load(task, offset!(task_tgid));
        if Typed::load::<u32>(task, offset!(task_pid)) == tgid
            && let Some(process) = process(tgid)
        {
            // SAFETY: a map value; a torn name is replaced at the next report. The helper writes at most the length of
            // `comm` and checks the source.
            unsafe {
                let _ = bpf_probe_read_kernel_str_bytes(new, &mut (*process.as_ptr()).comm);
            }
        }
        if setting!(scope) == Scope::Comm as u32 {
            let mut comm = [0_u8; COMM_LEN];
            // SAFETY: the helper writes at most the length of `comm` and checks the source.
            unsafe {
                let _ = bpf_probe_read_kernel_str_bytes(new, &mut comm);
            }
            let tid: u32 = Typed::load(task, offset!(task_pid));
            if has_comm(&comm) && tid == tgid && tid == bpf_get_current_pid_tgid() as u32 {
                add(tid, 0);
            }
        }
    }
}

program! {
    /// A task that is moved to another cgroup, maybe into that of `--cgroup`.
    tp_btf marked task_moved(ctx) {
        let task: *const u8 = ctx.arg(2);
        let tgid: u32 = Typed::load(task, offset!(task_tgid));
        if Typed::load::<u32>(task, offset!(task_pid)) == tgid
            && let Some(process) = process(tgid)
        {
            let css_set = kernel::pointer::<Typed>(task, offset!(task_cgroups));
            let cgroup = kernel::pointer::<Typed>(css_set, offset!(css_set_dfl_cgrp));
            let node = kernel::pointer::<Probed>(cgroup, offset!(cgroup_kn));
            let id = Probed::load(node, offset!(kernfs_node_id));
            // SAFETY: an aligned field of a map value.
            unsafe { (*process.as_ptr()).cgroup = id };
        }
        if setting!(scope) == Scope::Cgroup as u32 && in_cgroup(task) {
            add(Typed::load(task, offset!(task_pid)), Task::FRESH);
        }
    }
}

program! {
    tp_btf marked task_exit(ctx) {
        let task: *const u8 = ctx.arg(0);
        let tid: u32 = Typed::load(task, offset!(task_pid));
        let tgid: u32 = Typed::load(task, offset!(task_tgid));
        if let Some(mut record) = record(tid) {
            // SAFETY: a map value of the current thread, which ends. Nothing else in this program refers
            // to it.
            let record = unsafe { record.as_mut() };
            account::left_behind(record);
            request::leave(record, Now::Later);
            let (slot, runs) = (record.proc_slot, record.runs);
            remove(tid);
            if region::are_marked() {
                region::leave(u64::from(tid));
            }
            if slot != Task::NO_PROC
                && let Some(process) = PROCS.get_ptr_mut(slot)
                // SAFETY: a map value. Where threads end at the same time, the first may see the end of
                // the process, and its slot be another one's.
                && unsafe { (*process).tgid } == tgid
            {
                // SAFETY: the field of a map value, which is changed by atomic addition only.
                unsafe { atomic::add(&raw mut (*process).runs, runs) };
            }
        }
        let signal = kernel::pointer::<Typed>(task, offset!(task_signal));
        if Typed::load::<i32>(signal, offset!(signal_live)) != 0 {
            return 0;
        }
        if region::are_marked() {
            region::leave(region::of_process(tgid));
        }
        if let Some(process) = mark_exited(tgid) {
            let leader = kernel::pointer::<Typed>(task, offset!(task_group_leader));
            // SAFETY: a map value; the process has been taken out of the table, so nobody else names it.
            set_name(unsafe { &mut *process }, leader);
        }
    }
}
