//! System calls by what they are in the ledger.

use zctrace_common::{AuditKey, Cause, NO_PAYLOAD, Op};

use super::Direction;

/// A kind of caller whose copies are in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Caller {
    /// Index into [`CALLERS`].
    Call(usize),
    /// Calls that are not operations of the ledger: its rows `other` and `copy_up`.
    Other,
    /// The ledger's `unattributed`.
    KernelThread,
}

/// System calls that the ledger counts as operations of one kind.
struct Calls {
    name: &'static str,
    /// Whether an operation of the ledger is made by them.
    makes: fn(Op) -> bool,
    calls: &'static [libc::c_long],
    direction: Direction,
}

const CALLERS: &[Calls] = &[
    Calls {
        name: "read",
        makes: |op| op == Op::Read,
        calls: &[
            libc::SYS_read,
            libc::SYS_pread64,
            libc::SYS_readv,
            libc::SYS_preadv,
            libc::SYS_preadv2,
        ],
        direction: Direction::ToUser,
    },
    Calls {
        name: "write",
        makes: |op| op == Op::Write,
        calls: &[
            libc::SYS_write,
            libc::SYS_pwrite64,
            libc::SYS_writev,
            libc::SYS_pwritev,
            libc::SYS_pwritev2,
        ],
        direction: Direction::FromUser,
    },
    Calls {
        name: "recv",
        makes: |op| matches!(op, Op::Recv | Op::RecvPeek | Op::RecvZerocopy),
        calls: &[
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
            libc::SYS_mq_timedreceive,
            libc::SYS_msgrcv,
        ],
        direction: Direction::ToUser,
    },
    Calls {
        name: "send",
        makes: |op| matches!(op, Op::Send | Op::SendZerocopy),
        calls: &[
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_mq_timedsend,
            libc::SYS_msgsnd,
        ],
        direction: Direction::FromUser,
    },
    Calls {
        name: "sendfile",
        makes: |op| op == Op::Sendfile,
        calls: &[libc::SYS_sendfile],
        direction: Direction::InKernel,
    },
    Calls {
        name: "splice",
        makes: |op| op == Op::Splice,
        calls: &[libc::SYS_splice],
        direction: Direction::InKernel,
    },
    Calls {
        name: "vmsplice",
        makes: |op| op == Op::Vmsplice,
        calls: &[libc::SYS_vmsplice],
        direction: Direction::ToUser,
    },
    Calls {
        name: "copy_file_range",
        makes: |op| op == Op::CopyFileRange,
        calls: &[libc::SYS_copy_file_range],
        direction: Direction::InKernel,
    },
    Calls {
        name: "process_vm_readv and process_vm_writev",
        makes: |op| op == Op::ProcessVm,
        calls: &[libc::SYS_process_vm_readv, libc::SYS_process_vm_writev],
        direction: Direction::ToUser,
    },
    Calls {
        name: "io_submit",
        makes: |op| op.cause() == Cause::Aio,
        calls: &[libc::SYS_io_submit, libc::SYS_io_getevents],
        direction: Direction::ToUser,
    },
    Calls {
        name: "io_uring",
        makes: |op| matches!(op.cause(), Cause::Uring(_)),
        calls: &[libc::SYS_io_uring_enter, libc::SYS_io_uring_setup],
        direction: Direction::ToUser,
    },
];

impl Caller {
    /// The caller with this system call, or the name of one that is not in the ledger.
    pub(super) fn of(nr: i32) -> Result<Self, String> {
        if nr == AuditKey::KERNEL_THREAD {
            return Ok(Self::KernelThread);
        }
        let number = libc::c_long::from(nr);
        let calls = CALLERS
            .iter()
            .position(|entry| entry.calls.contains(&number));
        match calls {
            Some(index) => Ok(Self::Call(index)),
            None => moves_no_payload(nr).map_or(Ok(Self::Other), Err),
        }
    }

    /// The caller behind an operation of the ledger.
    pub(super) fn of_op(op: Op) -> Option<Self> {
        if matches!(op, Op::Other | Op::CopyUp) {
            return Some(Self::Other);
        }
        let index = CALLERS.iter().position(|entry| (entry.makes)(op))?;
        Some(Self::Call(index))
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Call(index) => CALLERS[index].name,
            Self::Other => "calls that are no operation",
            Self::KernelThread => "kernel threads",
        }
    }

    /// The direction of copies that are wasted, or that nobody saw.
    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Call(index) => CALLERS[index].direction,
            Self::KernelThread | Self::Other => Direction::InKernel,
        }
    }
}

/// A call whose copies are nobody's I/O; `None` of one that moves bytes which the ledger has as
/// [`Op::Other`].
fn moves_no_payload(nr: i32) -> Option<String> {
    if nr == -1 {
        return Some("page faults and interrupts".into());
    }
    let call = NO_PAYLOAD.iter().find(|call| call.nr == nr)?;
    Some(call.name.into())
}
