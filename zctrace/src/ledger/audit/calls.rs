//! System calls by what they are in the ledger.

use zctrace_common::{AuditKey, Op};

use super::Direction;

/// A kind of caller whose copies are in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Caller {
    /// Index into [`CALLERS`].
    Call(usize),
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
        calls: &[libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg],
        direction: Direction::ToUser,
    },
    Calls {
        name: "send",
        op: "send",
        calls: &[libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg],
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
        let nr = libc::c_long::from(nr);
        let calls = CALLERS.iter().position(|entry| entry.calls.contains(&nr));
        match calls {
            Some(index) if is_counted(CALLERS[index].op) => Ok(Self::Call(index)),
            Some(index) => Err(CALLERS[index].name.into()),
            None => Err(other(nr)),
        }
    }

    /// The caller behind an operation of the ledger.
    pub(super) fn of_op(op: &str) -> Option<Self> {
        let first = first_word(op);
        let index = CALLERS.iter().position(|entry| entry.op == first)?;
        Some(Self::Call(index))
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Call(index) => CALLERS[index].name,
            Self::KernelThread => "kernel threads",
        }
    }

    /// The direction of copies that are wasted, or that nobody saw.
    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Call(index) => CALLERS[index].direction,
            Self::KernelThread => Direction::InKernel,
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

macro_rules! names {
    ($nr:expr; $($name:ident)+) => {
        name_of($nr, &[$((stringify!($name), libc::$name)),+])
    };
}

fn name_of(nr: libc::c_long, names: &[(&'static str, libc::c_long)]) -> Option<&'static str> {
    let (name, _) = names.iter().find(|(_, other)| *other == nr)?;
    name.strip_prefix("SYS_")
}

/// A system call that moves no I/O of the ledger.
fn other(nr: libc::c_long) -> String {
    let known = names!(nr;
        SYS_accept SYS_accept4 SYS_add_key SYS_bind SYS_bpf SYS_capget SYS_clock_gettime
        SYS_clock_nanosleep SYS_clone SYS_clone3 SYS_connect SYS_epoll_ctl SYS_epoll_pwait
        SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_fcntl SYS_fgetxattr SYS_finit_module
        SYS_flistxattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_futex SYS_getcwd SYS_getdents64
        SYS_getgroups SYS_getpeername SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrusage
        SYS_getsockname SYS_getsockopt SYS_getxattr SYS_init_module SYS_ioctl SYS_keyctl
        SYS_lgetxattr SYS_listxattr SYS_mmap SYS_mount SYS_move_pages SYS_nanosleep SYS_newfstatat
        SYS_openat SYS_openat2 SYS_perf_event_open SYS_pidfd_open SYS_pipe2 SYS_ppoll SYS_prctl
        SYS_prlimit64 SYS_process_madvise SYS_pselect6 SYS_ptrace SYS_readlinkat SYS_rseq
        SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigsuspend
        SYS_rt_sigtimedwait SYS_sched_getaffinity SYS_sched_setaffinity SYS_set_robust_list
        SYS_setsockopt SYS_setxattr SYS_sigaltstack SYS_socketpair SYS_statfs SYS_statx
        SYS_sysinfo SYS_timer_create SYS_timer_gettime SYS_timer_settime SYS_timerfd_gettime
        SYS_timerfd_settime SYS_times SYS_uname SYS_wait4 SYS_waitid);
    match known {
        Some(name) => name.into(),
        None if nr >= libc::c_long::from(AuditKey::CALLS - 1) => "other system calls".into(),
        None if nr == -1 => "page faults and interrupts".into(),
        None => format!("system call {nr}"),
    }
}
