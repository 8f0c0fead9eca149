//! The splice family.

use super::{Family, Probe, Role, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "filemap_splice_read",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit("filemap_splice_read", "filemap_splice_read")],
        sees: "page cache to pipe by reference (6.5 and later)",
        lost: "sendfile and splice from most filesystems",
    },
    Probe {
        name: "shmem_file_splice_read",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit("shmem_file_splice_read", "shmem_file_splice_read")],
        sees: "page cache to pipe by reference: tmpfs (6.5 and later)",
        lost: "sendfile and splice from tmpfs",
    },
    Probe {
        name: "generic_file_splice_read",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit(
            "generic_file_splice_read",
            "generic_file_splice_read",
        )],
        sees: "page cache to pipe by reference (before 6.5)",
        lost: "sendfile and splice from files",
    },
    Probe {
        name: "splice_to_user",
        family: Family::Splice,
        role: Role::CopySite,
        ways: &[fexit("splice_to_user", "__splice_from_pipe")],
        sees: "pipe to user memory: vmsplice",
        lost: "vmsplice out of a pipe",
    },
    Probe {
        name: "splice_write_null",
        family: Family::Splice,
        role: Role::NoCopySite,
        ways: &[fexit("splice_write_null", "splice_write_null")],
        sees: "pipe to /dev/null",
        lost: "splice to /dev/null",
    },
];
