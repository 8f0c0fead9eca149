//! System calls by what they are in the ledger.

use zctrace_common::{AuditKey, NO_PAYLOAD, Op};

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
    /// The first word of the ledger's operations: `uring` for `uring.read`.
    op: &'static str,
    calls: &'static [libc::c_long],
    direction: Direction,
}

const CALLERS: &[Calls] = &[
    Calls {
        name: "read",
        op: "read",
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
        op: "write",
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
        op: "recv",
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
        op: "send",
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
        op: "sendfile",
        calls: &[libc::SYS_sendfile],
        direction: Direction::InKernel,
    },
    Calls {
        name: "splice",
        op: "splice",
        calls: &[libc::SYS_splice],
        direction: Direction::InKernel,
    },
    Calls {
        name: "vmsplice",
        op: "vmsplice",
        calls: &[libc::SYS_vmsplice],
        direction: Direction::ToUser,
    },
    Calls {
        name: "copy_file_range",
        op: "copy_file_range",
        calls: &[libc::SYS_copy_file_range],
        direction: Direction::InKernel,
    },
    Calls {
        name: "process_vm_readv and process_vm_writev",
        op: "process_vm",
        calls: &[libc::SYS_process_vm_readv, libc::SYS_process_vm_writev],
        direction: Direction::ToUser,
    },
    Calls {
        name: "io_submit",
        op: "aio",
        calls: &[libc::SYS_io_submit, libc::SYS_io_getevents],
        direction: Direction::ToUser,
    },
    Calls {
        name: "io_uring",
        op: "uring",
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
            Some(index) if is_counted(CALLERS[index].op) => Ok(Self::Call(index)),
            Some(index) => Err(CALLERS[index].name.into()),
            None => moves_no_payload(nr).map_or(Ok(Self::Other), Err),
        }
    }

    /// The caller behind an operation of the ledger.
    pub(super) fn of_op(op: &str) -> Option<Self> {
        if op == Op::Other.name() || op == Op::CopyUp.name() {
            return Some(Self::Other);
        }
        let first = first_word(op);
        let index = CALLERS.iter().position(|entry| entry.op == first)?;
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

fn first_word(op: &str) -> &str {
    op.split_once('.').map_or(op, |(first, _)| first)
}

/// Whether this version's ledger has such operations.
fn is_counted(first: &str) -> bool {
    Op::ALL.iter().any(|op| first_word(op.name()) == first)
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
