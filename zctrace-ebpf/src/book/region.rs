//! Regions of a test.
//!
//! The command writes lines such as `begin NAME` and `end NAME` to a pipe. The write itself is the boundary: what the
//! thread does before it is not in the region, and what it does after it is. A program at the end of each `write` looks
//! at the line, and changes the regions that the thread, or its process, is in. Rows of an operation are told apart by
//! the innermost region ([`current_region`]).
//!
//! New threads and children are in the regions that their parent is in, until the parent ends these.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user},
    macros::map,
    maps::{Array, HashMap},
};
use zctrace_common::{
    By, OF_WORKERS, REGION_DEPTH, REGION_NAME, Region, RegionCounts, RegionKey, RegionStack,
};

use crate::base::{
    abi::{BPF_F_NO_PREALLOC, BPF_NOEXIST, PF_IO_WORKER},
    atomic::{add, fetch_add},
    global::global,
    kernel::{self, Access as _, Typed},
    loss::lost,
    maps::{offset, setting},
    words,
};

/// The regions of threads, by thread id, and of processes, by [`of_process`]. The user side overrides the sizes of these
/// maps if regions are asked for.
#[map]
static REGION_STACKS: HashMap<u64, RegionStack> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Regions that were begun and have not ended, by [`RegionStack::time`].
#[map]
static REGIONS_OPEN: HashMap<u32, u32> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Every region.
#[map]
static REGIONS: HashMap<RegionKey, Region> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// What was seen of markers.
#[map]
static REGION_COUNTS: Array<RegionCounts> = Array::with_max_entries(1, 0);

/// No regions. It is in a map because the stack is small.
static NO_REGIONS: RegionStack = RegionStack {
    depth: 0,
    inherited: 0,
    marking: 0,
    within: 0,
    number: [0; REGION_DEPTH],
    parent: [0; REGION_DEPTH],
    time: [0; REGION_DEPTH],
};

/// Whether regions are asked for: a constant to the verifier.
#[inline(always)]
pub(crate) fn are_marked() -> bool {
    setting!(by) == By::Region as u32
}

/// The key of a process in [`REGION_STACKS`].
#[inline(always)]
pub(crate) const fn of_process(tgid: u32) -> u64 {
    1 << 32 | tgid as u64
}

/// Thread and process of the current thread, as keys.
#[inline(always)]
fn own_keys() -> (u64, u64) {
    let ids = bpf_get_current_pid_tgid();
    (ids & 0xffff_ffff, of_process((ids >> 32) as u32))
}

/// The regions of a thread or process, made if there are none.
#[inline(never)]
fn stack_of(key: u64) -> *mut RegionStack {
    if let Some(stack) = REGION_STACKS.get_ptr_mut(key) {
        return stack;
    }
    let template: &RegionStack = &NO_REGIONS;
    // Nobody else makes a thread's; that of a process may be there by now.
    let _ = REGION_STACKS.insert(key, template, BPF_NOEXIST);
    REGION_STACKS
        .get_ptr_mut(key)
        .unwrap_or(core::ptr::null_mut())
}

/// A region that is open; zeros if there is none.
#[derive(Clone, Copy)]
struct Open {
    /// [`Region::number`].
    number: u32,
    /// [`RegionStack::time`].
    time: u32,
}

/// The innermost region that is open.
#[inline(always)]
fn innermost(key: u64) -> Open {
    const NONE: Open = Open { number: 0, time: 0 };
    let Some(stack) = REGION_STACKS.get_ptr(key) else {
        return NONE;
    };
    let mut i = REGION_DEPTH;
    while i > 0 {
        i -= 1;
        // SAFETY: a map value, of which aligned integers are read.
        let (depth, number, time) =
            unsafe { ((*stack).depth, (*stack).number[i], (*stack).time[i]) };
        if (i as u32) < depth && REGIONS_OPEN.get_ptr(time).is_some() {
            return Open { number, time };
        }
    }
    NONE
}

/// Whether the region that the one at `at` is within has ended, although the one at `at` ends only now. What came between
/// is in both.
#[inline(always)]
fn has_outlived(stack: *const RegionStack, at: usize) -> bool {
    // SAFETY: a map value, of which aligned integers are read.
    let around = unsafe {
        if at == 0 {
            (*stack).within
        } else {
            (*stack).time[(at - 1) & (REGION_DEPTH - 1)]
        }
    };
    around != 0 && REGIONS_OPEN.get_ptr(around).is_none()
}

global! {
    /// The region that the current thread works for, as a value of the `--by` dimension.
    pub(crate) fn current_region() -> u64 {
        // Before Linux 6.8 the verifier goes through it for programs that do not come here too.
        if !are_marked() {
            return 0;
        }
        let (thread, process) = own_keys();
        let flags: u32 = Typed::load(kernel::current_task(), offset!(task_flags));
        let is_worker = flags & PF_IO_WORKER != 0;
        if !is_worker {
            if let Some(stack) = REGION_STACKS.get_ptr(thread)
                // SAFETY: a map value, of which an aligned integer is read.
                && unsafe { (*stack).marking } != 0
            {
                return zctrace_common::IN_MARKER;
            }
            let number = innermost(thread).number;
            if number != 0 {
                return number.into();
            }
        }
        let number = innermost(process).number;
        if number == 0 && is_worker {
            return OF_WORKERS;
        }
        number.into()
    }
}

/// The current thread begins to write a marker.
#[inline(always)]
pub(crate) fn begin_marker() {
    let stack = stack_of(own_keys().0);
    if stack.is_null() {
        lost();
        return;
    }
    // SAFETY: a map value of the current thread.
    unsafe { (&raw mut (*stack).marking).write_volatile(1) };
}

/// Whether the current thread has written a marker.
#[inline(always)]
pub(crate) fn end_marker() -> bool {
    let Some(stack) = REGION_STACKS.get_ptr_mut(own_keys().0) else {
        return false;
    };
    // SAFETY: a map value of the current thread.
    unsafe {
        let marking = (*stack).marking != 0;
        (&raw mut (*stack).marking).write_volatile(0);
        marking
    }
}

#[inline(always)]
fn user<T: Copy + Default>(address: u64) -> T {
    let mut value = T::default();
    // SAFETY: the destination is a local of the given size; the helper checks the source.
    unsafe {
        bpf_probe_read_user(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
    }
    value
}

/// Takes a line from the current thread, which the kernel has taken `taken` bytes of.
#[inline(never)]
pub(crate) fn mark(buffer: u64, length: u64, taken: u64) {
    const BEGIN: &[u8; 4] = b"begi";
    const IN: &[u8; 4] = b"gin ";
    const END: &[u8; 4] = b"end ";
    let Some(counts) = REGION_COUNTS.get_ptr_mut(0) else {
        return;
    };
    let (thread, process) = own_keys();
    let of_process = user::<u64>(buffer) == u64::from_ne_bytes(*b"process ");
    let start = if of_process { buffer + 8 } else { buffer };
    let word: u32 = user(start);
    let begins =
        word == u32::from_ne_bytes(*BEGIN) && user::<u32>(start + 2) == u32::from_ne_bytes(*IN);
    let name = start + if begins { 6 } else { 4 };
    let end = buffer.wrapping_add(length).wrapping_sub(1);
    let name_length = end.wrapping_sub(name);
    let mut key = [words::zero(); size_of::<RegionKey>() / 8];
    let key = &raw mut key;
    if length != taken
        || !begins && word != u32::from_ne_bytes(*END)
        || name_length > REGION_NAME as u64
        || user::<u8>(end) != b'\n'
    {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe { add(&raw mut (*counts).malformed, 1) };
        return;
    }
    // SAFETY: the name is within the key, behind the number of the region that it is in; the helper checks the source.
    let (read, first) = unsafe {
        let into = key.cast::<u8>().add(4);
        let read = bpf_probe_read_user(into.cast(), name_length as u32, name as *const c_void);
        (read, into.read_volatile())
    };
    let stack = stack_of(if of_process { process } else { thread });
    if stack.is_null() {
        lost();
        return;
    }
    if read != 0 || first == 0 {
        // SAFETY: as above.
        unsafe { add(&raw mut (*counts).malformed, 1) };
        return;
    }
    forget_ended(stack);
    if begins {
        let mut around = innermost(if of_process { process } else { thread });
        let mut within = 0;
        if !of_process && around.number == 0 {
            around = innermost(process);
            within = around.time;
        }
        // SAFETY: the first word of the key, and a map value of the current thread or its process.
        unsafe {
            key.cast::<u32>().write_volatile(around.number);
            if (*stack).depth == 0 {
                (&raw mut (*stack).within).write_volatile(within);
            }
        }
        begin(stack, key.cast(), counts);
    } else {
        finish(stack, key.cast(), counts);
    }
}

/// Takes out what another one has ended.
#[inline(never)]
fn forget_ended(stack: *mut RegionStack) {
    // SAFETY: a map value. The stack of a process can be changed by two of its threads at once, which leaves it with
    // ends that do not match.
    unsafe {
        let mut i = REGION_DEPTH;
        while i > 0 {
            i -= 1;
            if (i as u32) >= (*stack).depth {
                continue;
            }
            if REGIONS_OPEN.get_ptr((*stack).time[i]).is_some() {
                return;
            }
            (*stack).depth = i as u32;
            if (*stack).inherited > i as u32 {
                (*stack).inherited = i as u32;
            }
        }
    }
}

/// Begins a region.
#[inline(never)]
fn begin(stack: *mut RegionStack, key: *mut RegionKey, counts: *mut RegionCounts) {
    // SAFETY: map values, and a local of the caller.
    unsafe {
        let depth = (*stack).depth as usize;
        let refused = &raw mut (*counts).refused;
        if depth >= REGION_DEPTH {
            add(refused, 1);
            return;
        }
        let region = find(&*key, counts);
        if region.is_null() {
            add(refused, 1);
            return;
        }
        let time = fetch_add(&raw mut (*counts).times, 1) as u32 + 1;
        if REGIONS_OPEN.insert(time, 1, 0).is_err() {
            add(refused, 1);
            return;
        }
        let depth = depth & (REGION_DEPTH - 1);
        (*stack).number[depth] = (*region).number as u32;
        (*stack).parent[depth] = (*key).parent;
        (*stack).time[depth] = time;
        (*stack).depth = depth as u32 + 1;
        add(&raw mut (*region).begun, 1);
    }
}

/// A region, made if there is none; null if there is no room.
#[inline(always)]
fn find(key: &RegionKey, counts: *mut RegionCounts) -> *mut Region {
    if let Some(region) = REGIONS.get_ptr_mut(key) {
        return region;
    }
    let region = Region {
        // SAFETY: a counter of a map value.
        number: unsafe { fetch_add(&raw mut (*counts).numbers, 1) } + 1,
        begun: words::zero(),
        ended: words::zero(),
    };
    let _ = REGIONS.insert(key, region, BPF_NOEXIST);
    // Another thread may have been quicker.
    REGIONS.get_ptr_mut(key).unwrap_or(core::ptr::null_mut())
}

/// Ends the innermost region, which must be the one that is named.
#[inline(never)]
fn finish(stack: *mut RegionStack, key: *mut RegionKey, counts: *mut RegionCounts) {
    // SAFETY: map values, and a local of the caller.
    unsafe {
        let depth = (*stack).depth;
        if depth > (*stack).inherited {
            let at = (depth as usize).wrapping_sub(1) & (REGION_DEPTH - 1);
            (*key).parent = (*stack).parent[at];
            let key: &RegionKey = &*key;
            if let Some(region) = REGIONS.get_ptr_mut(key)
                && (*region).number as u32 == (*stack).number[at]
            {
                if has_outlived(stack, at) {
                    add(&raw mut (*counts).outlived, 1);
                }
                (*stack).depth = at as u32;
                let _ = REGIONS_OPEN.remove((*stack).time[at]);
                add(&raw mut (*region).ended, 1);
                return;
            }
        }
        add(&raw mut (*counts).mismatched, 1);
    }
}

/// A new thread or child (typed pointers) is where its parent is.
#[inline(always)]
pub(crate) fn follow(parent: *const u8, child: *const u8) {
    let tid: u32 = Typed::load(parent, offset!(task_pid));
    let tgid: u32 = Typed::load(parent, offset!(task_tgid));
    let child_tid: u32 = Typed::load(child, offset!(task_pid));
    let child_tgid: u32 = Typed::load(child, offset!(task_tgid));
    inherit(tid.into(), child_tid.into());
    if tgid != child_tgid {
        inherit(of_process(tgid), of_process(child_tgid));
    }
}

#[inline(never)]
fn inherit(parent: u64, child: u64) {
    let Some(stack) = REGION_STACKS.get_ptr(parent) else {
        return;
    };
    // SAFETY: map values; the child does not run yet.
    unsafe {
        let stack: &RegionStack = &*stack;
        if REGION_STACKS.insert(child, stack, 0).is_err() {
            lost();
            return;
        }
        if let Some(stack) = REGION_STACKS.get_ptr_mut(child) {
            (*stack).inherited = (*stack).depth;
            (*stack).marking = 0;
        }
    }
}

/// A thread goes on under another id.
#[inline(never)]
pub(crate) fn renumber(from: u32, to: u32) {
    let Some(stack) = REGION_STACKS.get_ptr(u64::from(from)) else {
        return;
    };
    // SAFETY: a map value, which outlives the program; aligned integers of it are used.
    let stack: &RegionStack = unsafe { &*stack };
    if REGION_STACKS.insert(u64::from(to), stack, 0).is_err() {
        lost();
    }
    let _ = REGION_STACKS.remove(u64::from(from));
}

/// A thread or process has ended, and with it the regions that it had begun.
#[inline(never)]
pub(crate) fn leave(key: u64) {
    let Some(stack) = REGION_STACKS.get_ptr(key) else {
        return;
    };
    // The innermost first, as markers would end them.
    let mut i = REGION_DEPTH;
    while i > 0 {
        i -= 1;
        // SAFETY: a map value, of which aligned integers are read.
        let (inherited, depth, time) =
            unsafe { ((*stack).inherited, (*stack).depth, (*stack).time[i]) };
        if (i as u32) >= inherited && (i as u32) < depth {
            if has_outlived(stack, i)
                && let Some(counts) = REGION_COUNTS.get_ptr_mut(0)
            {
                // SAFETY: a counter of a map value, which is only added to, atomically.
                unsafe { add(&raw mut (*counts).outlived, 1) };
            }
            let _ = REGIONS_OPEN.remove(time);
        }
    }
    let _ = REGION_STACKS.remove(key);
}
