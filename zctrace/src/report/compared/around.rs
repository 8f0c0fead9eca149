//! What differs between two recordings beside their numbers, and where a data path lost its zero-copy: the
//! question after an update of the kernel. A security fix can turn references into copies within one
//! version, so only what was seen decides, never the version.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};
use zctrace_common::Evidence;

use crate::{
    claims::{MIN_BYTES, ZERO_COPY},
    ledger::{Object, PerByte, Snapshot, Totals},
    report::recorded::Document,
};

/// Something around the measurement that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// `kernel`, `arch`, `backend`, `target`, `probes`, `not_seen`, `claims` or `stack_bytes`.
    pub what: String,
    /// In the first recording; of lists only what the second does not have.
    pub before: String,
    /// In the second.
    pub after: String,
}

/// What became of the zero-copy of a data path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing was copied before, and something is now.
    Lost,
    /// It is not known any more: how the bytes went was seen before, and is not now.
    Unknown,
    /// The path was zero-copy before, and is not taken any more.
    Gone,
    /// Something was copied before, and nothing is now.
    Gained,
}

/// A data path whose zero-copy changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The operation.
    pub op: String,
    /// What it worked on.
    pub object: Object,
    /// What became of it.
    pub outcome: Outcome,
    /// Copies per byte before; null where nothing moved.
    pub before: Option<f64>,
    /// Copies per byte after; null where nothing moved.
    pub after: Option<f64>,
    /// How some of the bytes moved was not seen before, so more may have been copied. Absent where it is not so.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub before_is_lower_bound: bool,
    /// The same after. Absent where it is not so.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub after_is_lower_bound: bool,
    /// The class by which most of its bytes went before.
    pub way_before: String,
    /// The class by which most go now; empty where the path is not taken.
    pub way_after: String,
    /// Some of it was concluded from calls in one of the recordings, not measured.
    pub inferred: bool,
}

impl Differs {
    fn new(what: &str, before: impl Into<String>, after: impl Into<String>) -> Option<Self> {
        let (before, after) = (before.into(), after.into());
        (before != after).then(|| Self {
            what: what.into(),
            before,
            after,
        })
    }

    /// A line for people, for a list one for each side that has something of its own.
    pub(super) fn sentence(&self) -> String {
        let Self {
            what,
            before,
            after,
        } = self;
        let name = match what.as_str() {
            "arch" => "architecture",
            "not_seen" => "cannot be seen",
            "claims" => "asked and found",
            "stack_bytes" => "bytes between stacks",
            other => other,
        };
        match (before.as_str(), after.as_str()) {
            (before, "") => format!("{name}: only before: {before}"),
            ("", after) => format!("{name}: only after: {after}"),
            _ if is_list(what) => format!("{name}: only before: {before}; only after: {after}"),
            _ => format!("{name}: {before} before, {after} after"),
        }
    }
}

fn is_list(what: &str) -> bool {
    matches!(what, "probes" | "not_seen" | "claims")
}

/// What differs around the numbers.
pub(super) fn differs(before: &Document, after: &Document) -> Vec<Differs> {
    let (a, b) = (&before.stat, &after.stat);
    let only = |what, of: fn(&Snapshot) -> BTreeSet<String>| {
        let (mine, theirs) = (of(a), of(b));
        let list = |one: &BTreeSet<String>, other| {
            let some: Vec<_> = one.difference(other).cloned().collect();
            some.join(", ")
        };
        Differs::new(what, list(&mine, &theirs), list(&theirs, &mine))
    };
    [
        Differs::new("kernel", &a.kernel, &b.kernel),
        Differs::new("arch", &a.arch, &b.arch),
        Differs::new("backend", &a.backend, &b.backend),
        Differs::new("target", a.target.words(), b.target.words()),
        only("probes", |stat| {
            stat.coverage.attached.iter().cloned().collect()
        }),
        only("not_seen", |stat| {
            let techniques = stat.coverage.not_seen().into_iter();
            techniques.map(|one| one.name.to_owned()).collect()
        }),
        only("claims", claims),
        Differs::new(
            "stack_bytes",
            before.stack_bytes.to_string(),
            after.stack_bytes.to_string(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What was asked of the kernel, and what its sockets and devices could: `no_scatter_gather of veth0`.
fn claims(stat: &Snapshot) -> BTreeSet<String> {
    let all = stat.processes.iter().flat_map(|process| &process.claims);
    all.flat_map(|claimed| {
        let device = claimed.device.as_deref();
        let device = device.map(|device| format!(" of {device}"));
        claimed
            .claims
            .iter()
            .map(move |name| format!("{name}{}", device.as_deref().unwrap_or_default()))
    })
    .collect()
}

/// A path in one recording, whoever took it.
#[derive(Default)]
struct Side {
    totals: Totals,
    inferred: bool,
}

/// How the bytes of a path went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Too few bytes to say anything.
    Nothing,
    ZeroCopy,
    Copied,
    /// More may have been copied than was seen.
    Open,
}

impl Side {
    fn figure(&self) -> PerByte {
        self.totals.per_byte()
    }

    fn state(&self) -> State {
        if self.totals.moved < MIN_BYTES {
            return State::Nothing;
        }
        match self.figure().ratio() {
            None => State::Nothing,
            // What was seen is a lower bound.
            Some(ratio) if ratio > ZERO_COPY => State::Copied,
            Some(_) if self.figure().is_lower_bound() => State::Open,
            Some(_) => State::ZeroCopy,
        }
    }

    fn way(&self) -> String {
        let classes = self.totals.classes().into_iter();
        let most = classes.max_by_key(|(_, bytes)| *bytes);
        let most = most.filter(|(_, bytes)| *bytes != 0);
        most.map_or_else(String::new, |(class, _)| class.into())
    }
}

/// The paths whose zero-copy changed, those that lost it first.
pub(super) fn turns(before: &Snapshot, after: &Snapshot) -> Vec<Turn> {
    let mut paths: BTreeMap<(&str, &Object), [Side; 2]> = BTreeMap::new();
    for (snapshot, place) in [(before, 0), (after, 1)] {
        for path in snapshot.processes.iter().flat_map(|process| &process.paths) {
            let side = &mut paths.entry((path.op.as_str(), &path.object)).or_default()[place];
            side.totals.add(&path.totals);
            side.inferred |= path.evidence == Evidence::Inferred;
        }
    }
    let mut turns: Vec<_> = paths
        .into_iter()
        .filter_map(|((op, object), [before, after])| {
            let outcome = match (before.state(), after.state()) {
                (State::ZeroCopy, State::Copied) => Outcome::Lost,
                (State::ZeroCopy, State::Open) => Outcome::Unknown,
                (State::ZeroCopy, State::Nothing) if after.totals.moved == 0 => Outcome::Gone,
                (State::Copied, State::ZeroCopy) => Outcome::Gained,
                _ => return None,
            };
            let turn = Turn {
                op: op.to_owned(),
                object: object.clone(),
                outcome,
                before: before.figure().ratio(),
                before_is_lower_bound: before.figure().is_lower_bound(),
                after: after.figure().ratio(),
                after_is_lower_bound: after.figure().is_lower_bound(),
                way_before: before.way(),
                way_after: after.way(),
                inferred: before.inferred || after.inferred,
            };
            Some((turn, before.totals.moved.max(after.totals.moved)))
        })
        .collect();
    turns.sort_by_key(|(turn, moved)| (turn.outcome as u8, std::cmp::Reverse(*moved)));
    turns.into_iter().map(|(turn, _)| turn).collect()
}

impl Turn {
    /// What became of it, for people.
    pub(super) fn sentence(&self) -> String {
        let Self {
            op,
            object,
            outcome,
            before,
            before_is_lower_bound,
            after,
            after_is_lower_bound,
            way_before,
            way_after,
            inferred,
        } = self;
        let was = PerByte::of(*before, *before_is_lower_bound);
        let is = PerByte::of(*after, *after_is_lower_bound);
        let words = |way: &str| way.replace('_', " ");
        let (way_before, way_after) = (words(way_before), words(way_after));
        let mut text = format!("{op} {object} ");
        let _ = match outcome {
            Outcome::Lost => write!(
                text,
                "lost its zero-copy: {was} copies/B ({way_before}) before, {is} ({way_after}) after"
            ),
            Outcome::Unknown => write!(
                text,
                "was zero-copy ({way_before}), and it is not known whether it still is: some of its bytes went unseen"
            ),
            Outcome::Gone => write!(
                text,
                "was zero-copy ({way_before}), and is not done any more"
            ),
            Outcome::Gained => write!(
                text,
                "is zero-copy now: {was} copies/B ({way_before}) before, {is} ({way_after}) after"
            ),
        };
        if *inferred {
            text.push_str(" (inferred)");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{
            Claimed, Path, Process, Refused,
            samples::{self, in_kernel as copied, row as path, spliced},
        },
        report::compared::{Comparison, judge::tests::document, markdown, text},
        text::style::Surface,
    };

    fn stat(paths: Vec<Path>) -> Snapshot {
        let process = Process::from_paths(7, 1, "app".into(), "/".into(), paths);
        samples::with(vec![process])
    }

    fn unseen(bytes: u64) -> Totals {
        Totals {
            ops: 1,
            moved: bytes,
            unexplained: bytes,
            ..Totals::default()
        }
    }

    const MANY: u64 = 16 * MIN_BYTES;

    fn outcome(before: Vec<Totals>, after: Vec<Totals>) -> Option<Outcome> {
        let side = |all: Vec<Totals>| {
            let paths = all.into_iter();
            stat(
                paths
                    .map(|one| path("splice", "pipe->socket:alg", "measured", one))
                    .collect(),
            )
        };
        let turns = turns(&side(before), &side(after));
        assert!(turns.len() <= 1);
        turns.first().map(|turn| turn.outcome)
    }

    #[test]
    fn only_what_was_seen_decides_whether_zero_copy_was_lost() {
        assert_eq!(
            outcome(vec![spliced(MANY)], vec![copied(MANY)]),
            Some(Outcome::Lost)
        );
        assert_eq!(
            outcome(vec![copied(MANY)], vec![spliced(MANY)]),
            Some(Outcome::Gained)
        );
        assert_eq!(
            outcome(vec![spliced(MANY)], vec![unseen(MANY)]),
            Some(Outcome::Unknown)
        );
        assert_eq!(outcome(vec![spliced(MANY)], vec![]), Some(Outcome::Gone));
        // Copies that were seen are copies, whatever else was not seen.
        let partly = vec![copied(MANY), unseen(MANY)];
        assert_eq!(outcome(vec![spliced(MANY)], partly), Some(Outcome::Lost));
        // The same, unknown before, or too little to tell.
        assert_eq!(outcome(vec![spliced(MANY)], vec![spliced(MANY)]), None);
        assert_eq!(outcome(vec![unseen(MANY)], vec![copied(MANY)]), None);
        assert_eq!(outcome(vec![unseen(MANY)], vec![spliced(MANY)]), None);
        assert_eq!(
            outcome(vec![spliced(MANY)], vec![copied(MIN_BYTES - 1)]),
            None
        );
        assert_eq!(
            outcome(vec![spliced(MIN_BYTES - 1)], vec![copied(MANY)]),
            None
        );
        // Copied later is copied.
        let later = Totals {
            deferred: MANY,
            ..spliced(MANY)
        };
        assert_eq!(
            outcome(vec![spliced(MANY)], vec![later]),
            Some(Outcome::Lost)
        );
    }

    /// What was copied is known to be copied; that it was no more is not.
    #[test]
    fn a_figure_that_rests_on_unseen_bytes_has_its_mark() {
        let side = |totals| stat(vec![path("splice", "pipe->tcp", "measured", totals)]);
        let mut partly = copied(MANY);
        partly.add(&unseen(MANY));
        let sentence = |before, after| {
            let turns = turns(&side(before), &side(after));
            turns[0].sentence()
        };
        let lost = sentence(spliced(MANY), partly);
        assert!(
            lost.contains("0.00 copies/B") && lost.contains("0.50? ("),
            "{lost}"
        );
        let gained = sentence(partly, spliced(MANY));
        assert!(
            gained.contains("0.50? copies/B") && gained.contains("0.00 ("),
            "{gained}"
        );
    }

    #[test]
    fn the_surroundings_that_differ_are_named() {
        let before = stat(vec![path(
            "splice",
            "pipe->socket:alg",
            "measured",
            spliced(MANY),
        )]);
        let mut after = stat(vec![path(
            "splice",
            "pipe->socket:alg",
            "inferred",
            copied(MANY),
        )]);
        let same = differs(&document(before.clone()), &document(before.clone()));
        assert!(same.is_empty(), "{same:?}");
        after.kernel = "7.3.4".into();
        after.backend = "tracepoints".into();
        after.coverage.attached = vec!["filemap_read".into(), "sys_enter".into()];
        after.coverage.refused = vec![Refused {
            probe: "tcp_sendmsg_locked".into(),
            reason: "not permitted".into(),
            lost: "sends".into(),
            absent: false,
        }];
        after.processes[0].claims = vec![Claimed {
            op: "send.zerocopy".into(),
            object: "tcp".into(),
            evidence: "measured".into(),
            claims: vec!["no_scatter_gather".into()],
            device: Some("ve\u{1b}th0".into()),
            notifications: 0,
            totals: Totals::default(),
        }];
        let comparison = Comparison::new(document(before), document(after), None);
        let named: Vec<_> = comparison
            .differs
            .iter()
            .map(|one| one.what.as_str())
            .collect();
        for what in ["kernel", "backend", "probes", "claims"] {
            assert!(named.contains(&what), "{named:?}");
        }
        assert!(!named.contains(&"arch") && !named.contains(&"target"));
        let text = text(&comparison, Surface::FILE);
        for line in [
            "kernel: 6.12.95+deb13-cloud-amd64 before, 7.3.4 after",
            "backend: functions before, tracepoints after",
            "probes: only before: tcp_sendmsg_locked; only after: sys_enter",
            "asked and found: only after: no_scatter_gather of ve\\x1bth0",
            "splice pipe->socket:alg lost its zero-copy: 0.00 copies/B (spliced) before, 1.00 (copied in kernel) after (inferred)",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(markdown(&comparison).contains("lost its zero-copy"));
    }
}
