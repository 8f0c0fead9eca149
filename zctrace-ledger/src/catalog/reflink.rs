//! Shared extents. The functions belong to modules, so they can be attached only once the modules are loaded.

use zctrace_common::Op;

use super::{Family, Probe, Proof, Role, fexit_of, kretprobe};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "btrfs_remap_file_range",
        family: Family::Reflink,
        role: Role::NoCopySite,
        ways: &[
            fexit_of("btrfs", "btrfs_remap", "btrfs_remap_file_range"),
            kretprobe("btrfs_remap_kretprobe", "btrfs_remap_file_range"),
        ],
        proof: Proof::Unplugged(&[("clone-btrfs", &[Op::Clone])]),
        sees: "extents shared by btrfs",
        lost: "reflinks on btrfs",
        ..Probe::USUAL
    },
    Probe {
        name: "xfs_file_remap_range",
        family: Family::Reflink,
        role: Role::NoCopySite,
        ways: &[
            fexit_of("xfs", "xfs_remap", "xfs_file_remap_range"),
            kretprobe("xfs_remap_kretprobe", "xfs_file_remap_range"),
        ],
        proof: Proof::Unplugged(&[("clone-xfs", &[Op::Clone])]),
        sees: "extents shared by xfs",
        lost: "reflinks on xfs",
        ..Probe::USUAL
    },
];
