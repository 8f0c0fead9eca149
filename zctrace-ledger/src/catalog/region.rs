//! The markers of `zctrace test`.

use super::{Family, Probe, Role, tp_btf};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "region_enter",
        family: Family::Region,
        role: Role::Beside,
        ways: &[tp_btf("region_enter", "sys_enter")],
        sees: "writes of markers, which are in no row",
        lost: "regions of a test",
        ..Probe::USUAL
    },
    Probe {
        name: "region_exit",
        family: Family::Region,
        role: Role::Beside,
        ways: &[tp_btf("region_exit", "sys_exit")],
        sees: "beginnings and ends of regions",
        lost: "regions of a test",
        ..Probe::USUAL
    },
];
