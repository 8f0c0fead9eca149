//! What a kernel's version may change: run on every kernel of the matrix.

mod alone;
mod batches;
mod bomb;
mod cache;
mod closed;
#[cfg(target_arch = "x86_64")]
mod compat;
mod ktls;
mod limits;
mod requests;
mod sight;
mod truth;
mod unplug;
mod verdicts;
mod verifier;
mod zerocopy;
