//! Counts what is not in the ledger.

use zctrace_common::COUNTS_RINGS;

use crate::base::{
    atomic::add,
    maps::{BY_SYSCALL, LOSS},
};

/// Counts something that did not fit.
#[inline(always)]
pub(crate) fn lost() {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe { add(&raw mut (*loss).map_full, 1) };
    }
}

/// Counts a call that is not followed.
#[inline(always)]
pub(crate) fn unfollowed_call(compat: bool) {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        let (submits, of_32_bits) = unsafe {
            (
                &raw mut (*loss).unfollowed_submits,
                &raw mut (*loss).unfollowed_compat,
            )
        };
        // SAFETY: an integer of a map value.
        unsafe { add(if compat { of_32_bits } else { submits }, 1) };
    }
}

/// Whether nothing sees what the kernel copies into and out of rings.
#[inline(always)]
pub(crate) fn are_rings_unseen() -> bool {
    // SAFETY: a map value that the user side has set before any program was attached.
    BY_SYSCALL
        .get_ptr(0)
        .is_some_and(|ops| unsafe { *ops } >> COUNTS_RINGS & 1 != 0)
}

/// Counts a request of io_uring whose end nobody sees, or a completion of one that nobody knows.
#[inline(always)]
pub(crate) fn unfollowed_request() {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe { add(&raw mut (*loss).unfollowed_requests, 1) };
    }
}

/// Counts a call that moved bytes and had begun before its thread was followed.
#[inline(always)]
pub(crate) fn begun_call(bytes: u64) {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe {
            add(&raw mut (*loss).begun_calls, 1);
            add(&raw mut (*loss).begun_bytes, bytes);
        }
    }
}

/// Counts a ring into which the kernel copies unseen.
#[inline(always)]
pub(crate) fn unfollowed_ring() {
    if let Some(loss) = LOSS.get_ptr_mut(0) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe { add(&raw mut (*loss).unfollowed_rings, 1) };
    }
}
