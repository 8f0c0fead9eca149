//! zctrace's BPF programs, in floors. Each floor uses only those below it:
//!
//! ```text
//! beside/      the audit, samples of where time goes, marked regions: not part of the ledger
//! tracepoint/  the tracepoints backend: what is concluded from a call
//! interface/   where an operation ends and says what it moved; where threads begin and end
//! site/        where bytes are copied or referenced: one file for each family of routines
//! book/        whose work it is, what sites saw, how it is settled, which row it goes to
//! base/        the kernel's constants and structures, the maps, words of memory
//! ```
//!
//! How a byte gets into the ledger: a *site* program sees the routine that copied or referenced it and
//! adds it to the accumulators of the current thread ([`book::account::saw`]). When the operation ends, an
//! *interface* program reads what the operation reported as moved, explains it by the accumulators and
//! adds the result to a row ([`book::account::finish`]). The tracepoints backend has no sites:
//! `tracepoint/syscall.rs` concludes the class from the call.
#![no_std]
#![no_main]
// The BPF targets have no atomic read-modify-write in `core`: see `base::atomic::add`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[path = "traffic/bare.rs"]
mod bare;
mod base;
mod beside;
mod book;
mod interface;
mod site;
mod tracepoint;
