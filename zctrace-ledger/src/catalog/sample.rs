//! How much of the processors' time goes into copying.

use super::{Family, Kind, Probe, Role, way};

pub(super) const PROBES: &[Probe] = &[Probe {
    name: "copy_sample",
    family: Family::Sample,
    role: Role::Evidence,
    ways: &[way(Kind::Clock, "copy_sample", "cpu-clock")],
    sees: "processors within the kernel's copy routines, two hundred times a second",
    lost: "CPU seconds spent copying",
    ..Probe::USUAL
}];
