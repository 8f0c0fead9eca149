//! What the kernel knows of programs and links, and aya does not say.

use std::{
    mem,
    os::fd::{AsFd, BorrowedFd},
};

use aya_obj::generated::{bpf_link_info, bpf_prog_info};

use super::bpf;

/// Counters of a program, since it was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgramCounters {
    /// Runs that the kernel skipped: the program was running already, or a kretprobe had no room.
    pub(super) missed: u64,
    /// Runs; 0 unless BPF statistics are on.
    pub(super) runs: u64,
    /// Nanoseconds in the program; 0 unless BPF statistics are on.
    pub(super) ns: u64,
    /// Instructions that the verifier went through before it took the program; 0 before Linux 5.16.
    pub(super) verified: u32,
}

/// The counters of a program; `None` when the kernel does not say.
pub(super) fn counters(fd: impl AsFd) -> Option<ProgramCounters> {
    // SAFETY: a plain C struct for which all zeros are a value.
    let mut answer: bpf_prog_info = unsafe { mem::zeroed() };
    // SAFETY: it is what the kernel reports about a program, and asks for none of its lists.
    unsafe { bpf::info(fd.as_fd(), &mut answer) }.ok()?;
    Some(ProgramCounters {
        missed: answer.recursion_misses,
        runs: answer.run_cnt,
        ns: answer.run_time_ns,
        verified: answer.verified_insns,
    })
}

/// Calls whose return the kretprobe behind a link did not see, because too many were under way; `None`
/// before Linux 6.7, which does not say.
pub(super) fn unseen_returns(link: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: a plain C struct for which all zeros are a value.
    let mut answer: bpf_link_info = unsafe { mem::zeroed() };
    // SAFETY: it is what the kernel reports about a link, and asks for no name.
    let told = unsafe { bpf::info(link, &mut answer) }.ok()?;
    // SAFETY: numbers, of which any bits are values.
    let missed = unsafe {
        &answer
            .__bindgen_anon_1
            .perf_event
            .__bindgen_anon_1
            .kprobe
            .missed
    };
    let end = std::ptr::from_ref(missed) as usize + size_of::<u64>()
        - std::ptr::from_ref(&answer) as usize;
    (told >= end).then_some(*missed)
}
