//! Linux AIO. It has no tracepoints. The tracepoints backend follows requests from `io_submit` to `io_getevents`.

use super::{Family, Probe, Role, Sign, fentry, fexit};

/// All operations of AIO.
const NOTHING: &str = "Linux AIO is not seen";

const SIGN: Sign = Sign::File("/proc/sys/fs/aio-max-nr");

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "aio_read",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fentry("aio_read", "aio_read", &["*kiocb"])],
        sign: Some(SIGN),
        sees: "a read is submitted",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "aio_write",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fentry("aio_write", "aio_write", &["*kiocb"])],
        sign: Some(SIGN),
        sees: "a write is submitted",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "io_submit_one",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fexit("io_submit_one", "io_submit_one", &["*kioctx"])],
        sign: Some(SIGN),
        sees: "a request has been submitted",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "aio_complete_rw",
        family: Family::Aio,
        role: Role::Requests,
        ways: &[fentry("aio_complete_rw", "aio_complete_rw", &["*kiocb"])],
        sign: Some(SIGN),
        sees: "completions",
        lost: NOTHING,
        ..Probe::USUAL
    },
];
