//! overlayfs. The function belongs to a module, so it can be attached only once the module is loaded.

use super::{Family, Probe, Role, kretprobe};

pub(super) const PROBES: &[Probe] = &[Probe {
    name: "ovl_copy_up_flags",
    family: Family::File,
    role: Role::Cause,
    ways: &[kretprobe("copy_up", "ovl_copy_up_flags")],
    sees: "that copies in a call were overlayfs' copy-up",
    lost: "why a call such as `open` or `chmod` copied: its copies are then in a row of the call",
    ..Probe::USUAL
}];
