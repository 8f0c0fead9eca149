//! The splice family.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, fexit, fexit_of};
use crate::object::End;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "filemap_splice_read",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit(
            "filemap_splice_read",
            "filemap_splice_read",
            &["*file"],
        )],
        proof: Proof::Unplugged(&[("splice-ext4-pipe", &[Op::Splice])]),
        sees: "page cache to pipe by reference (6.5 and later)",
        lost: "sendfile and splice from most filesystems",
        ..Probe::USUAL
    },
    Probe {
        name: "shmem_file_splice_read",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit(
            "shmem_file_splice_read",
            "shmem_file_splice_read",
            &["*file"],
        )],
        woken_by: Some(Exercise::Tcp),
        proof: Proof::Unplugged(&[("splice-tmpfs-pipe", &[Op::Splice])]),
        sees: "page cache to pipe by reference: tmpfs (6.5 and later)",
        lost: "sendfile and splice from tmpfs",
        ..Probe::USUAL
    },
    Probe {
        name: "splice_to_user",
        family: Family::Splice,
        role: Role::CopySite,
        ways: &[fexit(
            "splice_to_user",
            "__splice_from_pipe",
            &["*pipe_inode_info"],
        )],
        woken_by: Some(Exercise::PipeToPipe),
        proof: Proof::Unplugged(&[("vmsplice-out", &[Op::Vmsplice])]),
        sees: "pipe to user memory: vmsplice",
        lost: "vmsplice out of a pipe",
        ..Probe::USUAL
    },
    Probe {
        name: "splice_write_null",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit(
            "splice_write_null",
            "splice_write_null",
            &["*pipe_inode_info"],
        )],
        woken_by: Some(Exercise::PipeToPipe),
        proof: Proof::Unplugged(&[("splice-pipe-null", &[Op::Splice])]),
        sees: "pipe to /dev/null",
        lost: "splice to /dev/null",
        ..Probe::USUAL
    },
    Probe {
        name: "fuse_copy_do",
        family: Family::Splice,
        role: Role::CopySite,
        ways: &[fexit_of("fuse", "fuse_copy_do", "fuse_copy_do")],
        proof: Proof::With("fuse_dev_splice_write"),
        sees: "messages between pipes and a FUSE server's device",
        lost: "splice from and to /dev/fuse",
        ..Probe::USUAL
    },
    Probe {
        name: "fuse_dev_splice_read",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit_of(
            "fuse",
            "fuse_dev_splice_read",
            "fuse_dev_splice_read",
        )],
        proof: Proof::UnpluggedBetween("fuse-splice", Op::Splice, [End::Char("fuse"), End::Pipe]),
        sees: "requests to a FUSE server, into a pipe",
        lost: "splice from /dev/fuse",
        ..Probe::USUAL
    },
    Probe {
        name: "fuse_dev_splice_write",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit_of(
            "fuse",
            "fuse_dev_splice_write",
            "fuse_dev_splice_write",
        )],
        proof: Proof::UnpluggedBetween("fuse-move", Op::Splice, [End::Pipe, End::Char("fuse")]),
        sees: "answers of a FUSE server, from a pipe by reference",
        lost: "splice by reference to /dev/fuse",
        ..Probe::USUAL
    },
];
