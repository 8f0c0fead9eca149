//! What a call has in the application's memory.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_user;

/// What is at an address, if it can be read.
#[inline(always)]
pub(super) fn readable<T: Copy + Default>(address: u64) -> Option<T> {
    let mut value = T::default();
    (read(address, &mut value) == 0).then_some(value)
}

/// What is at an address; a fault reads as 0. No branch, so that loops stay short for the verifier.
#[inline(always)]
pub(super) fn user_memory<T: Copy + Default>(address: u64) -> T {
    let mut value = T::default();
    read(address, &mut value);
    value
}

/// A number of eight bytes, as [`user_memory`] reads it.
#[inline(always)]
pub(super) fn user(address: u64) -> u64 {
    user_memory(address)
}

/// Reads an address into `to`. Not 0 if it faults, when `to` is zeros.
#[inline(always)]
fn read<T: Copy>(address: u64, to: &mut T) -> i64 {
    // SAFETY: the destination has the given size, and any bytes of it were a `T` before; the helper checks the source.
    unsafe {
        bpf_probe_read_user(
            (&raw mut *to).cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        )
    }
}
