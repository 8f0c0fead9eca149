//! How many calls of a function are under way whose return a kretprobe is to see: it has room for some
//! only, and before Linux 6.7 the kernel does not tell how many returns it missed. So a kprobe at the
//! entry counts what it will miss. It is attached on those kernels only.

use aya_ebpf::{macros::map, maps::HashMap};
use zctrace_common::UnderWay;

use crate::base::atomic::add;

/// Calls under way, by the number of the kretprobe's program ([`crate::book::twin::slot`]). The user side puts
/// an entry there for a kretprobe whose misses are to be counted.
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
    add(counter, 1);
}

/// The kretprobe sees the return of one.
#[inline(always)]
pub(crate) fn returned(id: u32) {
    if let Some(calls) = UNDER_WAY.get_ptr_mut(id) {
        // SAFETY: counters of a map value, which are only added to, atomically.
        add(unsafe { &raw mut (*calls).returned }, 1);
    }
}
