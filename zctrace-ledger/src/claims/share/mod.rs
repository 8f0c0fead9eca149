//! Which share of its bytes a process moved in the way that was expected.
//!
//! Bytes taken from a kind of place, such as files, are one kind of work, bytes given to it another.
//! The share is that of all bytes of one kind of work, so nobody has to guess which bytes were the
//! payload. What is not known about a row makes the share an interval, and what can have gone by
//! unseen opens it on one side: an answer needs the whole interval on one side of the limit.

mod reasons;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zctrace_common::Op;

use super::{
    Circumstances, Claim, Outcome,
    expect::{Expectation, Flow, Way, Work},
    job::{Job, Place, ends, job},
    portion::Row,
    reason::Reason,
    rules::{self, Rule, Seen, State},
    ways::amount,
};
use crate::{
    catalog::{self, Family},
    ledger::{End, Path, Snapshot, ratio},
    text::{bytes::bytes, escape::printable},
};

/// What became of an expectation in one kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Met {
    /// The expectation.
    pub expectation: String,
    /// Whose bytes, for people.
    pub what: String,
    /// How many.
    pub bytes: u64,
    /// How many of them went the expected way for certain.
    pub went: u64,
    /// How many may have.
    pub may_have_gone: u64,
    /// `went` over `bytes`.
    pub share: Option<f64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// The answer to an expectation.
pub(super) struct Answer {
    pub(super) met: Vec<Met>,
    pub(super) reasons: Vec<Reason>,
    /// It holds only because conclusions were accepted.
    pub(super) rests_on_inferred: bool,
}

/// Answers an expectation.
pub(super) fn answer(
    expectation: &Expectation,
    claim: &Claim,
    snapshot: &Snapshot,
    circumstances: Circumstances,
) -> Answer {
    let mut jury = Jury {
        expectation,
        claim,
        snapshot,
        circumstances,
        answer: Answer {
            met: Vec::new(),
            reasons: Vec::new(),
            rests_on_inferred: false,
        },
    };
    jury.hear();
    jury.answer
}

/// Rows of one kind of work: a process's, or those of small processes together.
#[derive(Default)]
struct Group<'a> {
    rows: Vec<Row<'a>>,
    bytes: u64,
    went: u64,
    may_have_gone: u64,
    /// Some of what went the expected way, or did not, was concluded.
    is_inferred: bool,
}

struct Jury<'a> {
    expectation: &'a Expectation,
    claim: &'a Claim,
    snapshot: &'a Snapshot,
    circumstances: Circumstances,
    answer: Answer,
}

impl<'a> Jury<'a> {
    fn hear(&mut self) {
        let all = self.groups();
        let mut outcomes: BTreeMap<Work, Outcome> = BTreeMap::new();
        for (work, group) in &all {
            let outcome = self.outcome(group, *work);
            // One process that does otherwise is enough.
            let worst = outcomes.entry(*work).or_insert(outcome);
            *worst = (*worst).min(outcome);
            self.record(group, *work, outcome);
        }
        let has = |outcome| outcomes.values().any(|other| *other == outcome);
        if all.is_empty() {
            self.too_few();
        } else if has(Outcome::Broken) && !has(Outcome::Holds) && !has(Outcome::Open) {
            for (work, group) in &all {
                if self.outcome(group, *work) == Outcome::Broken {
                    self.missed(group, *work);
                }
            }
        } else if has(Outcome::Broken) {
            self.depends(&outcomes);
        } else {
            for (work, group) in &all {
                match self.outcome(group, *work) {
                    Outcome::Open => self.open(group, *work),
                    _ => self.answer.rests_on_inferred |= group.is_inferred,
                }
            }
        }
    }

    /// What is judged, each with enough bytes.
    fn groups(&self) -> Vec<(Work, Group<'a>)> {
        let mut works = self.expectation.works();
        let weighs = |group: &Group<'_>| group.bytes >= self.claim.min_bytes;
        let enough = |works: &[Work]| {
            works
                .iter()
                .any(|work| self.groups_of(*work).iter().any(weighs))
        };
        if let Some(is_natural) = self.expectation.natural() {
            let natural: Vec<_> = works
                .iter()
                .copied()
                .filter(|(_, place)| is_natural(*place))
                .collect();
            // Where the operation itself worked elsewhere, that is meant too.
            let elsewhere = works.iter().any(|work| {
                !natural.contains(work) && self.groups_of(*work).iter().any(|group| group.went > 0)
            });
            if enough(&natural) && !elsewhere {
                works = natural;
            }
        }
        // What is spliced through a pipe comes out of it again, and is counted there.
        let is_pipe = |work: &Work| work.1 == Place::Pipe;
        let others: Vec<_> = works
            .iter()
            .copied()
            .filter(|work| !is_pipe(work))
            .collect();
        if self.pipes_are_internal() && !self.pipes_end_in_memory() && enough(&others) {
            works = others;
        }
        works
            .into_iter()
            .flat_map(|work| {
                let groups = self.groups_of(work).into_iter();
                groups.filter(weighs).map(move |group| (work, group))
            })
            .collect()
    }

    fn pipes_are_internal(&self) -> bool {
        let sum = |flow| {
            let groups = self.groups_of((flow, Place::Pipe));
            groups
                .iter()
                .fold(0_u64, |sum, group| sum.saturating_add(group.bytes))
        };
        let (taken, given) = (sum(Flow::Taken), sum(Flow::Given));
        taken.min(given) >= taken.max(given) / 2 && taken > 0
    }

    /// Whether as many bytes as count got from pipes into memory, or the other way, by operations that a claim limits:
    /// these are counted nowhere else. That a share of an operation is large says nothing of pipes.
    fn pipes_end_in_memory(&self) -> bool {
        let Expectation { is_least, way, .. } = *self.expectation;
        let is_judged = |path: &Path| match way {
            None => !is_least && self.expectation.is_about(path.op.as_str()),
            Some(_) => true,
        };
        let rows = self.snapshot.processes.iter().flat_map(|p| &p.paths);
        let bytes = rows
            .filter(|path| path.object.sole() == Some(End::Pipe) && is_judged(path))
            .filter(|path| path.op.is(|op| op.goes_out().is_some()) && path.op != Op::Vmsplice)
            .fold(0_u64, |sum, path| sum.saturating_add(self.size(path)));
        bytes >= self.claim.min_bytes
    }

    /// The processes that do this work; the small ones are one group.
    fn groups_of(&self, work: Work) -> Vec<Group<'a>> {
        let mut groups = Vec::new();
        let mut small = Group::default();
        for process in &self.snapshot.processes {
            let rows = process
                .paths
                .iter()
                .map(|path| Row { process, path })
                .filter(|row| self.does(row.path, work));
            let group = self.group(rows.collect());
            if group.bytes >= self.claim.min_bytes {
                groups.push(group);
            } else {
                small.rows.extend(group.rows);
            }
        }
        groups.push(self.group(small.rows));
        groups
    }

    fn does(&self, path: &Path, (flow, place): Work) -> bool {
        if path.op == Op::FaultMap && !self.expectation.counts_faults() {
            return false;
        }
        let Some((source, sink)) = ends(path) else {
            return false;
        };
        let end = match flow {
            Flow::Taken => source,
            Flow::Given => sink,
        };
        end == Some(place)
    }

    fn group(&self, rows: Vec<Row<'a>>) -> Group<'a> {
        let mut group = Group::default();
        let way = self.expectation.way;
        for row in &rows {
            let all = self.size(row.path);
            group.bytes = group.bytes.saturating_add(all);
            if !self.expectation.is_about(row.path.op.as_str()) {
                continue;
            }
            let (went, may) = match way {
                None => (all, all),
                Some(way) => self.went(way, row, all),
            };
            group.is_inferred |= way.is_some() && row.is_inferred() && all > 0;
            group.went = group.went.saturating_add(went);
            group.may_have_gone = group.may_have_gone.saturating_add(may);
        }
        if way == Some(Way::Spliced) {
            // Any of them may be a copy of these bytes, except copies of what was copied before.
            let copied = self
                .snapshot
                .unattributed
                .iter()
                .filter(|work| !work.is_sent_again())
                .fold(0_u64, |sum, work| sum.saturating_add(work.totals.copies()));
            group.went = group.went.saturating_sub(copied);
        }
        group.rows = rows;
        group
    }

    fn size(&self, path: &Path) -> u64 {
        if path.op == Op::FaultMap && self.expectation.counts_faults() {
            path.totals.moved
        } else {
            amount(path)
        }
    }

    /// How many bytes of a row went this way for certain, and how many may have.
    fn went(&self, way: Way, row: &Row<'_>, all: u64) -> (u64, u64) {
        let totals = row.totals();
        let mut went = way.bytes(totals).min(all);
        let mut may = went.saturating_add(totals.unexplained).min(all);
        match way {
            Way::Spliced => {
                went = went
                    .saturating_sub(row.notified().bytes)
                    .saturating_sub(row.process.pending.min(row.path.can_be_pending()));
            }
            // Nobody looked at what the cipher did.
            Way::Encrypted if !row.is_inferred() && self.is_without_ciphers() => may = all,
            _ => {}
        }
        (went, may)
    }

    fn is_without_ciphers(&self) -> bool {
        self.snapshot.coverage.refused.iter().any(|refused| {
            let family = catalog::find(&refused.probe).map(|probe| probe.family);
            !refused.absent && family == Some(Family::Tls)
        })
    }

    fn outcome(&self, group: &Group<'_>, work: Work) -> Outcome {
        let Expectation {
            is_least, share, ..
        } = *self.expectation;
        // A quotient, because that is rounded as the limit was when it was read.
        let of_all = |part| ratio(part, group.bytes).unwrap_or_default();
        let (went, may) = (of_all(group.went), of_all(group.may_have_gone));
        let (holds, breaks) = if is_least {
            (went >= share, may < share)
        } else {
            (may <= share, went > share)
        };
        let accepted = !group.is_inferred || self.claim.accept_inferred;
        let is_seen = || self.unseen(work, !is_least).is_none() && self.beside(group).is_none();
        if holds && accepted && is_seen() {
            Outcome::Holds
        } else if breaks && self.unseen(work, is_least).is_none() {
            Outcome::Broken
        } else {
            Outcome::Open
        }
    }

    /// Why operations may have gone by unseen that do this work: the expected ones, or the others.
    fn unseen(&self, work: Work, expected: bool) -> Option<(&'static Rule, Seen)> {
        Op::ALL
            .iter()
            .filter(|op| self.expectation.is_about(op.name()) == expected)
            .filter(|op| does(**op, work))
            .filter(|op| **op != Op::FaultMap || self.expectation.counts_faults())
            .find_map(|op| {
                let about = Claim {
                    path: Some(op.name().to_owned()),
                    ..self.claim.clone()
                };
                rules::unseen(&State {
                    claim: &about,
                    snapshot: self.snapshot,
                    circumstances: self.circumstances,
                })
            })
    }

    /// What calls that are no operations moved, where the share would be too small if they did this work: `btrfs send`
    /// gives its stream to whichever file it is told.
    fn beside(&self, group: &Group<'_>) -> Option<(&'static Rule, Seen)> {
        let Expectation {
            is_least, share, ..
        } = *self.expectation;
        let is_call = |path: &&Path| {
            path.op == Op::Other
                && matches!(path.object.sole(), Some(End::Syscall(_) | End::Exception))
        };
        let processes = &self.snapshot.processes;
        let calls = || {
            processes
                .iter()
                .flat_map(|process| process.paths.iter().filter(is_call))
        };
        let moved = calls().fold(0_u64, |sum, path| sum.saturating_add(path.totals.moved));
        let least = ratio(group.went, group.bytes.saturating_add(moved)).unwrap_or_default();
        if !is_least || moved == 0 || least >= share {
            return None;
        }
        let most = calls().max_by_key(|path| path.totals.moved)?;
        let text = format!("{} in {}", bytes(moved), printable(most.object.as_str()));
        Some((
            rules::find("other-calls-copied")?,
            Seen { bytes: moved, text },
        ))
    }

    fn record(&mut self, group: &Group<'_>, work: Work, outcome: Outcome) {
        self.answer.met.push(Met {
            expectation: self.expectation.to_string(),
            what: reasons::what(group, work),
            bytes: group.bytes,
            went: group.went,
            may_have_gone: group.may_have_gone,
            share: ratio(group.went, group.bytes),
            outcome,
        });
    }
}

/// Whether an operation can do this work.
fn does(op: Op, (flow, place): Work) -> bool {
    match (job(op), flow) {
        (Some(Job::Take(is) | Job::Pass(is, _)), Flow::Taken) => is(place),
        (Some(Job::Give(is) | Job::Pass(_, is)), Flow::Given) => is(place),
        _ => false,
    }
}
