//! How requests of io_uring are batched.

use super::{Family, Probe, Role, tp_btf};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "io_uring_taken",
        family: Family::Batch,
        role: Role::Beside,
        ways: &[
            tp_btf("io_uring_taken", "io_uring_submit_req"),
            tp_btf("io_uring_taken", "io_uring_submit_sqe"),
        ],
        sees: "requests that are taken out of a submission queue",
        lost: "how many requests are submitted at a time",
        ..Probe::USUAL
    },
    Probe {
        name: "io_uring_cqring_wait",
        family: Family::Batch,
        role: Role::Beside,
        ways: &[tp_btf("io_uring_cqring_wait", "io_uring_cqring_wait")],
        sees: "threads that wait for completions",
        lost: "how many completions there are for each wait",
        ..Probe::USUAL
    },
];
