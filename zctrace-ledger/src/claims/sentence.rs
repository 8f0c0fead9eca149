//! The verdict in one sentence, for somebody else's report.

use super::{Judgement, Met, Outcome, Verdict, reason::Effect, rules};
use crate::{
    ledger::Snapshot,
    text::{bytes::bytes, escape::printable},
};

impl Judgement {
    /// A sentence that says what was claimed, what was seen, where and how.
    #[must_use]
    pub fn sentence(&self, stat: &Snapshot) -> String {
        // What a PASS is silent about, though it is about the same bytes.
        let beside = self
            .reasons
            .iter()
            .find(|reason| reason.code == rules::SOURCE_COPIED.code)
            .filter(|_| self.verdict == Verdict::Pass)
            .map_or_else(String::new, |reason| {
                format!("; {}", printable(&reason.evidence))
            });
        format!(
            "{}: {}: {}: {}{beside} (zctrace {}, Linux {}, {} backend, {}, {:.1} s from {}).",
            self.verdict.word(),
            printable(&self.claim.name),
            self.claim.words(),
            self.finding(),
            env!("CARGO_PKG_VERSION"),
            printable(&stat.kernel),
            printable(&stat.backend),
            stat.target.words(),
            seconds(stat.duration_ns),
            printable(&stat.started_at),
        )
    }

    /// The shares that were expected, the largest of each expectation.
    fn shares(&self) -> String {
        let mut parts: Vec<&Met> = Vec::new();
        for met in &self.met {
            if !parts.iter().any(|part| part.expectation == met.expectation) {
                parts.push(met);
            }
        }
        let parts: Vec<_> = parts
            .iter()
            .map(|met| {
                format!(
                    "a share of {:.4} of {}",
                    met.share.unwrap_or_default(),
                    printable(&met.what)
                )
            })
            .collect();
        parts.join(" and ")
    }

    fn finding(&self) -> String {
        let worst = self.judged.first();
        match (self.verdict, worst) {
            (Verdict::Fail, Some(judged)) if judged.outcome == Outcome::Broken => {
                let ratio = match judged.per_byte().to_places(2) {
                    Some(figure) => format!("{figure} {}", judged.measure.words()),
                    None => "and no bytes to divide them by".into(),
                };
                format!(
                    "{} copied {} for {}, {ratio}",
                    printable(&judged.what),
                    bytes(judged.copied),
                    bytes(judged.bytes),
                ) + if judged.inferred {
                    ", as concluded from the calls"
                } else {
                    ", measured"
                }
            }
            (Verdict::Pass, Some(judged)) => {
                let how = if self.rests_on_inferred {
                    "as concluded from the calls"
                } else {
                    "measured"
                };
                let closest = self
                    .judged
                    .iter()
                    .filter_map(|judged| judged.ratio)
                    .fold(0.0, f64::max);
                let bytes = bytes(
                    self.judged
                        .iter()
                        .map(|judged| judged.bytes)
                        .max()
                        .unwrap_or(judged.bytes),
                );
                let shares = match self.met.is_empty() {
                    true => String::new(),
                    false => format!("; {}", self.shares()),
                };
                format!(
                    "{closest:.4} at most in anything judged, over {bytes} in the largest, {how}{shares}"
                )
            }
            (Verdict::Pass, None) if !self.met.is_empty() => {
                let how = if self.rests_on_inferred {
                    ", as concluded from the calls"
                } else {
                    ""
                };
                self.shares() + how
            }
            (verdict, _) => {
                let decides = match verdict {
                    Verdict::Fail => Effect::Refutes,
                    _ => Effect::Forbids,
                };
                let why = self
                    .reasons
                    .iter()
                    .filter(|reason| reason.effect == decides)
                    .min_by_key(|reason| reason.code != "command-failed")
                    .map(|reason| format!("{} ({})", reason.code, printable(&reason.evidence)));
                why.unwrap_or_else(|| "nothing was judged".into())
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a tenth of a second for people")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
