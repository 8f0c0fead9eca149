//! Where the processors' time goes.

use super::{Family, Kind, Probe, Role, way};

pub(super) const PROBES: &[Probe] = &[Probe {
    name: "copy_sample",
    family: Family::Sample,
    role: Role::Evidence,
    ways: &[way(Kind::Clock, "copy_sample", "cpu-clock")],
    sees: "where processors are, two hundred times a second: in copy routines, elsewhere, in user space",
    lost: "CPU seconds spent copying, in the kernel and in user space",
    ..Probe::USUAL
}];
