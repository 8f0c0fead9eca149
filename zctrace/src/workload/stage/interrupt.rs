//! Ctrl-c and SIGTERM end a run in order.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use anyhow::{Context as _, Result};
use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupted(_signal: libc::c_int) {
    INTERRUPTED.store(true, SeqCst);
}

/// Lets ctrl-c and SIGTERM end the run in order, so that everything is cleaned up.
pub fn catch_interrupts() -> Result<()> {
    // No SA_RESTART: waiting for a child must end.
    let action = SigAction::new(
        SigHandler::Handler(interrupted),
        SaFlags::empty(),
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { sigaction(signal, &action) }.context("sigaction")?;
    }
    Ok(())
}

/// Whether the user wants it to end.
#[must_use]
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(SeqCst)
}
