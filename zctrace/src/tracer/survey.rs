//! The catalog against the running kernel, for `zctrace doctor`.

use super::{Attempt, Config, Error, Outcome, Session, attach};
use crate::kernel::doctor::{ProbeReport, ProbeStatus, Survey, TechniqueReport};

/// Tries every probe of the catalog.
///
/// # Errors
/// When nothing can be attached at all.
pub fn survey(config: &Config) -> Result<Survey, Error> {
    Ok(Session::start(config)?.survey())
}

impl Session {
    /// What became of every probe of the catalog.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let attempts = self.attempts();
        Survey {
            backend: self.backend().to_owned(),
            probes: attempts
                .iter()
                .map(|attempt| report(attempt, attempts))
                .collect(),
            techniques: self
                .coverage()
                .techniques()
                .into_iter()
                .map(|(technique, sight)| TechniqueReport {
                    name: technique.name.to_owned(),
                    sight: sight.name().to_owned(),
                })
                .collect(),
            self_test: None,
        }
    }
}

fn report(attempt: &Attempt, all: &[Attempt]) -> ProbeReport {
    let Attempt { probe, outcome } = attempt;
    let (status, way, refusal) = match outcome {
        Outcome::Attached(way) => (ProbeStatus::Attached, Some(way), None),
        Outcome::Silent(way) => (ProbeStatus::Silent, Some(way), None),
        Outcome::NotNeeded => (ProbeStatus::NotNeeded, probe.ways.first(), None),
        Outcome::Refused(refusal) => (ProbeStatus::Refused, probe.ways.first(), Some(refusal)),
    };
    ProbeReport {
        name: probe.name.to_owned(),
        family: probe.family.name().to_owned(),
        kind: way.map_or("", |way| way.kind.name()).to_owned(),
        symbol: way.map_or("", |way| way.symbol).to_owned(),
        status,
        errno: refusal.and_then(|refusal| refusal.errno),
        cause: refusal.map(|refusal| refusal.cause.clone()),
        lost: attach::lost(attempt, all),
    }
}
