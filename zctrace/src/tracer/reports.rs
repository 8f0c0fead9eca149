//! What is shown under `-v` ([`crate::verbose`]): what became of each probe, and what the BPF programs
//! report of themselves.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{LevelFilter, Log, debug};
use zctrace_common::Offsets;

use super::{Attempt, attach::Outcome};

/// The level up to which the BPF programs report: a constant to them.
pub(super) fn level() -> u8 {
    log::max_level() as u8
}

/// How much room their reports have, in bytes: as little as possible where nobody wants them.
pub(super) fn room() -> u32 {
    const MUCH: u32 = 1 << 17;
    const LITTLE: u32 = 1 << 12;
    if log::max_level() == LevelFilter::Off {
        LITTLE
    } else {
        MUCH
    }
}

/// What the BPF programs report.
pub(super) struct Reports(Option<EbpfLogger<&'static dyn Log>>);

impl Reports {
    /// Of the programs that are loaded. The map stays with them, so it is opened once more.
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        if log::max_level() == LevelFilter::Off {
            return Self(None);
        }
        let ids = ebpf
            .programs()
            .filter_map(|(_, program)| Some(program.info().ok()?.id()));
        let reports = ids
            .filter_map(|id| EbpfLogger::init_from_id(id).ok())
            .next();
        if reports.is_none() {
            debug!("what the BPF programs report cannot be read: this needs CAP_SYS_ADMIN");
        }
        Self(reports)
    }

    /// Shows what has been reported since.
    pub(super) fn show(&mut self) {
        if let Some(reports) = &mut self.0 {
            reports.flush();
        }
    }
}

/// Shows which fields this kernel does not have.
pub(super) fn of_layout(offsets: &Offsets) {
    for field in offsets.missing() {
        debug!("this kernel has no {field}");
    }
}

/// Shows what became of each probe.
pub(super) fn of_probes(attempts: &[Attempt]) {
    for Attempt { probe, outcome } in attempts {
        let name = probe.name;
        match outcome {
            Outcome::Attached(way) => {
                debug!("probe {name}: attached, {} {}", way.kind.name(), way.symbol);
            }
            Outcome::Refused(refusal) => {
                let of = if refusal.absent {
                    "not in this kernel"
                } else {
                    "refused"
                };
                debug!("probe {name}: {of}, {}", refusal.cause);
            }
            Outcome::Silent(way) => debug!(
                "probe {name}: detached, {} {} did not run for known bytes",
                way.kind.name(),
                way.symbol
            ),
            Outcome::NotNeeded => debug!("probe {name}: not needed, others see the same"),
        }
    }
}
