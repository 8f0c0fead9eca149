//! The rows of the ledger: how one is found, and how an operation is added to it.

use zctrace_common::{
    Class, Counters, Evidence, IN_MARKER, RowKey, Sizes, StackKind, Task, errno_key,
};

use crate::{
    base::{
        abi::BPF_NOEXIST,
        atomic::{add, add_nonzero},
        global::global,
        loss::lost,
        maps::{ERRNOS, FREE_ROWS, ROW_SLOTS, ROWS, SIZES, setting},
        words,
    },
    book::{
        object::{self, Ends},
        region, stacks, target,
    },
};

/// Adds [`Task::delta`] to the row, or to two where the evidence differs.
#[inline(never)]
pub(crate) fn record(task: &mut Task, op: u16, ends: &Ends) {
    let cow = task.delta.cow;
    stacks::copied(task, StackKind::Cow, cow);
    let moved = task.delta.moved;
    let direct = task.delta.class[Class::Direct as usize];
    let unproven = if direct != 0 && !object::does_dma(ends) {
        direct
    } else {
        0
    };
    if unproven == 0 || unproven != moved {
        task.delta.moved = moved - unproven;
        task.delta.class[Class::Direct as usize] = direct - unproven;
        add_delta(task, op, Evidence::Measured, ends);
        task.delta = words::no_counts();
    }
    if unproven != 0 {
        task.delta.moved = unproven;
        task.delta.class[Class::Direct as usize] = unproven;
        add_delta(task, op, Evidence::Inferred, ends);
    }
}

/// Where the plan of a call (`tracepoint/syscall.rs`) keeps what was asked for.
pub(crate) const MARKS_SHIFT: u32 = 40;

/// Adds [`Task::delta`] to the row of the call that [`Task::entry`] describes: concluded, not
/// measured.
#[inline(always)]
pub(crate) fn record_inferred(task: &mut Task, op: u16) {
    for (class, kind) in [
        (Class::CopiedToUser, StackKind::ToUserAtExit),
        (Class::CopiedFromUser, StackKind::FromUserAtExit),
        (Class::CopiedInKernel, StackKind::InKernelAtExit),
    ] {
        let bytes = task.delta.class[class as usize];
        stacks::copied(task, kind, bytes);
    }
    let [source, sink, plan, dimension] = task.entry;
    let mut ends = Ends::stored(source, sink, dimension);
    ends.marks = (plan >> MARKS_SHIFT) as u8;
    add_delta(task, op, Evidence::Inferred, &ends);
}

/// Adds operations without bytes to a row: what they did is concluded, and how much is not known.
#[inline(always)]
pub(crate) fn record_occurrences(task: &mut Task, op: u16, ends: &Ends, ops: u64) {
    task.delta = words::no_counts();
    task.delta.ops = ops;
    add_delta(task, op, Evidence::Inferred, ends);
}

/// Adds [`Task::delta`] to a row.
#[inline(always)]
fn add_delta(task: &mut Task, op: u16, evidence: Evidence, ends: &Ends) {
    let (ops, bytes) = (task.delta.ops, task.delta.moved);
    let Some(slot) = sized_slot(task, op, evidence, ends, ops, bytes) else {
        return;
    };
    let Some(row) = ROWS.get_ptr_mut(slot) else {
        return;
    };
    merge(row, &task.delta);
    // This comes last: the user side reads errors before operations, so it never finds more errors than operations.
    let errno = task.delta.errors;
    if errno != 0 {
        count_error(slot, errno as u32);
    }
}

global! {
    /// Counts an operation of the row at `slot` that failed with `errno`. If there is no room for another pair of slot
    /// and errno, the row keeps the count and only the errno is lost.
    fn count_error(slot: u32, errno: u32) -> u32 {
        let key = errno_key(slot, errno);
        if let Some(count) = ERRNOS.get_ptr_mut(key) {
            // SAFETY: an integer of a map value.
            unsafe { add(count, 1) };
            return 0;
        }
        if ERRNOS.insert(key, 1, BPF_NOEXIST).is_ok() {
            return 0;
        }
        // Another thread was quicker, or the map is full.
        if let Some(count) = ERRNOS.get_ptr_mut(key) {
            // SAFETY: an integer of a map value.
            unsafe { add(count, 1) };
        } else if let Some(row) = ROWS.get_ptr_mut(slot) {
            // SAFETY: counters of a map value, which are only added to, atomically.
            unsafe { add(&raw mut (*row).errors, 1) };
        }
        0
    }
}

/// Adds what an operation moved. Its error is counted by [`count_error`].
#[inline(always)]
fn merge(row: *mut Counters, delta: &Counters) {
    // SAFETY: counters of a map value, which are only added to, atomically.
    unsafe {
        add_nonzero(&raw mut (*row).ops, delta.ops);
        add_nonzero(&raw mut (*row).moved, delta.moved);
        let mut class = 0;
        while class < delta.class.len() {
            add_nonzero(&raw mut (*row).class[class], delta.class[class]);
            class += 1;
        }
        add_nonzero(&raw mut (*row).deferred, delta.deferred);
        add_nonzero(&raw mut (*row).recopied, delta.recopied);
        add_nonzero(&raw mut (*row).wasted, delta.wasted);
        add_nonzero(&raw mut (*row).cow, delta.cow);
        add_nonzero(&raw mut (*row).encrypted, delta.encrypted);
        add_nonzero(&raw mut (*row).filled, delta.filled);
    }
}

/// The counters of a row on this CPU.
#[inline(always)]
pub(crate) fn row(
    task: &mut Task,
    op: u16,
    evidence: Evidence,
    ends: &Ends,
) -> Option<*mut Counters> {
    row_slot(task, op, evidence, ends).and_then(|slot| ROWS.get_ptr_mut(slot))
}

/// The counters of a row for an operation that moved `bytes`. Several operations at once, of which only the sum is
/// known, have no size.
#[inline(always)]
pub(crate) fn sized_row(
    task: &mut Task,
    op: u16,
    evidence: Evidence,
    ends: &Ends,
    ops: u64,
    bytes: u64,
) -> Option<*mut Counters> {
    sized_slot(task, op, evidence, ends, ops, bytes).and_then(|slot| ROWS.get_ptr_mut(slot))
}

/// The slot of such a row.
#[inline(always)]
fn sized_slot(
    task: &mut Task,
    op: u16,
    evidence: Evidence,
    ends: &Ends,
    ops: u64,
    bytes: u64,
) -> Option<u32> {
    let slot = row_slot(task, op, evidence, ends)?;
    // A constant to the verifier.
    if setting!(sizes) != 0 && ops == 1 {
        count_size(slot, bytes);
    }
    Some(slot)
}

#[inline(never)]
fn count_size(slot: u32, bytes: u64) {
    if let Some(sizes) = SIZES.get_ptr_mut(slot)
        && let place = Sizes::place(bytes)
        && place < Sizes::COUNT
    {
        // SAFETY: a map value, and within it.
        unsafe { add((&raw mut (*sizes).counts).cast::<u64>().add(place), 1) };
    }
}

/// The slot of a row.
#[inline(always)]
pub(crate) fn row_slot(task: &mut Task, op: u16, evidence: Evidence, ends: &Ends) -> Option<u32> {
    const USED: u32 = 1 << 31;
    let cached = USED | u32::from(op) | (evidence as u32) << 16 | u32::from(ends.marks) << 17;
    let last = &task.cached[0];
    if last.op == cached
        && last.source == ends.source
        && last.sink == ends.sink
        && ends.dimension == 0
    {
        return Some(last.slot);
    }
    let slot =
        find_or_make_row(task, cached, ends.source, ends.sink, ends.dimension).checked_sub(1)?;
    if ends.dimension == 0 {
        // Field by field: a whole one would first be made on the stack, which io_uring's programs fill.
        let last = &mut task.cached[0];
        last.source = ends.source;
        last.sink = ends.sink;
        last.op = cached;
        last.slot = slot;
    }
    Some(slot)
}

global! {
    /// The slot of a row plus 1; it is made if there is none. 0 if there is no room. `kind` is what [`row_slot`] keeps
    /// in [`Task::cached`].
    fn find_or_make_row(task: *mut Task, kind: u32, source: u64, sink: u64, dimension: u64) -> u32 {
        // SAFETY: the only caller passes its own `&mut Task` and does not use it until this returns.
        let Some(task) = (unsafe { task.as_mut() }) else {
            return 0;
        };
        // Callers compare only the first row: comparing both there would take room on their stacks.
        if region::are_marked() && dimension == IN_MARKER {
            // zctrace has asked for it, so it is not the program's.
            return 0;
        }
        let other = &task.cached[1];
        let slot = other.slot + 1;
        let is_other =
            other.op == kind && other.source == source && other.sink == sink && dimension == 0;
        if dimension == 0 {
            // The row that is asked for becomes the first one.
            task.cached[1].source = task.cached[0].source;
            task.cached[1].sink = task.cached[0].sink;
            task.cached[1].op = task.cached[0].op;
            task.cached[1].slot = task.cached[0].slot;
        }
        if is_other {
            return slot;
        }
        let Some(proc_slot) = target::proc_slot(task) else {
            return 0;
        };
        let key = RowKey {
            proc_slot,
            op: kind as u16,
            evidence: (kind >> 16 & 1) as u8,
            marks: (kind >> 17) as u8,
            source,
            sink,
            dimension,
        };
        if let Some(slot) = ROW_SLOTS.get_ptr(key) {
            // SAFETY: a map value, of which an aligned integer is read.
            return unsafe { *slot } + 1;
        }
        let Ok(Some(slot)) = FREE_ROWS.pop() else {
            lost();
            return 0;
        };
        if ROW_SLOTS.insert(key, slot, BPF_NOEXIST).is_ok() {
            object::remember_fs(source);
            object::remember_fs(sink);
            return slot + 1;
        }
        // Another thread was quicker, or the map is full.
        let _ = FREE_ROWS.push(slot, 0);
        if let Some(theirs) = ROW_SLOTS.get_ptr(key) {
            // SAFETY: a map value, of which an aligned integer is read.
            return unsafe { *theirs } + 1;
        }
        lost();
        0
    }
}
