//! The claims of a policy, judged at every reading by what happened in its interval.

use std::collections::BTreeMap;

use crate::{
    claims::{Circumstances, Claim, Judgement, Verdict, judge},
    ledger::Snapshot,
    text::escape::printable,
};

/// A claim and what came of it.
#[derive(Debug)]
pub(super) struct Judged {
    claim: Claim,
    /// The verdict of the last interval, and why; `None` before the first.
    pub(super) last: Option<(Verdict, String)>,
    /// How many intervals had which verdict.
    pub(super) counts: BTreeMap<Verdict, u64>,
}

impl Judged {
    pub(super) fn of(claim: Claim) -> Self {
        Self {
            claim,
            last: None,
            counts: BTreeMap::new(),
        }
    }

    /// What the policy calls it. A terminal may show the metrics.
    pub(super) fn name(&self) -> String {
        printable(&self.claim.name)
    }

    /// Judges an interval.
    pub(super) fn judge(&mut self, interval: &Snapshot) {
        let judgement = judge(&self.claim, interval, Circumstances::default());
        *self.counts.entry(judgement.verdict).or_default() += 1;
        self.last = Some((judgement.verdict, reason(&judgement)));
    }
}

/// The code of the first reason, whose number is bounded, unlike its text; empty for a claim that holds.
fn reason(judgement: &Judgement) -> String {
    let first = judgement.reasons.first();
    first.map_or_else(String::new, |reason| reason.code.clone())
}

/// A verdict as a label.
pub(super) const fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
    }
}
