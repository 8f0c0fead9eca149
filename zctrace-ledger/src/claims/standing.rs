//! What stands against a PASS whatever the rows say.

use super::{
    Circumstances, Claim,
    reason::{Effect, Reason},
    rules::{self, Matter, State},
};
use crate::ledger::Snapshot;

/// Every reason that there cannot be a PASS.
pub(crate) fn against(
    claim: &Claim,
    snapshot: &Snapshot,
    circumstances: Circumstances,
) -> Vec<Reason> {
    let matter = Matter { claim, snapshot };
    let state = State {
        claim,
        snapshot,
        circumstances,
    };
    // What an expectation cannot do without is known where it is judged.
    rules::of_state()
        .filter(|(rule, _)| claim.has_limits() || rules::ALWAYS.contains(&rule.code))
        .filter_map(|(rule, look)| {
            let seen = look(&state)?;
            Some(rule.reason(matter, Effect::Forbids, None, seen))
        })
        .collect()
}
