//! io_uring.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, fentry, fexit, tp_btf};

/// All operations of io_uring.
const NOTHING: &str = "io_uring is not seen";

/// The name of the probe where a thread begins to work on a request.
pub const IO_ISSUE_SQE_ENTER: &str = "io_issue_sqe_enter";
pub(super) const IO_URING_SUBMIT_REQ: &str = "io_uring_submit_req";
/// The name of the probe of completions where only submissions are seen.
pub const IO_URING_COMPLETE_INFERRED: &str = "io_uring_complete_inferred";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: IO_ISSUE_SQE_ENTER,
        family: Family::Uring,
        role: Role::Requests,
        ways: &[fentry("io_issue_sqe_enter", "io_issue_sqe", &["*io_kiocb"])],
        woken_by: Some(Exercise::Ring),
        sees: "a thread begins to work on a request",
        lost: "how the bytes of io_uring moved",
        ..Probe::USUAL
    },
    Probe {
        name: "io_req_task_submit",
        family: Family::Uring,
        role: Role::Requests,
        ways: &[fexit(
            "io_req_task_submit",
            "io_req_task_submit",
            &["*io_kiocb", "io_tw_req"],
        )],
        sees: "task work stops working on a request for now",
        lost: "how the bytes of io_uring moved",
        ..Probe::USUAL
    },
    Probe {
        name: "io_uring_complete",
        family: Family::Uring,
        role: Role::Requests,
        ways: &[tp_btf("io_uring_complete", "io_uring_complete")],
        woken_by: Some(Exercise::Ring),
        sees: "completions",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "io_uring_cqe_overflow",
        family: Family::Uring,
        role: Role::Requests,
        ways: &[tp_btf("io_uring_cqe_overflow", "io_uring_cqe_overflow")],
        sees: "completions for which the completion queue has no room",
        lost: "requests whose completion found no room in the completion queue",
        ..Probe::USUAL
    },
    // From 6.15 on, it no longer calls `io_issue_sqe`.
    Probe {
        name: "io_poll_issue_enter",
        family: Family::Uring,
        role: Role::SomeRequests,
        ways: &[fentry(
            "io_poll_issue_enter",
            "io_poll_issue",
            &["*io_kiocb"],
        )],
        sees: "a thread works on a multishot request that has waited",
        lost: "multishot requests that had to wait",
        ..Probe::USUAL
    },
    Probe {
        name: "io_poll_issue_exit",
        family: Family::Uring,
        role: Role::SomeRequests,
        ways: &[fexit("io_poll_issue_exit", "io_poll_issue", &["*io_kiocb"])],
        sees: "a thread stops working on such a request for now",
        lost: "nothing: the thread seems to work on it until it does something else",
        ..Probe::USUAL
    },
    Probe {
        name: "io_uring_release",
        family: Family::Uring,
        role: Role::SomeRequests,
        ways: &[fentry("io_uring_release", "io_uring_release", &["*inode"])],
        woken_by: Some(Exercise::Ring),
        sees: "rings that are closed",
        lost: "a thread's last request, if it does not report success (IOSQE_CQE_SKIP_SUCCESS)",
        ..Probe::USUAL
    },
    Probe {
        name: "io_wq_submit_work",
        family: Family::Uring,
        role: Role::SomeRequests,
        ways: &[fexit(
            "io_wq_submit_work",
            "io_wq_submit_work",
            &["*io_wq_work"],
        )],
        sees: "requests of workers that do not report success (IOSQE_CQE_SKIP_SUCCESS)",
        lost: "requests of workers that do not report success (IOSQE_CQE_SKIP_SUCCESS)",
        ..Probe::USUAL
    },
    Probe {
        name: "io_req_rw_complete",
        family: Family::Uring,
        role: Role::SomeRequests,
        ways: &[fexit(
            "io_req_rw_complete",
            "io_req_rw_complete",
            &["*io_kiocb", "io_tw_req"],
        )],
        sees: "direct reads and writes that do not report success (IOSQE_CQE_SKIP_SUCCESS)",
        lost: "direct reads and writes that do not report success (IOSQE_CQE_SKIP_SUCCESS)",
        ..Probe::USUAL
    },
    Probe {
        name: "io_zcrx_copy_chunk",
        family: Family::Uring,
        role: Role::CopySite,
        ways: &[fexit(
            "io_zcrx_copy_chunk",
            "io_zcrx_copy_chunk",
            &["*io_kiocb"],
        )],
        proof: Proof::Unplugged(&[("uring-recv-zc", &[Op::UringRecvZc])]),
        sees: "packet to the application's memory: zero-copy receives where no device has put it there",
        lost: "zero-copy receives of io_uring that are none",
        ..Probe::USUAL
    },
    Probe {
        name: "tcp_read_sock",
        family: Family::Uring,
        role: Role::SomeRequests,
        ways: &[fexit("tcp_read_sock", "tcp_read_sock", &["*sock"])],
        sees: "zero-copy receives of io_uring: what they take from their sockets",
        lost: "zero-copy receives of io_uring",
        ..Probe::USUAL
    },
    Probe {
        name: IO_URING_SUBMIT_REQ,
        family: Family::Uring,
        role: Role::Submissions,
        ways: &[
            tp_btf("io_uring_submit_req", "io_uring_submit_req"),
            tp_btf("io_uring_submit_req", "io_uring_submit_sqe"),
        ],
        woken_by: Some(Exercise::Ring),
        sees: "submissions, where io_issue_sqe cannot be traced",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "io_uring_queue_async_work",
        family: Family::Uring,
        role: Role::Submissions,
        ways: &[tp_btf(
            "io_uring_queue_async_work",
            "io_uring_queue_async_work",
        )],
        sees: "requests that are left to a worker, where io_issue_sqe cannot be traced",
        lost: "which requests of io_uring a worker did",
        ..Probe::USUAL
    },
    Probe {
        name: "io_uring_poll_arm",
        family: Family::Uring,
        role: Role::Submissions,
        ways: &[tp_btf("io_uring_poll_arm", "io_uring_poll_arm")],
        sees: "requests that task work will try again, where io_issue_sqe cannot be traced",
        lost: "which requests of io_uring were done in task work",
        ..Probe::USUAL
    },
    Probe {
        name: IO_URING_COMPLETE_INFERRED,
        family: Family::Uring,
        role: Role::Submissions,
        ways: &[tp_btf("io_uring_complete_inferred", "io_uring_complete")],
        woken_by: Some(Exercise::Ring),
        sees: "completions, where io_issue_sqe cannot be traced",
        lost: NOTHING,
        ..Probe::USUAL
    },
    Probe {
        name: "io_uring_cqe_overflow_inferred",
        family: Family::Uring,
        role: Role::Submissions,
        ways: &[tp_btf(
            "io_uring_cqe_overflow_inferred",
            "io_uring_cqe_overflow",
        )],
        sees: "completions without room in the completion queue, where io_issue_sqe cannot be traced",
        lost: "requests whose completion found no room in the completion queue",
        ..Probe::USUAL
    },
];
