//! Twins: what makes counting exact on kernels with preemption.
//!
//! A tracing program does not run while the same program is running on the same CPU (`__bpf_prog_enter_recur`,
//! `__bpf_trace_run`). This prevents recursion, but it also happens when a task is preempted within the program and the
//! next task gets there. So on such kernels each program is attached twice. The two run one after the other; the first
//! leaves a mark, and the second works only where the mark is missing. An event is lost only if both are skipped.
//!
//! The work of the current thread is marked in its record. Other work, such as that of interrupts, is marked in
//! [`HANDLED`], by its object.
//!
//! [`RESCUED`] counts the events that only the second has seen. Without it, the user side could not distinguish two
//! events that each missed one of the pair from one event that missed both.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};
use zctrace_common::{Scope, TWIN_SLOTS};

pub(crate) use zctrace_common::twin_slot as slot;

use crate::{
    base::{abi::BPF_F_NO_PREALLOC, atomic::add, maps::setting},
    book::target,
};

/// Events that the first of a pair has missed and the second has seen, by [`slot`].
#[map]
static RESCUED: Array<u64> = Array::with_max_entries(TWIN_SLOTS, 0);

/// Events that the first of a pair has handled and the second has not passed yet: the program and
/// an address. One whose second was skipped stays, until the next event of that address.
#[map]
static HANDLED: HashMap<[u64; 2], u8> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

#[inline(always)]
fn rescued(id: u32) {
    if let Some(count) = RESCUED.get_ptr_mut(id) {
        // SAFETY: an integer of a map value.
        unsafe { add(count, 1) };
    }
}

/// Takes an event that is not the current thread's work for this program, which may be the `second` of its pair. It is
/// true for exactly one of the two programs that the kernel runs, which must handle the event.
#[inline(always)]
pub(crate) fn take_turn(id: u32, second: bool, about: u64) -> bool {
    if setting!(twins) == 0 {
        return true;
    }
    let event = [u64::from(id), about];
    if !second {
        // An event that cannot be marked is left to the second, which finds no mark.
        return HANDLED.insert(event, 0, 0).is_ok();
    }
    if HANDLED.remove(event).is_ok() {
        return false;
    }
    rescued(id);
    true
}

/// Notes that the first of a pair has seen the event.
#[inline(always)]
pub(crate) fn done(id: u32) {
    if setting!(twins) != 0
        && let Some(task) = target::current_record()
    {
        // SAFETY: a map value of the current thread; the body that could refer to it is over.
        unsafe { (*task.as_ptr()).done = id };
    }
}

/// Takes the event for the second of a pair. It is false if the first has seen the event; the mark is then cleared.
#[inline(always)]
pub(crate) fn take_over(id: u32) -> bool {
    let Some(task) = target::current_record() else {
        return setting!(scope) != Scope::Tasks as u32;
    };
    // SAFETY: a map value of the current thread; the body that will refer to it has not begun.
    unsafe {
        if (*task.as_ptr()).done == id {
            (*task.as_ptr()).done = 0;
            return false;
        }
    }
    rescued(id);
    true
}
