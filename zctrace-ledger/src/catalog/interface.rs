//! Where operations end: the functions whose return value is the result of the system call.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Role, Sign, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "vfs_read",
        family: Family::Interface,
        role: Role::Interface(Op::Read),
        ways: &[fexit("vfs_read", "vfs_read", &["*file"])],
        woken_by: Some(Exercise::MemoryFile),
        needs: &[
            "regs_nr",
            "file_inode",
            "inode_mode",
            "inode_sb",
            "inode_rdev",
            "sb_type",
            "fs_type_name",
        ],
        sees: "read, pread64",
        lost: "read and pread64 are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "vfs_readv",
        family: Family::Interface,
        role: Role::Interface(Op::Read),
        ways: &[fexit("vfs_readv", "vfs_readv", &["*file"])],
        woken_by: Some(Exercise::MemoryFile),
        sees: "readv, preadv, preadv2",
        lost: "readv and similar calls are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "vfs_write",
        family: Family::Interface,
        role: Role::Interface(Op::Write),
        ways: &[fexit("vfs_write", "vfs_write", &["*file"])],
        woken_by: Some(Exercise::MemoryFile),
        sees: "write, pwrite64",
        lost: "write and pwrite64 are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "vfs_writev",
        family: Family::Interface,
        role: Role::Interface(Op::Write),
        ways: &[fexit("vfs_writev", "vfs_writev", &["*file"])],
        woken_by: Some(Exercise::MemoryFile),
        sees: "writev, pwritev, pwritev2",
        lost: "writev and similar calls are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_recvfrom",
        family: Family::Interface,
        role: Role::Interface(Op::Recv),
        ways: &[fexit("sys_recvfrom", "__sys_recvfrom", &["int"])],
        woken_by: Some(Exercise::UnixSockets),
        needs: &[
            "task_files",
            "files_fdt",
            "fdtable_fd",
            "fdtable_max_fds",
            "file_private_data",
            "socket_sk",
            "sock_family",
            "sock_protocol",
        ],
        sees: "recv, recvfrom",
        lost: "recv and recvfrom are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_recvmsg",
        family: Family::Interface,
        role: Role::Interface(Op::Recv),
        ways: &[fexit("sys_recvmsg", "___sys_recvmsg", &["*socket"])],
        woken_by: Some(Exercise::UnixSockets),
        sees: "recvmsg, recvmmsg",
        lost: "recvmsg and recvmmsg are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_recvmmsg",
        family: Family::Interface,
        role: Role::Interface(Op::Recv),
        ways: &[
            fexit("sys_recvmmsg", "__x64_sys_recvmmsg", &["*pt_regs"]),
            fexit("sys_recvmmsg", "__arm64_sys_recvmmsg", &["*pt_regs"]),
        ],
        sees: "recvmmsg that receives nothing",
        lost: "that recvmmsg failed",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_sendto",
        family: Family::Interface,
        role: Role::Interface(Op::Send),
        ways: &[fexit("sys_sendto", "__sys_sendto", &["int"])],
        woken_by: Some(Exercise::UnixSockets),
        sees: "send, sendto",
        lost: "send and sendto are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_sendmsg",
        family: Family::Interface,
        role: Role::Interface(Op::Send),
        ways: &[fexit("sys_sendmsg", "___sys_sendmsg", &["*socket"])],
        woken_by: Some(Exercise::UnixSockets),
        sees: "sendmsg, sendmmsg",
        lost: "sendmsg and sendmmsg are not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "do_sendfile",
        family: Family::Interface,
        role: Role::Interface(Op::Sendfile),
        ways: &[fexit("do_sendfile", "do_sendfile", &["int"])],
        woken_by: Some(Exercise::Tcp),
        sees: "sendfile",
        lost: "sendfile is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "do_splice",
        family: Family::Interface,
        role: Role::Interface(Op::Splice),
        ways: &[fexit("do_splice", "do_splice", &["*file"])],
        woken_by: Some(Exercise::Tcp),
        sees: "splice",
        lost: "splice is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "do_tee",
        family: Family::Interface,
        role: Role::Interface(Op::Tee),
        ways: &[fexit("do_tee", "do_tee", &["*file"])],
        woken_by: Some(Exercise::PipeToPipe),
        sees: "tee",
        lost: "tee is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "sys_vmsplice",
        family: Family::Interface,
        role: Role::Interface(Op::Vmsplice),
        ways: &[
            fexit("sys_vmsplice", "__x64_sys_vmsplice", &["*pt_regs"]),
            fexit("sys_vmsplice", "__arm64_sys_vmsplice", &["*pt_regs"]),
        ],
        woken_by: Some(Exercise::PipeToPipe),
        always_there: true,
        sees: "vmsplice",
        lost: "vmsplice is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "vfs_copy_file_range",
        family: Family::Interface,
        role: Role::Interface(Op::CopyFileRange),
        ways: &[fexit(
            "vfs_copy_file_range",
            "vfs_copy_file_range",
            &["*file"],
        )],
        woken_by: Some(Exercise::CopyRange),
        sees: "copy_file_range",
        lost: "copy_file_range is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "vfs_clone_file_range",
        family: Family::Interface,
        role: Role::Interface(Op::Clone),
        ways: &[fexit(
            "vfs_clone_file_range",
            "vfs_clone_file_range",
            &["*file"],
        )],
        sees: "FICLONE, FICLONERANGE",
        lost: "FICLONE is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "vfs_dedupe_file_range_one",
        family: Family::Interface,
        role: Role::Interface(Op::Clone),
        ways: &[fexit(
            "vfs_dedupe_file_range_one",
            "vfs_dedupe_file_range_one",
            &["*file"],
        )],
        sees: "FIDEDUPERANGE",
        lost: "FIDEDUPERANGE is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "process_vm_readv",
        family: Family::Interface,
        role: Role::Interface(Op::ProcessVm),
        ways: &[
            fexit(
                "sys_process_vm_readv",
                "__x64_sys_process_vm_readv",
                &["*pt_regs"],
            ),
            fexit(
                "sys_process_vm_readv",
                "__arm64_sys_process_vm_readv",
                &["*pt_regs"],
            ),
        ],
        woken_by: Some(Exercise::OwnMemory),
        sign: Some(Sign::ProcessVm),
        sees: "process_vm_readv",
        lost: "process_vm_readv is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "process_vm_writev",
        family: Family::Interface,
        role: Role::Interface(Op::ProcessVm),
        ways: &[
            fexit(
                "sys_process_vm_writev",
                "__x64_sys_process_vm_writev",
                &["*pt_regs"],
            ),
            fexit(
                "sys_process_vm_writev",
                "__arm64_sys_process_vm_writev",
                &["*pt_regs"],
            ),
        ],
        woken_by: Some(Exercise::OwnMemory),
        sign: Some(Sign::ProcessVm),
        sees: "process_vm_writev",
        lost: "process_vm_writev is not seen",
        ..Probe::USUAL
    },
];
