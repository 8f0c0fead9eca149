//! What the programs report of themselves under `zctrace -v`: only rare events, so that no operation pays for it.
//!
//! The level is a constant to the verifier (`.rodata`, frozen before the programs load). While it is off, the verifier
//! removes the calls and the functions that report.

use aya_log_ebpf::{
    debug,
    macro_support::{Level, level_enabled},
};

/// A thread became one of the target.
#[inline(always)]
pub(crate) fn followed(tid: u32) {
    #[inline(never)]
    fn report(tid: u32) {
        debug!((), "thread {} is traced", tid);
    }
    if level_enabled(Level::Debug) {
        report(tid);
    }
}

/// A thread of the target has ended.
#[inline(always)]
pub(crate) fn left(tid: u32) {
    #[inline(never)]
    fn report(tid: u32) {
        debug!((), "thread {} has ended", tid);
    }
    if level_enabled(Level::Debug) {
        report(tid);
    }
}
