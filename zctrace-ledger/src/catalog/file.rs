//! Buffered file I/O, character devices, procfs and FUSE.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, fexit, fexit_of, kretprobe, tp_btf};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "page_cache_added",
        family: Family::File,
        role: Role::Beside,
        ways: &[tp_btf("page_cache_added", "mm_filemap_add_to_page_cache")],
        sees: "what enters the page cache while an operation runs (`filled`)",
        lost: "how much had to be read from a device",
        ..Probe::USUAL
    },
    Probe {
        name: "filemap_read",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit("filemap_read", "filemap_read", &["*kiocb"])],
        proof: Proof::Unplugged(&[("file-ext4", &[Op::Read])]),
        sees: "page cache to reader: ext4, xfs, btrfs, block devices and others; before 6.5 also to pipes by reference",
        lost: "buffered reads of most filesystems; before 6.5 also sendfile and splice from them",
        ..Probe::USUAL
    },
    Probe {
        name: "shmem_file_read_iter",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit(
            "shmem_file_read_iter",
            "shmem_file_read_iter",
            &["*kiocb"],
        )],
        woken_by: Some(Exercise::MemoryFile),
        proof: Proof::Unplugged(&[("file-tmpfs", &[Op::Read])]),
        sees: "page cache to reader: tmpfs; before 6.5 also to a pipe by reference",
        lost: "reads of tmpfs; before 6.5 also sendfile and splice from it",
        ..Probe::USUAL
    },
    Probe {
        name: "generic_perform_write",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit(
            "generic_perform_write",
            "generic_perform_write",
            &["*kiocb"],
        )],
        woken_by: Some(Exercise::MemoryFile),
        proof: Proof::Unplugged(&[
            ("file-tmpfs", &[Op::Write]),
            ("sendfile-file", &[Op::Sendfile]),
        ]),
        sees: "writer to page cache: ext4, tmpfs and most filesystems",
        lost: "buffered writes of most filesystems",
        ..Probe::USUAL
    },
    Probe {
        name: "iomap_file_buffered_write",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit(
            "iomap_file_buffered_write",
            "iomap_file_buffered_write",
            &["*kiocb"],
        )],
        proof: Proof::Unplugged(&[("file-xfs", &[Op::Write])]),
        sees: "writer to page cache: xfs, block devices",
        lost: "buffered writes of xfs and block devices",
        ..Probe::USUAL
    },
    Probe {
        name: "btrfs_buffered_write",
        family: Family::File,
        role: Role::CopySite,
        ways: &[
            fexit_of("btrfs", "btrfs_buffered_write", "btrfs_buffered_write"),
            kretprobe("btrfs_buffered_write_kretprobe", "btrfs_buffered_write"),
        ],
        proof: Proof::Unplugged(&[("file-btrfs", &[Op::Write])]),
        sees: "writer to page cache: btrfs",
        lost: "buffered writes of btrfs",
        ..Probe::USUAL
    },
    Probe {
        name: "seq_read_iter",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit("seq_read_iter", "seq_read_iter", &["*kiocb"])],
        woken_by: Some(Exercise::ProcFile),
        proof: Proof::Unplugged(&[("file-proc", &[Op::Read])]),
        sees: "generated text to reader: procfs, sysfs, cgroupfs",
        lost: "reads of procfs and similar filesystems",
        ..Probe::USUAL
    },
    Probe {
        name: "simple_read_from_buffer",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit(
            "simple_read_from_buffer",
            "simple_read_from_buffer",
            &["*void"],
        )],
        proof: Proof::Unplugged(&[("file-proc-small", &[Op::Read])]),
        sees: "small buffers to reader: procfs, debugfs, drivers",
        lost: "reads of small procfs and debugfs files",
        ..Probe::USUAL
    },
    Probe {
        name: "hugetlbfs_read_iter",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit(
            "hugetlbfs_read_iter",
            "hugetlbfs_read_iter",
            &["*kiocb"],
        )],
        proof: Proof::Unplugged(&[("file-hugetlbfs-untouched", &[Op::Read])]),
        sees: "zeros of a file without pages to reader",
        lost: "that a file of hugetlbfs which was never touched is zeros",
        ..Probe::USUAL
    },
    Probe {
        name: "mem_read",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit("mem_read", "mem_read", &["*file"])],
        proof: Proof::Unplugged(&[("proc-mem", &[Op::Read])]),
        sees: "memory of a process to reader, through /proc/PID/mem",
        lost: "reads of /proc/PID/mem",
        ..Probe::USUAL
    },
    Probe {
        name: "mem_write",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit("mem_write", "mem_write", &["*file"])],
        proof: Proof::Unplugged(&[("proc-mem", &[Op::Write])]),
        sees: "writer to memory of a process, through /proc/PID/mem",
        lost: "writes of /proc/PID/mem",
        ..Probe::USUAL
    },
    Probe {
        name: "tty_read",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit("tty_read", "tty_read", &["*kiocb"])],
        proof: Proof::Unplugged(&[("tty", &[Op::Read])]),
        sees: "terminal to reader",
        lost: "reads of terminals",
        ..Probe::USUAL
    },
    Probe {
        name: "tty_write",
        family: Family::File,
        role: Role::CopySite,
        ways: &[fexit("tty_write", "tty_write", &["*kiocb"])],
        proof: Proof::Unplugged(&[("tty", &[Op::Write])]),
        sees: "writer to terminal",
        lost: "writes to terminals",
        ..Probe::USUAL
    },
    Probe {
        name: "fuse_dev_read",
        family: Family::File,
        role: Role::CopySite,
        ways: &[
            fexit_of("fuse", "fuse_dev_read", "fuse_dev_read"),
            kretprobe("fuse_dev_read_kretprobe", "fuse_dev_read"),
        ],
        proof: Proof::Server(Op::Read),
        sees: "requests to a FUSE server",
        lost: "what a FUSE server reads",
        ..Probe::USUAL
    },
    Probe {
        name: "fuse_dev_write",
        family: Family::File,
        role: Role::CopySite,
        ways: &[
            fexit_of("fuse", "fuse_dev_write", "fuse_dev_write"),
            kretprobe("fuse_dev_write_kretprobe", "fuse_dev_write"),
        ],
        proof: Proof::Server(Op::Write),
        sees: "replies of a FUSE server",
        lost: "what a FUSE server writes",
        ..Probe::USUAL
    },
    Probe {
        name: "fuse_perform_write",
        family: Family::File,
        role: Role::CopySite,
        ways: &[
            fexit_of("fuse", "fuse_perform_write", "fuse_perform_write"),
            kretprobe("fuse_perform_write_kretprobe", "fuse_perform_write"),
        ],
        proof: Proof::Unplugged(&[("file-fuse", &[Op::Write])]),
        sees: "writer to page cache: FUSE",
        lost: "buffered writes of FUSE",
        ..Probe::USUAL
    },
    Probe {
        name: "read_zero",
        family: Family::File,
        role: Role::NoCopySite,
        ways: &[
            fexit("read_zero", "read_zero", &["*file"]),
            kretprobe("read_zero_kretprobe", "read_zero"),
        ],
        woken_by: Some(Exercise::Devices),
        proof: Proof::Unplugged(&[("char-zero", &[Op::Read])]),
        sees: "/dev/zero, plain read",
        lost: "reads of /dev/zero",
        ..Probe::USUAL
    },
    Probe {
        name: "read_iter_zero",
        family: Family::File,
        role: Role::NoCopySite,
        ways: &[fexit("read_iter_zero", "read_iter_zero", &["*kiocb"])],
        woken_by: Some(Exercise::Devices),
        proof: Proof::Unplugged(&[("char-vectors", &[Op::Read])]),
        sees: "/dev/zero, vectors and splice",
        lost: "readv and splice of /dev/zero",
        ..Probe::USUAL
    },
    Probe {
        name: "random_read_iter",
        family: Family::File,
        role: Role::NoCopySite,
        ways: &[fexit("random_read_iter", "random_read_iter", &["*kiocb"])],
        proof: Proof::Unplugged(&[("char-random", &[Op::Read])]),
        sees: "/dev/random",
        lost: "reads of /dev/random",
        ..Probe::USUAL
    },
    Probe {
        name: "urandom_read_iter",
        family: Family::File,
        role: Role::NoCopySite,
        ways: &[fexit("urandom_read_iter", "urandom_read_iter", &["*kiocb"])],
        woken_by: Some(Exercise::Devices),
        proof: Proof::Unplugged(&[("char-urandom", &[Op::Read])]),
        sees: "/dev/urandom",
        lost: "reads of /dev/urandom",
        ..Probe::USUAL
    },
    Probe {
        name: "write_null",
        family: Family::File,
        role: Role::NoCopySite,
        ways: &[fexit("write_null", "write_null", &["*file"])],
        woken_by: Some(Exercise::Devices),
        proof: Proof::Unplugged(&[("char-null", &[Op::Write])]),
        sees: "/dev/null and /dev/zero, plain write",
        lost: "writes to /dev/null",
        ..Probe::USUAL
    },
    Probe {
        name: "write_iter_null",
        family: Family::File,
        role: Role::NoCopySite,
        ways: &[fexit("write_iter_null", "write_iter_null", &["*kiocb"])],
        woken_by: Some(Exercise::Devices),
        proof: Proof::Unplugged(&[("char-vectors", &[Op::Write])]),
        sees: "/dev/null and /dev/zero, vectors",
        lost: "writev to /dev/null",
        ..Probe::USUAL
    },
];
