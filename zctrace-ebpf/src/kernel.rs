//! Reading kernel memory.

use aya_ebpf::helpers::{
    bpf_get_current_task_btf, bpf_task_pt_regs,
    generated::{bpf_get_current_cgroup_id, bpf_probe_read_kernel},
};
use zctrace_common::{ABSENT, Task};

use crate::maps::offset;

/// How a kernel pointer may be read.
pub(crate) trait Access {
    /// Whether a pointer to a file can be null.
    const CAN_BE_NULL: bool;

    /// Reads a `T` at `offset` from `base`.
    fn load<T: Copy + Default>(base: *const u8, offset: u32) -> T;

    /// Reads a pointer at `offset` from `base`; a typed one stays typed.
    fn pointer(base: *const u8, offset: u32) -> *const u8;
}

/// Through a pointer that the verifier knows the type of: a plain load, 1 instruction.
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

/// The current `task_struct`.
#[inline(always)]
pub(crate) fn current_task() -> *const u8 {
    // SAFETY: always allowed.
    unsafe { bpf_get_current_task_btf().cast_const().cast() }
}

/// Passes a value through a map. A typed pointer comes out as a number, with which the verifier
/// allows arithmetic, and a number comes out as one of which the verifier knows nothing, so that it
/// does not follow each of its values separately.
#[inline(always)]
pub(crate) fn opaque(task: &mut Task, value: u64) -> u64 {
    let scratch = &raw mut task.scratch;
    // SAFETY: a field of a map value.
    unsafe {
        scratch.write_volatile(value);
        scratch.read_volatile()
    }
}

/// The number of the system call that the current thread is in, for a 32-bit one that of the 64-bit
/// call that does the same; of a page fault from user space and of interrupts -1; of kernel threads 0.
#[inline(always)]
pub(crate) fn current_nr() -> i32 {
    let nr = plain_nr();
    if is_compat() { nr::native(nr) } else { nr }
}

/// The same, of a 32-bit system call its own number.
#[inline(always)]
fn plain_nr() -> i32 {
    Typed::load::<i64>(current_regs(), offset!(regs_nr)) as i32
}

/// Whether the current thread is in `io_uring_enter`, which has one number everywhere.
#[inline(always)]
pub(crate) fn submits() -> bool {
    plain_nr() == nr::IO_URING_ENTER
}

/// `TS_COMPAT`: the current thread is in a 32-bit system call, with numbers of its own.
#[inline(always)]
pub(crate) fn is_compat() -> bool {
    const TS_COMPAT: u32 = 2;
    Typed::load::<u32>(current_task(), offset!(task_status)) & TS_COMPAT != 0
}

/// The registers with which the current thread entered the kernel.
#[inline(always)]
pub(crate) fn current_regs() -> *const u8 {
    // SAFETY: the helper takes the current task.
    unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8 }
}

/// The cgroup (v2) of the current task.
#[inline(always)]
pub(crate) fn current_cgroup() -> u64 {
    // SAFETY: always allowed.
    unsafe { bpf_get_current_cgroup_id() }
}

/// System call numbers that decide something. Others are not looked at.
pub(crate) mod nr {
    use zctrace_common::NO_PAYLOAD;

    pub(crate) const IO_URING_ENTER: i32 = 426;

    #[cfg(bpf_target_arch = "aarch64")]
    mod arch {
        pub(crate) const PREADV2: i32 = 286;
        pub(crate) const PWRITEV2: i32 = 287;
        pub(crate) const READ: i32 = 63;
        pub(crate) const WRITE: i32 = 64;
        pub(crate) const READV: i32 = 65;
        pub(crate) const WRITEV: i32 = 66;
        pub(crate) const PREAD64: i32 = 67;
        pub(crate) const PWRITE64: i32 = 68;
        pub(crate) const PREADV: i32 = 69;
        pub(crate) const PWRITEV: i32 = 70;
        pub(crate) const SENDFILE: i32 = 71;
        pub(crate) const VMSPLICE: i32 = 75;
        pub(crate) const SPLICE: i32 = 76;
        pub(crate) const TEE: i32 = 77;
        pub(crate) const SENDTO: i32 = 206;
        pub(crate) const RECVFROM: i32 = 207;
        pub(crate) const SENDMSG: i32 = 211;
        pub(crate) const RECVMSG: i32 = 212;
        pub(crate) const IOCTL: i32 = 29;
        pub(crate) const IO_SUBMIT: i32 = 2;
        pub(crate) const IO_GETEVENTS: i32 = 4;
        pub(crate) const IO_PGETEVENTS: i32 = 292;
        pub(crate) const IO_SUBMIT_IN_32_BITS: i32 = 246;
        pub(crate) const GETSOCKOPT: i32 = 209;
        pub(crate) const RECVMMSG: i32 = 243;
        pub(crate) const SENDMMSG: i32 = 269;
        pub(crate) const PROCESS_VM_READV: i32 = 270;
        pub(crate) const PROCESS_VM_WRITEV: i32 = 271;
        pub(crate) const COPY_FILE_RANGE: i32 = 285;
    }

    #[cfg(not(bpf_target_arch = "aarch64"))]
    mod arch {
        pub(crate) const READ: i32 = 0;
        pub(crate) const WRITE: i32 = 1;
        pub(crate) const IOCTL: i32 = 16;
        pub(crate) const IO_SUBMIT: i32 = 209;
        pub(crate) const IO_GETEVENTS: i32 = 208;
        pub(crate) const IO_PGETEVENTS: i32 = 333;
        pub(crate) const IO_SUBMIT_IN_32_BITS: i32 = 248;
        pub(crate) const GETSOCKOPT: i32 = 55;
        pub(crate) const PREAD64: i32 = 17;
        pub(crate) const PWRITE64: i32 = 18;
        pub(crate) const READV: i32 = 19;
        pub(crate) const WRITEV: i32 = 20;
        pub(crate) const SENDFILE: i32 = 40;
        pub(crate) const SENDTO: i32 = 44;
        pub(crate) const RECVFROM: i32 = 45;
        pub(crate) const SENDMSG: i32 = 46;
        pub(crate) const RECVMSG: i32 = 47;
        pub(crate) const SPLICE: i32 = 275;
        pub(crate) const TEE: i32 = 276;
        pub(crate) const VMSPLICE: i32 = 278;
        pub(crate) const PREADV: i32 = 295;
        pub(crate) const PWRITEV: i32 = 296;
        pub(crate) const RECVMMSG: i32 = 299;
        pub(crate) const SENDMMSG: i32 = 307;
        pub(crate) const PROCESS_VM_READV: i32 = 310;
        pub(crate) const PROCESS_VM_WRITEV: i32 = 311;
        pub(crate) const COPY_FILE_RANGE: i32 = 326;
        pub(crate) const PREADV2: i32 = 327;
        pub(crate) const PWRITEV2: i32 = 328;
    }

    pub(crate) use arch::*;

    /// By the number of a 32-bit call (`arch/x86/entry/syscalls/syscall_32.tbl`): the 64-bit call that
    /// does the same, if it is one of those above. In a map, so that the verifier does not follow each.
    #[cfg(not(bpf_target_arch = "aarch64"))]
    static NATIVE: [i16; 512] = {
        let mut natives = [NONE as i16; 512];
        let known = [
            (3, READ),
            (4, WRITE),
            (54, IOCTL),
            (145, READV),
            (146, WRITEV),
            (180, PREAD64),
            (181, PWRITE64),
            (187, SENDFILE),
            (239, SENDFILE),
            (313, SPLICE),
            (315, TEE),
            (316, VMSPLICE),
            (333, PREADV),
            (334, PWRITEV),
            (337, RECVMMSG),
            (345, SENDMMSG),
            (347, PROCESS_VM_READV),
            (348, PROCESS_VM_WRITEV),
            (365, GETSOCKOPT),
            (369, SENDTO),
            (370, SENDMSG),
            (371, RECVFROM),
            (372, RECVMSG),
            (377, COPY_FILE_RANGE),
            (378, PREADV2),
            (379, PWRITEV2),
        ];
        let mut i = 0;
        while i < known.len() {
            natives[known[i].0] = known[i].1 as i16;
            i += 1;
        }
        natives
    };

    /// No call that decides anything.
    const NONE: i32 = -2;

    /// The 64-bit call that does what the 32-bit call with this number does, if it decides anything.
    #[cfg(not(bpf_target_arch = "aarch64"))]
    #[inline(always)]
    pub(crate) fn native(nr: i32) -> i32 {
        let nr = nr as u32 as usize;
        if nr >= NATIVE.len() {
            return NONE;
        }
        let natives = &raw const NATIVE;
        // SAFETY: within the array.
        i32::from(unsafe { natives.cast::<i16>().add(nr).read_volatile() })
    }

    /// What marks 32-bit calls on x86 is something else on this processor.
    #[cfg(bpf_target_arch = "aarch64")]
    #[inline(always)]
    pub(crate) const fn native(_nr: i32) -> i32 {
        NONE
    }

    /// Whether it is, as the number of a 32-bit call, one that moves bytes. `socketcall` (102) may.
    /// None of these numbers is that of a 64-bit call that does.
    #[inline(always)]
    pub(crate) fn moves_in_32_bits(nr: i32) -> bool {
        nr == 102 || !matches!(native(nr), NONE | IOCTL | GETSOCKOPT)
    }

    /// By number: 1 for the calls that are operations of the ledger, or carry them, and for those
    /// that move no payload. In a map, so that the verifier does not follow each.
    static ACCOUNTED: [u8; 512] = {
        let mut accounted = [0; 512];
        let mut i = 0;
        while i < OPERATIONS.len() {
            accounted[OPERATIONS[i] as usize] = 1;
            i += 1;
        }
        i = 0;
        while i < NO_PAYLOAD.len() {
            accounted[NO_PAYLOAD[i].nr as usize] = 1;
            i += 1;
        }
        accounted
    };

    /// Calls whose bytes an interface reports. `ioctl` is not among them: the operations that it
    /// carries are settled by their own interfaces, and what is left is another request's.
    const OPERATIONS: &[i32] = &[
        READ,
        WRITE,
        IO_SUBMIT,
        IO_GETEVENTS,
        IO_PGETEVENTS,
        IO_URING_ENTER,
        PREAD64,
        PWRITE64,
        READV,
        WRITEV,
        SENDFILE,
        SENDTO,
        RECVFROM,
        SENDMSG,
        RECVMSG,
        SPLICE,
        TEE,
        VMSPLICE,
        PREADV,
        PWRITEV,
        RECVMMSG,
        SENDMMSG,
        PROCESS_VM_READV,
        PROCESS_VM_WRITEV,
        COPY_FILE_RANGE,
        PREADV2,
        PWRITEV2,
    ];

    /// Whether the bytes that sites see in a call belong to no operation: those of exceptions
    /// (-1: a core dump, a fault) and of 32-bit calls without a number here among them.
    #[inline(always)]
    pub(crate) fn is_other(nr: i32) -> bool {
        let nr = nr as u32 as usize;
        if nr >= ACCOUNTED.len() {
            return true;
        }
        let accounted = &raw const ACCOUNTED;
        // SAFETY: within the array.
        unsafe { accounted.cast::<u8>().add(nr).read_volatile() == 0 }
    }
}
