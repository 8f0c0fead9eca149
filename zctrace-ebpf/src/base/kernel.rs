//! Reading kernel memory.

use aya_ebpf::helpers::{
    bpf_get_current_task_btf, bpf_task_pt_regs,
    generated::{bpf_get_current_cgroup_id, bpf_probe_read_kernel},
};
use zctrace_common::ABSENT;

use crate::base::{maps::offset, syscalls};

/// How a kernel pointer may be read.
pub(crate) trait Access {
    /// Whether a pointer to a file can be null.
    const CAN_BE_NULL: bool;

    /// Reads a `T` at `offset` from `base`.
    fn load<T: Copy + Default>(base: *const u8, offset: u32) -> T;

    /// Reads a pointer at `offset` from `base`; a typed one stays typed.
    fn pointer(base: *const u8, offset: u32) -> *const u8;
}

/// Through a pointer whose type the verifier knows: a plain load, 1 instruction.
pub(crate) struct Typed;

/// Through any pointer: a helper call, some 50 instructions. A fault reads as 0.
pub(crate) struct Probed;

impl Access for Typed {
    const CAN_BE_NULL: bool = false;

    #[inline(always)]
    fn load<T: Copy + Default>(base: *const u8, offset: u32) -> T {
        // SAFETY: the verifier proves the access; faults read as 0.
        unsafe { base.add(offset as usize).cast::<T>().read_volatile() }
    }

    #[inline(always)]
    fn pointer(base: *const u8, offset: u32) -> *const u8 {
        // SAFETY: the verifier proves the access; faults read as 0.
        unsafe {
            base.add(offset as usize)
                .cast::<*const u8>()
                .read_volatile()
        }
    }
}

impl Access for Probed {
    const CAN_BE_NULL: bool = true;

    #[inline(always)]
    fn load<T: Copy + Default>(base: *const u8, offset: u32) -> T {
        let mut value = T::default();
        // SAFETY: the destination is a local of the given size; the helper checks the source.
        unsafe {
            bpf_probe_read_kernel(
                (&raw mut value).cast(),
                size_of::<T>() as u32,
                base.wrapping_add(offset as usize).cast(),
            );
        }
        value
    }

    #[inline(always)]
    fn pointer(base: *const u8, offset: u32) -> *const u8 {
        Self::load::<usize>(base, offset) as *const u8
    }
}

/// Reads the pointer at `offset` from `base`; a typed one stays typed.
#[inline(always)]
pub(crate) fn pointer<A: Access>(base: *const u8, offset: u32) -> *const u8 {
    A::pointer(base, offset)
}

/// Reads a bit: `bit` counts from the start of the structure.
#[inline(always)]
pub(crate) fn bit(base: *const u8, bit: u32) -> bool {
    if bit == ABSENT {
        return false;
    }
    (Probed::load::<u8>(base, bit / 8) >> (bit % 8)) & 1 != 0
}

/// What follows the linear buffer of a packet: `struct skb_shared_info`.
#[inline(always)]
pub(crate) fn shared_info<A: Access>(skb: *const u8) -> *const u8 {
    let head: u64 = A::load(skb, offset!(skb_head));
    let end: u32 = A::load(skb, offset!(skb_end));
    (head + u64::from(end)) as *const u8
}

/// The current `task_struct`.
#[inline(always)]
pub(crate) fn current_task() -> *const u8 {
    // SAFETY: always allowed.
    unsafe { bpf_get_current_task_btf().cast_const().cast() }
}

/// The number of the current thread's system call. For a 32-bit call it is the number of the 64-bit call that does the
/// same. It is -1 for a page fault from user space and for interrupts, and 0 for kernel threads.
#[inline(always)]
pub(crate) fn current_nr() -> i32 {
    let nr = plain_nr();
    if is_compat() {
        syscalls::native(nr)
    } else {
        nr
    }
}

/// The same, but a 32-bit system call has its own number.
#[inline(always)]
fn plain_nr() -> i32 {
    // Each as wide as the field is: the verifier takes nothing that goes beyond it.
    #[cfg(bpf_target_arch = "aarch64")]
    let nr = Typed::load::<i32>(current_regs(), offset!(regs_nr));
    #[cfg(not(bpf_target_arch = "aarch64"))]
    let nr = Typed::load::<i64>(current_regs(), offset!(regs_nr)) as i32;
    nr
}

/// Whether the current thread is in `io_uring_enter`, which has one number everywhere.
#[inline(always)]
pub(crate) fn submits() -> bool {
    plain_nr() == syscalls::IO_URING_ENTER
}

/// The current thread is in a 32-bit system call, with numbers of its own: `TS_COMPAT`, or `TIF_32BIT` of
/// its process where no process can make calls of both kinds.
#[inline(always)]
pub(crate) fn is_compat() -> bool {
    #[cfg(bpf_target_arch = "aarch64")]
    let is_compat = Typed::load::<u64>(current_task(), offset!(task_status)) & 1 << 22 != 0;
    #[cfg(not(bpf_target_arch = "aarch64"))]
    let is_compat = Typed::load::<u32>(current_task(), offset!(task_status)) & 2 != 0;
    is_compat
}

/// The registers with which the current thread entered the kernel.
#[inline(always)]
pub(crate) fn current_regs() -> *const u8 {
    // SAFETY: the helper takes the current task.
    unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8 }
}

/// An argument of a system call, from the registers with which it entered the kernel (typed pointer).
#[inline(always)]
pub(crate) fn call_argument(regs: *const u8, index: u32) -> u64 {
    let offset = match index {
        0 => offset!(regs_arg0),
        1 => offset!(regs_arg1),
        2 => offset!(regs_arg2),
        3 => offset!(regs_arg3),
        4 => offset!(regs_arg4),
        _ => offset!(regs_arg5),
    };
    Typed::load(regs, offset)
}

/// The cgroup (v2) of the current task.
#[inline(always)]
pub(crate) fn current_cgroup() -> u64 {
    // SAFETY: always allowed.
    unsafe { bpf_get_current_cgroup_id() }
}
