//! Pipes and FIFOs.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "pipe_read",
        family: Family::Pipe,
        role: Role::CopySite,
        ways: &[
            fexit("pipe_read", "anon_pipe_read", &["*kiocb"]),
            fexit("pipe_read", "pipe_read", &["*kiocb"]),
        ],
        woken_by: Some(Exercise::Pipes),
        proof: Proof::Unplugged(&[("pipe", &[Op::Read])]),
        sees: "pipe to reader",
        lost: "reads of pipes",
        ..Probe::USUAL
    },
    Probe {
        name: "pipe_write",
        family: Family::Pipe,
        role: Role::CopySite,
        ways: &[
            fexit("pipe_write", "anon_pipe_write", &["*kiocb"]),
            fexit("pipe_write", "pipe_write", &["*kiocb"]),
        ],
        woken_by: Some(Exercise::Pipes),
        proof: Proof::Unplugged(&[("pipe", &[Op::Write])]),
        sees: "writer to pipe",
        lost: "writes to pipes",
        ..Probe::USUAL
    },
];
