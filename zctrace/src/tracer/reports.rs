//! What is shown under `-v` ([`crate::verbose`]): what became of each probe, and what the BPF programs
//! report of themselves.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{LevelFilter, Log, debug};
use zctrace_common::Offsets;

use super::{Attempt, attach::Outcome};
use crate::ledger::Loss;

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
pub(super) struct Reports {
    logger: Option<EbpfLogger<&'static dyn Log>>,
    /// [`Loss::map_full`] as it was shown last.
    map_full: u64,
}

impl Reports {
    /// Of the programs that are loaded. The map stays with them, so it is opened once more.
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let map_full = 0;
        if log::max_level() == LevelFilter::Off {
            let logger = None;
            return Self { logger, map_full };
        }
        let ids = ebpf
            .programs()
            .filter_map(|(_, program)| Some(program.info().ok()?.id()));
        let logger = ids
            .filter_map(|id| EbpfLogger::init_from_id(id).ok())
            .next();
        if logger.is_none() {
            debug!("what the BPF programs report cannot be read: this needs CAP_SYS_ADMIN");
        }
        Self { logger, map_full }
    }

    /// Shows what has been reported since, and what had no room in a map. A program does not report this itself: it
    /// would need the last of its stack for that on Linux 6.1.
    pub(super) fn show(&mut self, loss: &Loss) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        if self.map_full != loss.map_full {
            self.map_full = loss.map_full;
            debug!("a map is full: {} events are not counted", self.map_full);
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
