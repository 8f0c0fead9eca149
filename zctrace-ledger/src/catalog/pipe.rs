//! Pipes and FIFOs.

use super::{Family, Probe, Role, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "pipe_read",
        family: Family::Pipe,
        role: Role::CopySite,
        ways: &[
            fexit("pipe_read", "anon_pipe_read"),
            fexit("pipe_read", "pipe_read"),
        ],
        sees: "pipe to reader",
        lost: "reads of pipes",
    },
    Probe {
        name: "pipe_write",
        family: Family::Pipe,
        role: Role::CopySite,
        ways: &[
            fexit("pipe_write", "anon_pipe_write"),
            fexit("pipe_write", "pipe_write"),
        ],
        sees: "writer to pipe",
        lost: "writes to pipes",
    },
];
