//! Stack traces, sampled by copied bytes: one sample for every N bytes that a CPU copied.
//!
//! The kernel takes a stack only with the program's context, and where copies are booked ([`copied`]) there is none. So
//! a sample is noted in the thread's record there and taken at the end of the program ([`take`]). This is off unless
//! [`Settings::stack_bytes`](zctrace_common::Settings::stack_bytes) is set. The setting is a constant to the verifier,
//! which removes all of this code.

use core::{cell::UnsafeCell, ffi::c_void};

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_F_STACK_BUILD_ID, BPF_F_USER_STACK, bpf_map_type::BPF_MAP_TYPE_STACK_TRACE},
    helpers::generated::{bpf_get_stackid, bpf_probe_read_user},
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf, StackTrace},
};
use zctrace_common::{
    StackKey, StackKind, StackSample, Task, USER_FRAMES, UserFrame, samples_among,
};

use crate::{
    base::{
        abi::{BPF_NOEXIST, regs},
        atomic::{add, fetch_add},
        kernel::{self, Access as _, Typed},
        maps::{offset, setting},
    },
    book::target,
};

/// The stacks by their ids. An id refers to the same stack for as long as the map exists.
#[map]
static STACKS: StackTrace = StackTrace::with_max_entries(1, 0);

/// The stacks of users by their ids, as places in files. aya has no type for it.
#[map]
static USER_STACKS: PlacesMap = PlacesMap(UnsafeCell::new(Definition {
    kind: BPF_MAP_TYPE_STACK_TRACE,
    key_size: 4,
    value_size: (USER_FRAMES * size_of::<UserFrame>()) as u32,
    max_entries: 1,
    map_flags: BPF_F_STACK_BUILD_ID,
    id: 0,
    pinning: 0,
}));

/// Not constant, so that it comes into the same section as the other maps.
#[repr(transparent)]
struct PlacesMap(UnsafeCell<Definition>);

// SAFETY: nothing but the loader looks at it.
unsafe impl Sync for PlacesMap {}

/// `struct bpf_map_def` of aya.
#[repr(C)]
struct Definition {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    id: u32,
    pinning: u32,
}

/// Sampled bytes.
#[map]
static STACK_BYTES: HashMap<StackKey, u64> = HashMap::with_max_entries(1, 0);

/// Bytes whose sample had no room in [`STACK_BYTES`].
#[map]
static STACK_LOST: Array<u64> = Array::with_max_entries(1, 0);

/// Samples with memory of the user's stack ([`Settings::unwind`](zctrace_common::Settings::unwind)). One for which there
/// is no room is counted in [`STACK_BYTES`].
#[map]
static STACK_SAMPLES: RingBuf = RingBuf::with_byte_size(4096, 0);

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
    // SAFETY: a map value, of one integer.
    let before = unsafe { fetch_add(sum, bytes) };
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
    if let Some(task) = unsafe { target::current() }
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
        stack(ctx, (&raw const STACKS).cast(), 0)
    };
    let user = if task.flags & Task::KTHREAD != 0 {
        StackKey::NONE
    } else {
        let map = (&raw const USER_STACKS).cast();
        stack(ctx, map, u64::from(BPF_F_USER_STACK))
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
    if setting!(unwind) != 0 && user != StackKey::NONE && keep(&key, bytes) {
        return;
    }
    if let Some(sum) = STACK_BYTES.get_ptr_mut(key) {
        // SAFETY: an integer of a map value.
        unsafe { add(sum, bytes) };
        return;
    }
    if STACK_BYTES.insert(key, bytes, BPF_NOEXIST).is_ok() {
        return;
    }
    // Another thread was quicker, or the map is full.
    if let Some(sum) = STACK_BYTES.get_ptr_mut(key) {
        // SAFETY: an integer of a map value.
        unsafe { add(sum, bytes) };
    } else if let Some(lost) = STACK_LOST.get_ptr_mut(0) {
        // SAFETY: an integer of a map value.
        unsafe { add(lost, bytes) };
    }
}

/// Hands a sample on with memory of the user's stack; whether there was room, and the process is one that can be
/// unwound.
#[inline(always)]
fn keep(key: &StackKey, bytes: u64) -> bool {
    if kernel::is_compat() {
        return false;
    }
    let Some(mut entry) = STACK_SAMPLES.reserve::<StackSample>(0) else {
        return false;
    };
    let sample = entry.as_mut_ptr();
    let at = kernel::current_regs();
    let sp: u64 = Typed::load(at, regs::SP);
    // SAFETY: the reserved memory, which is as large as the sample; nothing else refers to it.
    unsafe {
        (*sample).key = *key;
        (*sample).bytes = bytes;
        (*sample).pc = Typed::load(at, regs::PC);
        (*sample).sp = sp;
        (*sample).fp = Typed::load(at, regs::FP);
        (*sample).lr = regs::LR.map_or(0, |lr| Typed::load(at, lr));
        (*sample).length = read_stack((&raw mut (*sample).memory).cast(), sp);
    }
    entry.submit(0);
    true
}

/// Reads memory of the user's stack, and tells how much. Its last page may be shorter than what is asked for.
#[inline(always)]
fn read_stack(memory: *mut u8, sp: u64) -> u64 {
    const CHUNK: u64 = StackSample::CHUNK as u64;
    let mut length = 0;
    for _ in 0..StackSample::CHUNKS {
        let from = sp.wrapping_add(length);
        let size = CHUNK - (from & (CHUNK - 1));
        // SAFETY: each piece is at most as long as a chunk, and there is room for as many chunks; the helper checks the
        // source.
        let read = unsafe {
            bpf_probe_read_user(
                memory.add(length as usize).cast(),
                size as u32,
                from as *const c_void,
            )
        };
        if read != 0 {
            break;
        }
        length += size;
    }
    length
}

/// The id of the current stack, or why there is none: an error number.
#[inline(always)]
fn stack(ctx: *mut c_void, map: *const c_void, flags: u64) -> i32 {
    let map = map.cast_mut();
    // SAFETY: the context of the running program and a map of the kind that the helper takes.
    unsafe { bpf_get_stackid(ctx, map, flags) as i32 }
}
