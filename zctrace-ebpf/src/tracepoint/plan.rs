//! What a call is expected to do, as it is noted at its entry.

use zctrace_common::{Acc, COUNTS_FAULTS, Class, Op, Task};

use crate::{
    base::{
        global::global,
        kernel::{self, Access as _, Typed},
        maps::reports,
    },
    book::{object::Ends, row::MARKS_SHIFT, target},
    tracepoint::memory::user_memory,
};

/// The class is decided by the block requests that the call makes.
pub(super) const BY_REQUESTS: u64 = 1 << 32;

/// The result counts messages, whose lengths the kernel wrote into the vector.
pub(super) const MESSAGES: u64 = 1 << 33;

/// The result can exceed the buffer (`MSG_TRUNC`).
pub(super) const TRUNCATES: u64 = 1 << 34;

/// The call returns 0, and has sent as many bytes as its third argument says.
pub(super) const BY_ARGUMENT: u64 = 1 << 35;

/// The call reports its result in its argument (`uffd::done`).
pub(super) const IN_ARGUMENT: u64 = 1 << 36;

/// The call is for requests of Linux AIO, which are operations of their own.
pub(super) const OF_AIO: u64 = 1 << 37;

/// The first block of the source may be copied.
pub(super) const FIRST_BLOCK_OPEN: u64 = 1 << 38;

/// The call is no operation. What it reads and writes within the kernel, the account of its thread tells.
pub(super) const BY_ACCOUNT: u64 = 1 << 39;

/// The call sets a ring up. (The bits in between are for marks.)
pub(super) const OF_RING: u64 = 1 << 48;

/// The call fills memory of the process, whatever its class is by now.
pub(super) const FILLS: u64 = 1 << 49;

/// The kernel pins pages for the call that an access of the thread would not copy, such as those that a fork made common
/// (`gup_must_unshare`).
pub(super) const PINS: u64 = 1 << 50;

// Marks are one byte.
const _: () = assert!(BY_ACCOUNT < 1 << MARKS_SHIFT && OF_RING >= 1 << (MARKS_SHIFT + 8));

global! {
    /// [`PINS`], where faults that may have copied are counted. Elsewhere sites of faults use `Task::fault`.
    pub(crate) fn pins() -> u64 {
        if reports(COUNTS_FAULTS as u16) { PINS } else { 0 }
    }
}

/// The plan of a call that is not an operation.
pub(super) const NOTHING: u64 = 0;

/// Where a plan has the class of its bytes.
pub(super) const PLAN_CLASS_SHIFT: u32 = 16;
pub(super) const PLAN_CLASS_MASK: u64 = 0xf;

/// What a call is expected to do: its operation, and the class of its bytes.
#[inline(always)]
pub(super) const fn plan(op: Op, class: Class) -> u64 {
    with_class(op as u64, class)
}

/// A plan with another class.
#[inline(always)]
pub(super) const fn with_class(plan: u64, class: Class) -> u64 {
    plan & !(PLAN_CLASS_MASK << PLAN_CLASS_SHIFT) | (class as u64) << PLAN_CLASS_SHIFT
}

/// Whether the bytes of a plan go to user memory.
#[inline(always)]
pub(super) const fn reads(plan: u64) -> bool {
    (plan >> PLAN_CLASS_SHIFT) & PLAN_CLASS_MASK == Class::CopiedToUser as u64
}

/// A register of the call with one of its arguments.
#[inline(always)]
pub(super) fn argument(regs: *const u8, offset: u32) -> u64 {
    Typed::load(regs, offset)
}

/// The current thread's record, at the entry of a call that this backend reports.
#[inline(always)]
pub(super) fn entered() -> Option<&'static mut Task> {
    // SAFETY: nothing else in this program refers to the thread's record.
    let task = unsafe { target::current_or_adopt() }?;
    if kernel::is_compat() {
        return None;
    }
    enter(task);
    Some(task)
}

/// Begins an operation of the thread.
#[inline(always)]
pub(super) fn enter(task: &mut Task) {
    task.flags &= !Task::FRESH;
    task.acc[Acc::SourceDirect as usize] = 0;
}

/// Keeps what was read at the entry until the call ends.
#[inline(always)]
pub(super) fn remember(task: &mut Task, ends: &Ends, plan: u64) {
    let plan = plan | u64::from(ends.marks) << MARKS_SHIFT;
    task.entry = [ends.source, ends.sink, plan, ends.dimension];
    task.flags |= Task::ENTERED;
}

#[inline(always)]
pub(super) fn user_u32(address: u64) -> u64 {
    user_memory::<u32>(address).into()
}
