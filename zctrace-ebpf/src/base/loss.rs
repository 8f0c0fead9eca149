//! Counts what is not in the ledger.

use crate::base::{atomic::add, maps::LOSS};

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
