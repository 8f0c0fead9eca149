//! How many calls of a function with a kretprobe are in progress. A kretprobe has room for only some of them, and
//! before Linux 6.7 the kernel does not report how many returns it missed. So a kprobe at the entry counts what it will
//! miss. It is attached only on those kernels.

use aya_ebpf::{macros::map, maps::HashMap};
use zctrace_common::UnderWay;

use crate::base::atomic::add;

/// Calls in progress, by the number of the kretprobe's program ([`crate::book::twin::slot`]). The user side makes an
/// entry for a kretprobe whose misses must be counted.
#[map]
static UNDER_WAY: HashMap<u32, UnderWay> = HashMap::with_max_entries(64, 0);

/// A call begins.
#[inline(always)]
pub(crate) fn entered(id: u32) {
    let Some(calls) = UNDER_WAY.get_ptr_mut(id) else {
        return;
    };
    // SAFETY: a map value; its counters only grow.
    let (room, entered, returned) = unsafe { ((*calls).room, (*calls).entered, (*calls).returned) };
    let counter = if entered.wrapping_sub(returned).cast_signed() >= room.cast_signed() {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe { &raw mut (*calls).unseen }
    } else {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe { &raw mut (*calls).entered }
    };
    // SAFETY: an integer of a map value.
    unsafe { add(counter, 1) };
}

/// The kretprobe sees the return of one.
#[inline(always)]
pub(crate) fn returned(id: u32) {
    if let Some(calls) = UNDER_WAY.get_ptr_mut(id) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe { add(&raw mut (*calls).returned, 1) };
    }
}
