//! Twins: what makes counting exact on kernels with preemption.
//!
//! A tracing program does not run while the same program is running on the same CPU
//! (`__bpf_prog_enter_recur`, `__bpf_trace_run`): that is to stop recursion, but it also happens
//! when a task is preempted within the program and the next one gets there. So on such kernels each
//! program is attached twice. The two run one after the other; the first leaves a mark in the
//! thread's record, and the second works only where the mark is missing. An event is lost only if
//! both are skipped.

use zctrace_common::Scope;

use crate::{maps::setting, target};

/// A number for a program: FNV-1a of its name.
pub(crate) const fn id(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

/// Notes that the first of a pair has seen the event.
#[inline(always)]
pub(crate) fn done(id: u32) {
    if setting!(twins) != 0
        && let Some(task) = target::current_quietly()
    {
        task.done = id;
    }
}

/// Whether the second of a pair is to see the event.
#[inline(always)]
pub(crate) fn is_needed(id: u32) -> bool {
    let Some(task) = target::current_quietly() else {
        return setting!(scope) != Scope::Tasks as u32;
    };
    if task.done == id {
        task.done = 0;
        return false;
    }
    true
}
