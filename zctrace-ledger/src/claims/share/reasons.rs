//! The reasons of an answer, in words.

use std::collections::BTreeMap;

use super::{
    super::{
        Outcome,
        expect::{Expectation, Flow, Way, Work},
        portion::Row,
        reason::Effect,
        rules::{self, Matter, Rule, Seen, Sight},
    },
    Group, Jury,
};
use crate::{
    ledger::{Path, Process, ratio},
    text::{bytes::bytes, escape::printable},
};

impl<'a> Jury<'a> {
    fn say(&mut self, rule: &Rule, effect: Effect, row: Option<&Row<'_>>, seen: Seen) {
        let matter = Matter {
            claim: self.claim,
            snapshot: self.snapshot,
        };
        let reason = rule.reason(matter, effect, row, seen);
        if !self.answer.reasons.contains(&reason) {
            self.answer.reasons.push(reason);
        }
    }

    /// The share as it was found, and as it was expected.
    fn found(&self, group: &Group<'_>, work: Work) -> String {
        let share = ratio(group.went, group.bytes).unwrap_or_default();
        let more = match group.may_have_gone.saturating_sub(group.went) {
            0 => String::new(),
            more => format!(", possibly {} more", bytes(more)),
        };
        format!(
            "{} by {}{more} of {}: a share of {share:.4}, expected {}",
            bytes(group.went),
            self.expectation.subject(),
            what(group, work),
            self.limit(),
        )
    }

    fn limit(&self) -> String {
        let word = if self.expectation.is_least {
            "at least"
        } else {
            "at most"
        };
        format!("{word} {}", self.expectation.share)
    }

    pub(super) fn missed(&mut self, group: &Group<'a>, work: Work) {
        let instead = self.instead(group);
        let failed = self.failed(group);
        let refused = failed
            .as_ref()
            .map_or_else(String::new, |seen| format!("; {}", seen.text));
        let seen = Seen {
            bytes: group.bytes,
            text: format!("{}{instead}{refused}", self.found(group, work)),
        };
        self.say(&rules::EXPECTATION_MISSED, Effect::Refutes, None, seen);
        if let Some(seen) = failed {
            self.say(&rules::REFUSED, Effect::Explains, None, seen);
        }
        // Where it was tried, the rules know why it did not go that way.
        for row in &group.rows {
            if self.expectation.way.is_none() || !self.expectation.is_about(row.path.op.as_str()) {
                continue;
            }
            let sight = Sight {
                row,
                snapshot: self.snapshot,
            };
            for (rule, seen) in rules::copies(&sight) {
                self.say(rule, Effect::Explains, Some(row), seen);
            }
        }
    }

    /// The rows that went another way, or, where too many went this one, those.
    fn instead(&self, group: &Group<'_>) -> String {
        let Expectation { way, is_least, .. } = *self.expectation;
        let other = |row: &Row<'_>| {
            let all = self.size(row.path);
            let went = match (self.expectation.is_about(row.path.op.as_str()), way) {
                (false, _) => 0,
                (true, None) => all,
                (true, Some(way)) => self.went(way, row, all).1,
            };
            if is_least { all - went } else { went }
        };
        // Small processes have rows of the same name.
        let mut ways: BTreeMap<(String, &str), u64> = BTreeMap::new();
        for row in &group.rows {
            let count = other(row);
            if count > 0 {
                let name = format!("{} {}", row.path.op, printable(row.path.object.as_str()));
                let sum = ways.entry((name, self.class(row.path))).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let names: Vec<_> = ways
            .iter()
            .take(3)
            .map(|((name, class), count)| format!("{} by `{name}` ({class})", bytes(*count)))
            .collect();
        if names.is_empty() {
            return String::new();
        }
        let word = if is_least { "instead" } else { "that is" };
        format!("; {word} {}", names.join(", "))
    }

    /// How most of the bytes of a row moved that did not go the expected way, or that did where too many went.
    fn class(&self, path: &Path) -> &'static str {
        let Expectation { way, is_least, .. } = *self.expectation;
        let expected = way
            .filter(|_| self.expectation.is_about(path.op.as_str()))
            .map(Way::name);
        let most = path
            .totals
            .classes()
            .into_iter()
            .filter(|(class, count)| {
                *count > 0 && (expected.is_none() || !is_least || expected != Some(*class))
            })
            .max_by_key(|(class, count)| (!is_least && expected == Some(*class), *count));
        match most {
            Some((class, _)) => class,
            // By reference, as expected; but that was not the end of it.
            None => "copied later",
        }
    }

    /// How many calls failed of those that were expected, in the processes of this group.
    fn failed(&self, group: &Group<'_>) -> Option<Seen> {
        let path = self.expectation.path()?;
        let mine = |process: &&Process| {
            let mut rows = group.rows.iter();
            rows.any(|row| row.process.pid == process.pid)
        };
        let (mut calls, mut errors) = (0_u64, 0_u64);
        let mut paths = Vec::new();
        for process in self.snapshot.processes.iter().filter(mine) {
            let rows = process.paths.iter();
            for row in rows.filter(|row| self.expectation.is_about(row.op.as_str())) {
                calls = calls.saturating_add(row.totals.ops);
                errors = errors.saturating_add(row.totals.errors);
                paths.push(row);
            }
        }
        let words = rules::refused_words(errors, calls, paths);
        (errors > 0).then(|| Seen {
            bytes: 0,
            text: format!("{path}: {words}"),
        })
    }

    /// It holds in one kind of work and not in another.
    pub(super) fn depends(&mut self, outcomes: &BTreeMap<Work, Outcome>) {
        let which = |wanted| {
            let works = outcomes.iter().filter(|(_, outcome)| **outcome == wanted);
            let words: Vec<_> = works.map(|(work, _)| words(*work)).collect();
            words.join(" and ")
        };
        let otherwise = match which(Outcome::Holds) {
            holds if holds.is_empty() => format!("undecided for bytes {}", which(Outcome::Open)),
            holds => format!("met for bytes {holds}"),
        };
        let seen = Seen {
            bytes: 0,
            text: format!(
                "{}: missed for bytes {}, {otherwise}",
                self.expectation,
                which(Outcome::Broken)
            ),
        };
        self.say(&rules::EXPECTATION_UNCLEAR, Effect::Forbids, None, seen);
    }

    pub(super) fn open(&mut self, group: &Group<'a>, work: Work) {
        let is_least = self.expectation.is_least;
        let found = self.found(group, work);
        let unseen = [is_least, !is_least]
            .into_iter()
            .find_map(|expected| self.unseen(work, expected));
        if let Some((rule, seen)) = unseen.or_else(|| self.beside(group)) {
            let text = format!("{}; {found}", seen.text);
            return self.say(rule, Effect::Forbids, None, Seen { text, ..seen });
        }
        let unknown = group.may_have_gone.saturating_sub(group.went);
        let (rule, bytes) = match unknown {
            0 => (&rules::INFERRED, group.bytes),
            unknown => (&rules::UNEXPLAINED, unknown),
        };
        self.say(rule, Effect::Forbids, None, Seen { bytes, text: found });
    }

    /// The most bytes of this kind of work that are judged as one.
    fn most(&self, work: Work) -> u64 {
        let groups = self.groups_of(work);
        groups
            .iter()
            .map(|group| group.bytes)
            .max()
            .unwrap_or_default()
    }

    fn place_of_most(&self, works: &[Work]) -> Option<Work> {
        let most = works.iter().max_by_key(|work| self.most(**work));
        most.copied().filter(|work| self.most(*work) > 0)
    }

    pub(super) fn too_few(&mut self) {
        let works = self.expectation.works();
        let most = works.iter().map(|work| self.most(*work)).max();
        let most = most.unwrap_or_default();
        let everybody = Group {
            rows: self
                .snapshot
                .processes
                .iter()
                .flat_map(|process| process.paths.iter().map(move |path| Row { process, path }))
                .collect(),
            ..Group::default()
        };
        if let Some(seen) = self.failed(&everybody).filter(|_| most == 0) {
            return self.say(&rules::REFUSED, Effect::Forbids, None, seen);
        }
        let least = bytes(self.claim.min_bytes);
        let most_text = bytes(most);
        let text = match self.place_of_most(&works) {
            Some(work) => format!("{most_text} were {}, but {least} are needed", words(work)),
            None => format!(
                "nothing was moved that {} is about",
                self.expectation.subject()
            ),
        };
        let unseen = works.iter().find_map(|work| self.unseen(*work, true));
        if let Some((rule, seen)) = unseen {
            self.say(rule, Effect::Forbids, None, seen);
        }
        let seen = Seen { bytes: most, text };
        self.say(&rules::TOO_FEW_BYTES, Effect::Forbids, None, seen);
    }
}

fn words((flow, place): Work) -> String {
    match flow {
        Flow::Taken => format!("taken from {}", place.words()),
        Flow::Given => format!("given to {}", place.words()),
    }
}

/// Whose bytes a kind of work is about, and how many.
pub(super) fn what(group: &Group<'_>, work: Work) -> String {
    let mut pids: Vec<_> = group.rows.iter().map(|row| row.process.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let who = match (&pids[..], group.rows.first()) {
        ([pid], Some(row)) => format!("{} ({pid})", printable(&row.process.comm)),
        _ => format!("{} small processes", pids.len()),
    };
    let verb = match work.0 {
        Flow::Taken => "took from",
        Flow::Given => "gave to",
    };
    format!(
        "{} that {who} {verb} {}",
        bytes(group.bytes),
        work.1.words()
    )
}
