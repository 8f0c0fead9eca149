//! The tracepoints backend: system calls, where their functions cannot be traced.

use super::{Exercise, Family, Probe, Role, tp_btf};

/// The name of the probe where a system call begins.
pub const SYS_ENTER: &str = "sys_enter";
/// The name of the probe where it ends.
pub const SYS_EXIT: &str = "sys_exit";
pub(super) const BLOCK_BIO_QUEUE: &str = "block_bio_queue";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: BLOCK_BIO_QUEUE,
        family: Family::Direct,
        role: Role::SystemCalls,
        ways: &[tp_btf("block_bio_queue", "block_bio_queue")],
        sees: "block requests for a caller's own pages: direct I/O",
        lost: "on the tracepoints backend, that direct I/O was direct",
        ..Probe::USUAL
    },
    Probe {
        name: SYS_ENTER,
        family: Family::Interface,
        role: Role::SystemCalls,
        ways: &[tp_btf("sys_enter", "sys_enter")],
        woken_by: Some(Exercise::SystemCalls),
        sees: "what an operation works on, where its function cannot be traced",
        lost: "every operation whose function cannot be traced",
        ..Probe::USUAL
    },
    Probe {
        name: SYS_EXIT,
        family: Family::Interface,
        role: Role::SystemCalls,
        ways: &[tp_btf("sys_exit", "sys_exit")],
        woken_by: Some(Exercise::SystemCalls),
        sees: "what an operation reported, where its function cannot be traced",
        lost: "every operation whose function cannot be traced",
        ..Probe::USUAL
    },
];
