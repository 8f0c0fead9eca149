//! System call numbers that affect a decision. All others are ignored.

use zctrace_common::NO_PAYLOAD;

pub(crate) const IO_URING_ENTER: i32 = 426;
pub(crate) const IO_URING_REGISTER: i32 = 427;
pub(crate) const PROCESS_MADVISE: i32 = 440;

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
    pub(crate) const MQ_TIMEDSEND: i32 = 182;
    pub(crate) const MQ_TIMEDRECEIVE: i32 = 183;
    pub(crate) const MSGSND: i32 = 189;
    pub(crate) const MSGRCV: i32 = 188;
    pub(crate) const IO_PGETEVENTS: i32 = 292;
    pub(crate) const IO_SUBMIT_IN_32_BITS: i32 = 246;
    pub(crate) const GETSOCKOPT: i32 = 209;
    pub(crate) const SETSOCKOPT: i32 = 208;
    pub(crate) const RECVMMSG: i32 = 243;
    pub(crate) const SENDMMSG: i32 = 269;
    pub(crate) const PROCESS_VM_READV: i32 = 270;
    pub(crate) const PROCESS_VM_WRITEV: i32 = 271;
    pub(crate) const COPY_FILE_RANGE: i32 = 285;
    pub(crate) const MMAP: i32 = 222;
    pub(crate) const MADVISE: i32 = 233;
    pub(crate) const MLOCK: i32 = 228;
    pub(crate) const MLOCK2: i32 = 284;
    pub(crate) const MLOCKALL: i32 = 230;
    pub(crate) const MPROTECT: i32 = 226;
    pub(crate) const PKEY_MPROTECT: i32 = 288;
    pub(crate) const MREMAP: i32 = 216;
    pub(crate) const PTRACE: i32 = 117;
}

#[cfg(not(bpf_target_arch = "aarch64"))]
mod arch {
    pub(crate) const READ: i32 = 0;
    pub(crate) const WRITE: i32 = 1;
    pub(crate) const MMAP: i32 = 9;
    pub(crate) const IOCTL: i32 = 16;
    pub(crate) const MADVISE: i32 = 28;
    pub(crate) const MLOCK: i32 = 149;
    pub(crate) const MLOCK2: i32 = 325;
    pub(crate) const MLOCKALL: i32 = 151;
    pub(crate) const MPROTECT: i32 = 10;
    pub(crate) const PKEY_MPROTECT: i32 = 329;
    pub(crate) const MREMAP: i32 = 25;
    pub(crate) const PTRACE: i32 = 101;
    pub(crate) const IO_SUBMIT: i32 = 209;
    pub(crate) const IO_GETEVENTS: i32 = 208;
    pub(crate) const MQ_TIMEDSEND: i32 = 242;
    pub(crate) const MQ_TIMEDRECEIVE: i32 = 243;
    pub(crate) const MSGSND: i32 = 69;
    pub(crate) const MSGRCV: i32 = 70;
    pub(crate) const IO_PGETEVENTS: i32 = 333;
    pub(crate) const IO_SUBMIT_IN_32_BITS: i32 = 248;
    pub(crate) const GETSOCKOPT: i32 = 55;
    pub(crate) const SETSOCKOPT: i32 = 54;
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

/// Numbers of 32-bit calls with the 64-bit call that does the same: `arch/x86/entry/syscalls/syscall_32.tbl`.
#[cfg(not(bpf_target_arch = "aarch64"))]
const IN_32_BITS: [(usize, i32); 26] = [
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

/// The same of 32-bit Arm: `arch/arm/tools/syscall.tbl`.
#[cfg(bpf_target_arch = "aarch64")]
const IN_32_BITS: [(usize, i32); 28] = [
    (3, READ),
    (4, WRITE),
    (54, IOCTL),
    (145, READV),
    (146, WRITEV),
    (180, PREAD64),
    (181, PWRITE64),
    (187, SENDFILE),
    (239, SENDFILE),
    // send and recv.
    (289, SENDTO),
    (290, SENDTO),
    (291, RECVFROM),
    (292, RECVFROM),
    (295, GETSOCKOPT),
    (296, SENDMSG),
    (297, RECVMSG),
    (340, SPLICE),
    (342, TEE),
    (343, VMSPLICE),
    (361, PREADV),
    (362, PWRITEV),
    (365, RECVMMSG),
    (374, SENDMMSG),
    (376, PROCESS_VM_READV),
    (377, PROCESS_VM_WRITEV),
    (391, COPY_FILE_RANGE),
    (392, PREADV2),
    (393, PWRITEV2),
];

/// By the number of a 32-bit call: the 64-bit call that does the same, if it is one of those above. In a
/// map, so that the verifier does not follow each.
static NATIVE: [i16; 512] = {
    let mut natives = [NONE as i16; 512];
    let mut i = 0;
    while i < IN_32_BITS.len() {
        natives[IN_32_BITS[i].0] = IN_32_BITS[i].1 as i16;
        i += 1;
    }
    natives
};

/// A call that affects no decision.
const NONE: i32 = -2;

/// The 64-bit call that does what the 32-bit call with this number does, if it affects a decision.
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

/// 32-bit calls that move bytes and have no entry in [`NATIVE`]. `socketcall` (102) and `ipc` (117) may. The interfaces
/// of message queues see only the 64-bit calls, so what sites see in these calls belongs to no operation.
#[cfg(not(bpf_target_arch = "aarch64"))]
const fn moves_only_in_32_bits(nr: i32) -> bool {
    matches!(nr, 102 | 117 | 279 | 280 | 400 | 401 | 418 | 419)
}

/// The same of 32-bit Arm, which has neither `socketcall` nor `ipc`.
#[cfg(bpf_target_arch = "aarch64")]
const fn moves_only_in_32_bits(nr: i32) -> bool {
    matches!(nr, 276 | 277 | 301 | 302 | 418 | 419)
}

/// Whether the 32-bit call with this number moves bytes.
#[inline(always)]
pub(crate) fn moves_in_32_bits(nr: i32) -> bool {
    moves_only_in_32_bits(nr) || !matches!(native(nr), NONE | IOCTL | GETSOCKOPT)
}

/// By number: 1 for calls that are operations of the ledger or carry them, and for calls that move no payload. It is in
/// a map so that the verifier does not follow each.
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

/// Calls whose bytes an interface reports. `ioctl` is not one of them: the operations that it carries are settled by
/// their own interfaces, and the rest belongs to another kind of ioctl.
const OPERATIONS: &[i32] = &[
    READ,
    WRITE,
    IO_SUBMIT,
    IO_GETEVENTS,
    IO_PGETEVENTS,
    IO_URING_ENTER,
    MQ_TIMEDSEND,
    MQ_TIMEDRECEIVE,
    MSGSND,
    MSGRCV,
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

/// Whether the bytes that sites see in a call belong to no operation. This includes exceptions (-1: a core dump, a
/// fault) and 32-bit calls without a number here.
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
