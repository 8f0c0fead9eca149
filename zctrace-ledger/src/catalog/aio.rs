//! Linux AIO. It has no tracepoints, so the tracepoints backend sees nothing of it.

use super::{Family, Probe, Role, fentry, fexit};

/// All operations of AIO.
const NOTHING: &str = "Linux AIO is not seen";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "aio_read",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fentry("aio_read", "aio_read", &["*kiocb"])],
        sees: "a read is submitted",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "aio_write",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fentry("aio_write", "aio_write", &["*kiocb"])],
        sees: "a write is submitted",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "io_submit_one",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fexit("io_submit_one", "io_submit_one", &["*kioctx"])],
        sees: "a request has been submitted",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "aio_complete_rw",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fentry("aio_complete_rw", "aio_complete_rw", &["*kiocb"])],
        sees: "completions",
        lost: NOTHING,
        ..Probe::USUAL
    },
];
