//! From accumulators to rows.

use zctrace_common::{
    Acc, Class, Counters, Evidence, Object, ObjectKind, Op, Request, RowKey, Sizes, StackKind,
    Task, errno_key,
};

use crate::{
    global::global,
    kernel,
    maps::{ERRNOS, FREE_ROWS, LOSS, ROW_SLOTS, ROWS, SIZES, setting},
    object::{self, Ends},
    request,
    settle::{self, Shape},
    stacks, target, words,
};

/// Adds atomically: another task can interrupt this program in the middle of the same slot.
#[inline(always)]
pub(crate) fn add(counter: *mut u64, value: u64) {
    // SAFETY: callers pass the address of an aligned field of a map value.
    #[cfg(target_arch = "bpf")]
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {value}",
            counter = in(reg) counter,
            value = in(reg) value,
            options(nostack),
        );
    }
    // SAFETY: as above. Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(counter)
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed);
    }
}

#[inline(always)]
fn add_nonzero(counter: *mut u64, value: u64) {
    if value != 0 {
        add(counter, value);
    }
}

/// Counts something that did not fit.
#[inline(always)]
pub(crate) fn lost() {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: a map value.
        add(unsafe { &raw mut (*loss).map_full }, 1);
    }
}

/// Counts a call whose bytes are not followed.
#[inline(always)]
pub(crate) fn unfollowed_call(compat: bool) {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: a map value.
        let (submits, of_32_bits) = unsafe {
            (
                &raw mut (*loss).unfollowed_submits,
                &raw mut (*loss).unfollowed_compat,
            )
        };
        add(if compat { of_32_bits } else { submits }, 1);
    }
}

/// A site saw `bytes` in the current thread.
#[inline(always)]
pub(crate) fn saw(acc: Acc, bytes: u64) {
    if let Some(task) = target::current() {
        saw_in(task, acc, bytes);
    }
}

/// A site saw `bytes` in the thread of `task`. Returns the request that it works on.
#[inline(always)]
pub(crate) fn saw_in(task: &mut Task, acc: Acc, bytes: u64) -> Option<&'static mut Request> {
    let request = request::current(task);
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
        return Some(request);
    }
    if task.flags & Task::KTHREAD != 0 {
        kernel_thread(task, acc, bytes);
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
    if let Some(request) = request::current(task) {
        return request.acc[acc as usize];
    }
    enter(task, kernel::current_nr());
    task.acc[acc as usize]
}

/// Forgets what the sites have seen of one kind: an outer frame knows better.
#[inline(always)]
pub(crate) fn forget(task: &mut Task, acc: Acc) {
    if let Some(request) = request::current(task) {
        request.acc[acc as usize] = 0;
        return;
    }
    enter(task, kernel::current_nr());
    task.acc[acc as usize] = 0;
}

/// Makes the accumulators those of system call `nr`. What another call left behind belongs to no
/// operation.
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

/// Copies in a call that is no operation (an `ioctl` that writes into a pipe) are somebody's bytes
/// all the same: they get a row that is named after the call.
#[inline(always)]
pub(crate) fn left_behind(task: &mut Task) {
    if task.filled & COPIES != 0 {
        book_other(task);
    }
}

global! {
    /// Only reached where accumulators that no interface has settled are given up.
    fn book_other(task: *mut Task) -> u32 {
        // SAFETY: it is our own reference.
        let Some(task) = (unsafe { task.as_mut() }) else {
            return 0;
        };
        if !kernel::nr::is_other(task.nr) {
            return 0;
        }
        let to_user = task.acc[Acc::ToUser as usize];
        let from_user = task.acc[Acc::FromUser as usize];
        let (source, sink) = (
            task.acc[Acc::SourceCopy as usize],
            task.acc[Acc::SinkCopy as usize],
        );
        if to_user + from_user + source + sink == 0 {
            return 0;
        }
        // What was copied on both legs is taken to be the same bytes.
        let in_kernel = if source > sink { source } else { sink };
        let ends = Ends::of(Object::pack(ObjectKind::Syscall, u64::from(task.nr as u32)));
        if let Some(row) = row(task, Op::Other as u16, Evidence::Measured, &ends) {
            // SAFETY: a map value.
            unsafe {
                add(&raw mut (*row).ops, 1);
                add(&raw mut (*row).moved, to_user + from_user + in_kernel);
                add_nonzero(&raw mut (*row).class[Class::CopiedToUser as usize], to_user);
                add_nonzero(&raw mut (*row).class[Class::CopiedFromUser as usize], from_user);
                add_nonzero(&raw mut (*row).class[Class::CopiedInKernel as usize], in_kernel);
                add_nonzero(&raw mut (*row).recopied, source + sink - in_kernel);
            }
        }
        0
    }
}

/// overlayfs has copied a file of a lower layer up, because it was opened for writing or changed:
/// copies with nothing moved. Within an operation they are that operation's.
pub(crate) fn copied_up(task: &mut Task) {
    enter(task, kernel::current_nr());
    let source = task.acc[Acc::SourceCopy as usize];
    let sink = task.acc[Acc::SinkCopy as usize];
    if source + sink == 0 || request::is_working(task) || !kernel::nr::is_other(task.nr) {
        return;
    }
    task.acc[Acc::SourceCopy as usize] = 0;
    task.acc[Acc::SinkCopy as usize] = 0;
    let ends = Ends::of(Object::pack(ObjectKind::Overlay, 0));
    if let Some(row) = row(task, Op::CopyUp as u16, Evidence::Measured, &ends) {
        // SAFETY: a map value.
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

/// What a kernel thread copies is nobody's operation: it is counted as `unattributed`.
#[inline(never)]
fn kernel_thread(task: &mut Task, acc: Acc, bytes: u64) {
    let class = match acc {
        Acc::ToUser => Class::CopiedToUser,
        Acc::FromUser => Class::CopiedFromUser,
        Acc::SourceCopy | Acc::SinkCopy => Class::CopiedInKernel,
        _ => return,
    };
    let ends = Ends::of(object::UNKNOWN);
    if let Some(row) = row(task, Op::Kernel as u16, Evidence::Measured, &ends) {
        // SAFETY: a map value.
        unsafe {
            add(&raw mut (*row).ops, 1);
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

/// The same, when the accumulators are known to be those of this operation.
#[inline(always)]
pub(crate) fn conclude(task: &mut Task, op: Op, shape: Shape, ends: &Ends, result: i64) {
    // The usual case first: everything copied, by one kind of copy.
    let (only, class) = match shape {
        Shape::ToUser => (Acc::ToUser, Class::CopiedToUser),
        Shape::FromUser => (Acc::FromUser, Class::CopiedFromUser),
        _ => (Acc::Asked, Class::Unexplained),
    };
    if task.filled == 1 << only as u32
        && task.acc[only as usize] == result as u64
        && task.flags & Task::FRESH == 0
        && !matches!(only, Acc::Asked)
    {
        task.filled = 0;
        task.acc[only as usize] = 0;
        if let Some(row) = sized_row(task, op as u16, Evidence::Measured, ends, 1, result as u64) {
            // SAFETY: a map value.
            unsafe {
                add(&raw mut (*row).ops, 1);
                add(&raw mut (*row).moved, result as u64);
                add(&raw mut (*row).class[class as usize], result as u64);
            }
        }
        return;
    }
    settle::settle(task, shape, result);
    record(task, op as u16, ends);
}

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

/// Where the plan of a call (`syscall.rs`) has what was asked for.
pub(crate) const CLAIM_SHIFT: u32 = 40;

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
    ends.claim = (plan >> CLAIM_SHIFT) as u8;
    add_delta(task, op, Evidence::Inferred, &ends);
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
    // Last: the user side reads errors before operations, and never finds more of them.
    let errno = task.delta.errors;
    if errno != 0 {
        count_error(slot, errno as u32);
    }
}

global! {
    /// Counts an operation of the row at `slot` that failed with `errno`. Where there is no room for
    /// another pair of them, the row keeps the count and only the errno is lost.
    fn count_error(slot: u32, errno: u32) -> u32 {
        const BPF_NOEXIST: u64 = 1;
        let key = errno_key(slot, errno);
        if let Some(count) = ERRNOS.get_ptr_mut(key) {
            add(count, 1);
            return 0;
        }
        if ERRNOS.insert(key, 1, BPF_NOEXIST).is_ok() {
            return 0;
        }
        // Another thread was quicker, or the map is full.
        if let Some(count) = ERRNOS.get_ptr_mut(key) {
            add(count, 1);
        } else if let Some(row) = ROWS.get_ptr_mut(slot) {
            // SAFETY: a map value.
            add(unsafe { &raw mut (*row).errors }, 1);
        }
        0
    }
}

/// Adds what an operation moved. Its error is counted by [`count_error`].
#[inline(always)]
fn merge(row: *mut Counters, delta: &Counters) {
    // SAFETY: a map value.
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

/// The counters of a row to which an operation is added that moved `bytes`. More than one at a
/// time, of which only the sum is known, have no size.
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
        add(
            unsafe { (&raw mut (*sizes).counts).cast::<u64>().add(place) },
            1,
        );
    }
}

/// The slot of a row.
#[inline(always)]
pub(crate) fn row_slot(task: &mut Task, op: u16, evidence: Evidence, ends: &Ends) -> Option<u32> {
    const USED: u32 = 1 << 31;
    let cached = USED | u32::from(op) | (evidence as u32) << 16 | u32::from(ends.claim) << 17;
    if task.cached_op == cached
        && task.cached_source == ends.source
        && task.cached_sink == ends.sink
        && ends.dimension == 0
    {
        return Some(task.cached_slot);
    }
    let slot = find_row(task, cached, ends.source, ends.sink, ends.dimension).checked_sub(1)?;
    if ends.dimension == 0 {
        task.cached_op = cached;
        task.cached_source = ends.source;
        task.cached_sink = ends.sink;
        task.cached_slot = slot;
    }
    Some(slot)
}

global! {
    /// The slot of a row plus 1, made if there is none; 0 where there is no room. `kind` is what
    /// [`row_slot`] keeps as [`Task::cached_op`].
    fn find_row(task: *mut Task, kind: u32, source: u64, sink: u64, dimension: u64) -> u32 {
        // SAFETY: it is our own reference.
        let Some(task) = (unsafe { task.as_mut() }) else {
            return 0;
        };
        let Some(proc_slot) = target::proc_slot(task) else {
            return 0;
        };
        const BPF_NOEXIST: u64 = 1;
        let key = RowKey {
            proc_slot,
            op: kind as u16,
            evidence: (kind >> 16 & 1) as u8,
            claim: (kind >> 17) as u8,
            source,
            sink,
            dimension,
        };
        if let Some(slot) = ROW_SLOTS.get_ptr(key) {
            // SAFETY: a map value.
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
            // SAFETY: a map value.
            return unsafe { *theirs } + 1;
        }
        lost();
        0
    }
}
