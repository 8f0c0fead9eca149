//! zctrace's BPF programs: one file per probe family, one for accounting, one for the target.
//!
//! How a byte gets into the ledger: a *site* program sees the routine that copied or referenced it
//! and adds it to the accumulators of the current thread ([`account::saw`]); when the operation
//! ends, an *interface* program reads what the operation reported as moved, explains it by the
//! accumulators and adds the result to a row ([`account::finish`]). On the tracepoint backend there
//! are no sites: `syscall.rs` concludes the class from the call.
#![no_std]
#![no_main]
// The BPF targets have no atomic read-modify-write in `core`: see `account::add`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod account;
mod aio;
mod api_file;
mod api_socket;
mod api_splice;
mod audit;
mod claim;
mod direct;
mod fault;
mod file;
mod global;
mod infer;
mod kernel;
mod late;
mod maps;
mod object;
mod overlay;
mod pipe;
mod probe;
mod reflink;
mod request;
mod room;
mod sample;
mod settle;
mod socket;
mod splice;
mod stacks;
mod syscall;
mod target;
mod tls;
mod twin;
mod uring;
mod uring_infer;
mod vm;
mod words;
mod xdp;
mod zerocopy;
mod zerocopy_receive;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
