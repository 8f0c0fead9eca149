//! Shared extents. The functions belong to modules, so they attach only once those are loaded.

use super::{Family, Probe, Role, kretprobe};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "btrfs_remap_file_range",
        family: Family::Reflink,
        role: Role::NoCopySite,
        ways: &[kretprobe("btrfs_remap", "btrfs_remap_file_range")],
        sees: "extents shared by btrfs",
        lost: "reflinks on btrfs",
    },
    Probe {
        name: "xfs_file_remap_range",
        family: Family::Reflink,
        role: Role::NoCopySite,
        ways: &[kretprobe("xfs_remap", "xfs_file_remap_range")],
        sees: "extents shared by xfs",
        lost: "reflinks on xfs",
    },
];
