//! Direct I/O: the page cache is bypassed.

use zctrace_common::Op;

use super::{Family, Probe, Proof, Role, fentry, fexit, kretprobe, tp_btf};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "iomap_dio_complete",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fentry(
            "iomap_dio_complete",
            "iomap_dio_complete",
            &["*iomap_dio"],
        )],
        proof: Proof::Unplugged(&[("direct-ext4", &[Op::Read, Op::Write])]),
        sees: "end of a direct transfer: ext4, xfs, btrfs and others",
        lost: "direct I/O on files",
        ..Probe::USUAL
    },
    Probe {
        name: "iomap_iter",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fentry("iomap_iter", "iomap_iter", &["*iomap_iter"])],
        proof: Proof::Unplugged(&[("direct-holes-ext4", &[Op::Read])]),
        sees: "which parts of a direct read come from a device, and which are holes filled with zeros",
        lost: "direct reads of files: which bytes came from the device, and which are zeros written by a CPU",
        ..Probe::USUAL
    },
    Probe {
        name: "blkdev_read_iter",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fexit("blkdev_read_iter", "blkdev_read_iter", &["*kiocb"])],
        proof: Proof::Unplugged(&[("direct-block", &[Op::Read])]),
        sees: "direct reads of block devices",
        lost: "direct reads of block devices",
        ..Probe::USUAL
    },
    Probe {
        name: "blkdev_write_iter",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fexit("blkdev_write_iter", "blkdev_write_iter", &["*kiocb"])],
        proof: Proof::Unplugged(&[("direct-block", &[Op::Write])]),
        sees: "direct writes of block devices",
        lost: "direct writes of block devices",
        ..Probe::USUAL
    },
    Probe {
        name: "iomap_dio_rw",
        family: Family::Direct,
        role: Role::SomeRequests,
        ways: &[
            fexit("iomap_dio_rw", "iomap_dio_rw", &["*kiocb"]),
            kretprobe("iomap_dio_rw_kretprobe", "iomap_dio_rw"),
        ],
        sees: "a direct transfer continues without its caller, on ext4, xfs and others",
        lost: "direct I/O of io_uring that does not report success (IOSQE_CQE_SKIP_SUCCESS)",
        ..Probe::USUAL
    },
    Probe {
        name: "__iomap_dio_rw",
        family: Family::Direct,
        role: Role::SomeRequests,
        ways: &[
            fexit("iomap_dio_rw_inner", "__iomap_dio_rw", &["*kiocb"]),
            kretprobe("iomap_dio_rw_inner_kretprobe", "__iomap_dio_rw"),
        ],
        sees: "a direct transfer continues without its caller, on btrfs",
        lost: "direct I/O of io_uring on btrfs that does not report success (IOSQE_CQE_SKIP_SUCCESS)",
        ..Probe::USUAL
    },
    Probe {
        name: "dio_complete",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fentry("dio_complete", "dio_complete", &["*dio"])],
        proof: Proof::Unplugged(&[("direct-vfat", &[Op::Read, Op::Write])]),
        sees: "end of a direct transfer by __blockdev_direct_IO: vfat, exfat and others",
        lost: "direct I/O on files of vfat, exfat and others",
        ..Probe::USUAL
    },
    Probe {
        name: "dio_bio_complete",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fentry("dio_bio_complete", "dio_bio_complete", &["*dio"])],
        proof: Proof::Unplugged(&[("direct-vfat", &[Op::Read])]),
        sees: "what a device has read of such a transfer: the rest are holes, filled with zeros",
        lost: "which part of a direct read of vfat, exfat and others a device took part in",
        ..Probe::USUAL
    },
    Probe {
        name: "__blockdev_direct_IO",
        family: Family::Direct,
        role: Role::SomeRequests,
        ways: &[
            fexit("blockdev_direct_io", "__blockdev_direct_IO", &["*kiocb"]),
            kretprobe("blockdev_direct_io_kretprobe", "__blockdev_direct_IO"),
        ],
        sees: "such a transfer continues without its caller",
        lost: "direct I/O of io_uring on vfat, exfat and others that does not report success (IOSQE_CQE_SKIP_SUCCESS)",
        ..Probe::USUAL
    },
    Probe {
        name: "blkdev_bio_end_io_async",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fentry(
            "blkdev_bio_end_io_async",
            "blkdev_bio_end_io_async",
            &["*bio"],
        )],
        proof: Proof::Unplugged(&[("aio-block", &[Op::AioRead, Op::AioWrite])]),
        sees: "end of a block device's transfer for io_uring and AIO",
        lost: "direct I/O of io_uring and AIO on block devices",
        ..Probe::USUAL
    },
    Probe {
        name: "blkdev_bio_end_io",
        family: Family::Direct,
        role: Role::NoCopySite,
        ways: &[fentry("blkdev_bio_end_io", "blkdev_bio_end_io", &["*bio"])],
        proof: Proof::With("blkdev_bio_end_io_async"),
        sees: "end of one part of such a transfer, if it is large",
        lost: "large direct I/O of io_uring and AIO on block devices",
        ..Probe::USUAL
    },
    Probe {
        name: "swiotlb_bounced",
        family: Family::Direct,
        role: Role::CopySite,
        ways: &[tp_btf("swiotlb_bounced", "swiotlb_bounced")],
        proof: Proof::Otherwise("is nobody's, and explains no byte"),
        sees: "device transfers that a CPU copies through bounce buffers, for any process",
        lost: "that direct I/O and packets were copied on their way to a device",
        ..Probe::USUAL
    },
];
