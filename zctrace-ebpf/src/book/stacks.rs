//! Stack traces, sampled by copied bytes: one sample for every N bytes that a CPU copied.
//!
//! The kernel takes a stack only with the program's context, and where copies are booked ([`copied`]) there is none. So
//! a sample is noted in the thread's record there and taken at the end of the program ([`take`]). This is off unless
//! [`Settings::stack_bytes`](zctrace_common::Settings::stack_bytes) is set. The setting is a constant to the verifier,
//! which removes all of this code.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_F_USER_STACK,
    helpers::generated::bpf_get_stackid,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, StackTrace},
};
use zctrace_common::{StackKey, StackKind, Task, samples_among};

use crate::{
    base::{
        abi::BPF_NOEXIST,
        atomic::add,
        kernel::{self, Access as _, Typed},
        maps::{offset, setting},
    },
    book::target,
};

/// The stacks by their ids. An id refers to the same stack for as long as the map exists.
#[map]
static STACKS: StackTrace = StackTrace::with_max_entries(1, 0);

/// Sampled bytes.
#[map]
static STACK_BYTES: HashMap<StackKey, u64> = HashMap::with_max_entries(1, 0);

/// Bytes whose sample had no room in [`STACK_BYTES`].
#[map]
static STACK_LOST: Array<u64> = Array::with_max_entries(1, 0);

/// Copied bytes, a sum for each CPU. It is never reset, so the remainder after a sample counts towards the next one.
#[map]
static STACK_SUM: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Bits of [`Task::due`] that hold the number of samples; above them is the kind.
const SAMPLES: u32 = (1 << 28) - 1;

/// Notes the samples for `bytes` that a CPU copied in the current thread, whose record is `task`.
#[inline(always)]
pub(crate) fn copied(task: &mut Task, kind: StackKind, bytes: u64) {
    if setting!(stack_bytes) != 0 && bytes != 0 {
        note(task, kind as u32, bytes);
    }
}

#[inline(never)]
fn note(task: &mut Task, kind: u32, bytes: u64) {
    let every = setting!(stack_bytes);
    let Some(sum) = STACK_SUM.get_ptr_mut(0) else {
        return;
    };
    let before = fetch_add(sum, bytes);
    let samples = samples_among(before.wrapping_add(bytes), every) - samples_among(before, every);
    if samples != 0 {
        let due = u64::from(task.due & SAMPLES) + samples;
        let most = u64::from(SAMPLES);
        let due = if due > most { most } else { due };
        task.due = (kind << 28) | due as u32;
    }
}

/// Takes the samples that were noted for the current thread.
#[inline(always)]
pub(crate) fn take<C: EbpfContext>(ctx: &C) {
    if setting!(stack_bytes) == 0 {
        return;
    }
    // SAFETY: the body of the program, which may have had a reference to the record, is over.
    if let Some(task) = unsafe { target::current_quietly() }
        && task.due != 0
    {
        sample(ctx.as_ptr(), task);
    }
}

#[inline(never)]
fn sample(ctx: *mut c_void, task: &mut Task) {
    let due = task.due;
    task.due = 0;
    let bytes = u64::from(due & SAMPLES) * setting!(stack_bytes);
    let mut kind = due >> 28;
    // At the exit of a system call the kernel's stack says nothing.
    let kernel = if kind & StackKind::AT_EXIT != 0 {
        kind &= !StackKind::AT_EXIT;
        StackKey::NONE
    } else {
        stack(ctx, 0)
    };
    let user = if task.flags & Task::KTHREAD != 0 {
        StackKey::NONE
    } else {
        stack(ctx, u64::from(BPF_F_USER_STACK))
    };
    let current = kernel::current_task();
    let leader = kernel::pointer::<Typed>(current, offset!(task_group_leader));
    let key = StackKey {
        start_ns: Typed::load(leader, offset!(task_start_boottime)),
        tgid: Typed::load(leader, offset!(task_pid)),
        kind,
        kernel,
        user,
    };
    if let Some(sum) = STACK_BYTES.get_ptr_mut(key) {
        add(sum, bytes);
        return;
    }
    if STACK_BYTES.insert(key, bytes, BPF_NOEXIST).is_ok() {
        return;
    }
    // Another thread was quicker, or the map is full.
    if let Some(sum) = STACK_BYTES.get_ptr_mut(key) {
        add(sum, bytes);
    } else if let Some(lost) = STACK_LOST.get_ptr_mut(0) {
        add(lost, bytes);
    }
}

/// The id of the current stack, or why there is none: an error number.
#[inline(always)]
fn stack(ctx: *mut c_void, flags: u64) -> i32 {
    let map = (&raw const STACKS).cast_mut().cast();
    // SAFETY: the context of the running program and a map of the kind that the helper takes.
    unsafe { bpf_get_stackid(ctx, map, flags) as i32 }
}

/// Adds atomically and returns what was there.
#[inline(always)]
fn fetch_add(counter: *mut u64, value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: callers pass the address of an aligned field of a map value.
        unsafe {
            core::arch::asm!(
                "{value} = atomic_fetch_add((u64 *)({counter} + 0), {value})",
                counter = in(reg) counter,
                value = inlateout(reg) value,
                options(nostack),
            );
        }
        value
    }
    // Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        // SAFETY: callers pass the address of an aligned field of a map value.
        unsafe { AtomicU64::from_ptr(counter) }.fetch_add(value, Relaxed)
    }
}
