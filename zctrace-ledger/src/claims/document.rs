//! `check --json`.

use serde::{Deserialize, Serialize};

use super::{Judgement, Reason, SCOPE, Verdict};
use crate::ledger::{Snapshot, set_apart};

/// The `schema` of a [`Document`].
pub const SCHEMA: &str = "zctrace.check/1";

/// The whole document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The worst of the claims' verdicts.
    pub verdict: Verdict,
    /// A sentence about each claim that can be pasted into a report.
    pub summary: Vec<String>,
    /// The claims, with what was judged.
    pub claims: Vec<Judgement>,
    /// The reasons of all claims.
    pub reasons: Vec<Reason>,
    /// [`SCOPE`].
    pub scope: String,
    /// The ledger that was judged.
    pub stat: Snapshot,
}

impl Document {
    /// The document about these claims.
    #[must_use]
    pub fn new(judgements: Vec<Judgement>, stat: Snapshot) -> Self {
        let stat = set_apart(&stat).0.into_owned();
        // One claim that fails is a failure; one that cannot be known is not a pass.
        let verdict = judgements
            .iter()
            .map(|judgement| judgement.verdict)
            .max()
            .unwrap_or(Verdict::Inconclusive);
        Self {
            schema: SCHEMA.into(),
            verdict,
            summary: judgements
                .iter()
                .map(|judgement| judgement.sentence(&stat))
                .collect(),
            reasons: judgements
                .iter()
                .flat_map(|judgement| judgement.reasons.clone())
                .collect(),
            claims: judgements,
            scope: SCOPE.into(),
            stat,
        }
    }
}
