//! The rules: one small object each, with a stable code, what it looks for and a remedy.
//!
//! A row's rules explain its bytes; they are asked only after the numbers have been judged. The
//! state's rules stand against a PASS. The others are what the numbers themselves say.

mod direct;
mod file;
mod memory;
mod number;
mod receive;
pub mod relay;
mod remedy;
mod send;
mod splice;
mod state;
mod transform;

pub(crate) use number::{
    ABOVE_LIMIT, COPIES_WITHOUT_MOVES, DILUTED, EXPECTATION_MISSED, EXPECTATION_UNCLEAR, INFERRED,
    NOTHING_CARRIED, NOTIFICATION_UNKNOWN, PASSED_ON, PATH_NOT_USED, REFUSED, SLOW_NOTIFICATION,
    SOURCE_COPIED, TOO_FEW_BYTES, UNEXPLAINED, refused_words,
};

use zctrace_common::Mark;

pub(crate) use direct::DEVICE_UNKNOWN;
pub(crate) use file::LEFT_TO_SERVER;
pub(crate) use splice::ROUTE_COPIES;
pub(crate) use state::{
    ALWAYS, BOUNCED, NOTIFIED, PENDING, PROBES_MISSING, accepted, may_have_copied, pending,
    sent_again, unattributed, unseen,
};
pub(crate) use transform::KTLS;

use super::{
    Circumstances, Claim,
    portion::Row,
    reason::{Effect, Reason, RowName},
};
use crate::{
    catalog::Role,
    ledger::{self, Snapshot, Totals},
    text::escape::printable,
};

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, which never changes.
    pub code: &'static str,
    /// What happens, in a sentence.
    pub says: &'static str,
    /// What it looks for.
    pub evidence: &'static str,
    /// What to change.
    pub remedy: &'static str,
    /// How it looks.
    pub(crate) look: Look,
}

/// Where a rule looks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    /// At a row: it says how bytes were copied.
    Copies(fn(&Sight<'_>) -> Option<Seen>),
    /// At a row: it says how bytes moved without a copy, or what is easily misunderstood.
    Notes(fn(&Sight<'_>) -> Option<Seen>),
    /// At the measurement: it stands against a PASS.
    State(fn(&State<'_>) -> Option<Seen>),
    /// It is what the judging itself finds.
    Numbers,
}

/// A row, and what is around it.
pub(crate) struct Sight<'a> {
    pub(crate) row: &'a Row<'a>,
    pub(crate) snapshot: &'a Snapshot,
}

impl Sight<'_> {
    /// The parts of the row for which this was asked, or seen.
    fn claimed(&self, mark: Mark) -> impl Iterator<Item = &ledger::Claimed> {
        let path = self.row.path;
        self.row.process.claims.iter().filter(move |part| {
            part.op == path.op
                && part.object == path.object
                && part.claims.iter().any(|name| name == mark.name())
        })
    }

    /// The sum of a number over those parts.
    fn sum(&self, mark: Mark, number: impl Fn(&Totals) -> u64) -> u64 {
        self.claimed(mark)
            .fold(0, |sum, part| sum.saturating_add(number(&part.totals)))
    }

    /// The device at which bytes of the row were copied later.
    fn copied_at(&self) -> Option<String> {
        let path = self.row.path;
        let mut parts = self.row.process.claims.iter().filter(|part| {
            part.op == path.op && part.object == path.object && part.totals.deferred > 0
        });
        parts.find_map(|part| part.device.as_deref().map(printable))
    }

    /// What on the route may copy the bytes.
    fn obstacle(&self) -> Option<String> {
        self.claimed(Mark::CopyingRoute)
            .find_map(|part| part.obstacle().map(printable))
    }

    /// The device that they met.
    fn device(&self, mark: Mark) -> Option<String> {
        self.claimed(mark)
            .find_map(|part| part.device.as_deref().map(printable))
    }
}

/// A measurement.
pub(crate) struct State<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) circumstances: Circumstances,
}

/// What is judged, and by what was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matter<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) snapshot: &'a Snapshot,
}

/// What a rule saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bytes: u64,
    pub(crate) text: String,
}

impl Seen {
    /// `bytes` of them, if there are any.
    fn some(bytes: u64, text: impl FnOnce() -> String) -> Option<Self> {
        (bytes > 0).then(|| Self {
            bytes,
            text: text(),
        })
    }
}

impl Rule {
    /// What it says about what it saw.
    pub(crate) fn reason(
        &self,
        matter: Matter<'_>,
        effect: Effect,
        row: Option<&Row<'_>>,
        seen: Seen,
    ) -> Reason {
        Reason {
            code: self.code.to_owned(),
            claim: matter.claim.name.clone(),
            effect,
            row: row.map(RowName::from),
            bytes: seen.bytes,
            evidence: seen.text,
            remedy: remedy::of(self, matter, row),
        }
    }
}

/// Every rule.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        send::RULES,
        splice::RULES,
        file::RULES,
        direct::RULES,
        memory::RULES,
        receive::RULES,
        transform::RULES,
        number::RULES,
        state::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule with this code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.code == code)
}

/// What the rules say about how bytes of this row were copied.
pub(crate) fn copies(sight: &Sight<'_>) -> Vec<(&'static Rule, Seen)> {
    all()
        .filter_map(|rule| match rule.look {
            Look::Copies(look) => Some((rule, look(sight)?)),
            _ => None,
        })
        .collect()
}

/// What else they say about it.
pub(crate) fn notes(sight: &Sight<'_>) -> Vec<(&'static Rule, Seen)> {
    all()
        .filter_map(|rule| match rule.look {
            Look::Notes(look) => Some((rule, look(sight)?)),
            _ => None,
        })
        .collect()
}

/// The rules about the measurement.
pub(crate) fn of_state() -> impl Iterator<Item = (&'static Rule, fn(&State<'_>) -> Option<Seen>)> {
    all().filter_map(|rule| match rule.look {
        Look::State(look) => Some((rule, look)),
        _ => None,
    })
}

#[cfg(test)]
pub(super) mod made_up;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_every_rule_says_what_helps() {
        let mut codes = BTreeSet::new();
        for rule in all() {
            assert!(codes.insert(rule.code), "{} twice", rule.code);
            assert!(
                rule.code
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                rule.code
            );
            for text in [rule.says, rule.evidence, rule.remedy] {
                assert!(text.len() > 10, "{}: {text}", rule.code);
                assert!(!text.ends_with('.'), "{}: {text}", rule.code);
            }
        }
    }
}
