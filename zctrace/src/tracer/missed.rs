//! What the kernel knows of a loaded program and aya does not tell.

use std::{mem, os::fd::AsRawFd as _};

use aya::programs::ProgramFd;
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_info};

/// Counters of a program, since it was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgramCounters {
    /// Runs that the kernel skipped because the program was running already.
    pub(super) missed: u64,
    /// Runs; 0 unless BPF statistics are on.
    pub(super) runs: u64,
    /// Nanoseconds in the program; 0 unless BPF statistics are on.
    pub(super) ns: u64,
}

/// The counters of a program; `None` when the kernel does not tell.
pub(super) fn counters(fd: &ProgramFd) -> Option<ProgramCounters> {
    // SAFETY: both are plain C structs for which all zeros are a value.
    let (mut answer, mut attr): (bpf_prog_info, bpf_attr) = unsafe { mem::zeroed() };
    attr.info.bpf_fd = std::os::fd::AsFd::as_fd(fd).as_raw_fd().cast_unsigned();
    attr.info.info = (&raw mut answer) as u64;
    attr.info.info_len = size_of::<bpf_prog_info>() as u32;
    // SAFETY: `attr` says where the answer goes and how much room there is.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_OBJ_GET_INFO_BY_FD as libc::c_long,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    (result == 0).then_some(ProgramCounters {
        missed: answer.recursion_misses,
        runs: answer.run_cnt,
        ns: answer.run_time_ns,
    })
}
