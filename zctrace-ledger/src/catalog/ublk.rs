//! ublk: block devices that processes serve.

use zctrace_common::Op;

use super::{Family, Probe, Proof, Role, Sign, fentry_of, fexit_of, kretprobe};

const MODULE: &str = "ublk_drv";

/// Without it, nothing is known of what commands of ublk copy.
pub const UBLK_COPIES: &str = "ublk_copy_user_pages";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: UBLK_COPIES,
        family: Family::Ublk,
        role: Role::CopySite,
        ways: &[
            fexit_of(MODULE, "ublk_copy", "ublk_copy_user_pages"),
            // Where the compiler has changed its arguments.
            kretprobe("ublk_copy_kretprobe", "ublk_copy_user_pages.isra.0"),
        ],
        sign: Some(Sign::File("/sys/module/ublk_drv")),
        proof: Proof::Unplugged(&[("ublk-user-copy", &[Op::Read, Op::Write])]),
        sees: "block request to or from a ublk server's memory",
        lost: "what ublk copies to and from its servers",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_dispatch",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[
            fentry_of(MODULE, "ublk_dispatch_enter", "ublk_cmd_tw_cb"),
            fentry_of(MODULE, "ublk_dispatch_enter", "ublk_rq_task_work_cb"),
        ],
        sees: "task work gives a ublk server a block request",
        lost: "which command ublk copies for",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_dispatch_end",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[
            fexit_of(MODULE, "ublk_dispatch_exit", "ublk_cmd_tw_cb"),
            fexit_of(MODULE, "ublk_dispatch_exit", "ublk_rq_task_work_cb"),
        ],
        sees: "task work is done with it",
        lost: "nothing: the thread seems to work on it until it does something else",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_command",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[fentry_of(
            MODULE,
            "ublk_command_enter",
            "ublk_ch_uring_cmd_cb",
        )],
        sees: "task work tries a command of a ublk server again",
        lost: "which command ublk copies for",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_command_end",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[fexit_of(
            MODULE,
            "ublk_command_exit",
            "ublk_ch_uring_cmd_cb",
        )],
        sees: "task work is done with it",
        lost: "nothing: the thread seems to work on it until it does something else",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_dispatch_batch",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[fentry_of(
            MODULE,
            "ublk_dispatch_batch_enter",
            "ublk_batch_tw_cb",
        )],
        sees: "task work gives a ublk server a batch of block requests",
        lost: "which command ublk copies for",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_dispatch_batch_end",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[fexit_of(
            MODULE,
            "ublk_dispatch_batch_exit",
            "ublk_batch_tw_cb",
        )],
        sees: "task work is done with the batch",
        lost: "nothing: the thread seems to work on it until it does something else",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_dispatch_list",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[fentry_of(
            MODULE,
            "ublk_dispatch_list_enter",
            "ublk_cmd_list_tw_cb",
        )],
        sees: "task work gives a ublk server several block requests",
        lost: "which command ublk copies for",
        ..Probe::USUAL
    },
    Probe {
        name: "ublk_dispatch_list_end",
        family: Family::Ublk,
        role: Role::SomeRequests,
        ways: &[fexit_of(
            MODULE,
            "ublk_dispatch_list_exit",
            "ublk_cmd_list_tw_cb",
        )],
        sees: "task work is done with them",
        lost: "nothing: the thread seems to work on it until it does something else",
        ..Probe::USUAL
    },
];
