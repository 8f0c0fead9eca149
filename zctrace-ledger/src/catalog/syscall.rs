//! The tracepoints backend: system calls, where their functions cannot be traced.

use super::{Exercise, Family, Probe, Role, tp_btf};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "block_bio_queue",
        family: Family::Direct,
        role: Role::SystemCalls,
        ways: &[tp_btf("block_bio_queue", "block_bio_queue")],
        sees: "block requests for a caller's own pages: direct I/O",
        lost: "on the tracepoints backend, that direct I/O was direct",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_enter",
        family: Family::Interface,
        role: Role::SystemCalls,
        ways: &[tp_btf("sys_enter", "sys_enter")],
        woken_by: Some(Exercise::SystemCalls),
        sees: "what an operation works on, where its function cannot be traced",
        lost: "every operation whose function cannot be traced",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_exit",
        family: Family::Interface,
        role: Role::SystemCalls,
        ways: &[tp_btf("sys_exit", "sys_exit")],
        woken_by: Some(Exercise::SystemCalls),
        sees: "what an operation reported, where its function cannot be traced",
        lost: "every operation whose function cannot be traced",
        ..Probe::USUAL
    },
];
