//! Two recordings side by side: what a change has changed, and whether it copies more.

mod around;
mod html;
mod judge;
mod markdown;
mod text;
mod waits;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use around::{Differs, Outcome, Turn};
pub use html::page;
pub use judge::{Judged, Measure, MostIncrease};
pub use markdown::markdown;
pub use text::text;
pub use waits::Waited;

use super::{html::time, recorded::Document};
use crate::{
    ledger::{Object, Snapshot, Totals},
    text::bytes,
};

/// The `schema` of a [`Comparison`].
pub const SCHEMA: &str = "zctrace.comparison/1";

/// What [`Waited`] is about, as a title.
const WAITS: &str = "Waits for notifications of zero-copy sends";

/// Two recordings side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: String,
    /// The first.
    pub before: Document,
    /// The second.
    pub after: Document,
    /// What each operation on each object did in either, whoever did it; most bytes first.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What differs around the numbers.
    #[serde(default)]
    pub differs: Vec<Differs>,
    /// Where a path lost its zero-copy, or gained it.
    #[serde(default)]
    pub zero_copy: Vec<Turn>,
    /// How long zero-copy sends waited for their notification in either.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notified: Vec<Waited>,
    /// Whether more is copied than before; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub judged: Option<Judged>,
}

/// An operation on an object in both recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The operation.
    pub op: String,
    /// What it worked on.
    pub object: Object,
    /// What it did in the first recording.
    pub before: Totals,
    /// What it did in the second.
    pub after: Totals,
}

impl Comparison {
    /// Two recordings, judged if there is a limit.
    #[must_use]
    pub fn new(before: Document, after: Document, limit: Option<MostIncrease>) -> Self {
        Self {
            schema: SCHEMA.into(),
            changes: changes(&before.stat, &after.stat),
            differs: around::differs(&before, &after),
            zero_copy: around::turns(&before.stat, &after.stat),
            notified: waits::waited(&before.stat, &after.stat),
            judged: limit.map(|limit| judge::judge(&before, &after, limit)),
            before,
            after,
        }
    }
}

fn changes(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let mut rows: BTreeMap<(&str, &Object), (Totals, Totals)> = BTreeMap::new();
    for (snapshot, is_after) in [(before, false), (after, true)] {
        for path in snapshot.processes.iter().flat_map(|process| &process.paths) {
            let (a, b) = rows.entry((path.op.as_str(), &path.object)).or_default();
            let sum = if is_after { b } else { a };
            sum.add(&path.totals);
        }
    }
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|((op, object), (before, after))| Change {
            op: op.to_owned(),
            object: object.clone(),
            before,
            after,
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.before.moved.saturating_add(row.after.moved)));
    rows
}

/// A line of the table of sums: its name in the documents, and what people read before, after, and of the difference.
struct Line {
    name: &'static str,
    before: String,
    after: String,
    difference: String,
}

/// The sums that are not nothing in both.
fn lines(comparison: &Comparison) -> Vec<Line> {
    let (a, b) = (&comparison.before.stat, &comparison.after.stat);
    let mut lines = Vec::new();
    for (name, before, after) in [
        ("copies_per_byte", a.total.per_byte(), b.total.per_byte()),
        ("copies_per_sent_byte", a.per_sent_byte(), b.per_sent_byte()),
        (
            "copies_per_received_byte",
            a.per_received_byte(),
            b.per_received_byte(),
        ),
    ] {
        if before.ratio().is_none() && after.ratio().is_none() {
            continue;
        }
        let difference = match (before.ratio(), after.ratio()) {
            (Some(a), Some(b)) if before.is_lower_bound() || after.is_lower_bound() => {
                format!("{:+.3}?", b - a)
            }
            (Some(a), Some(b)) => format!("{:+.3}", b - a),
            _ => "-".into(),
        };
        lines.push(Line {
            name,
            before: before.exactly(),
            after: after.exactly(),
            difference,
        });
    }
    let rate = |bytes: u64, stat: &Snapshot| {
        let seconds = stat.duration_ns.max(1) as f64 / 1e9;
        (bytes as f64 / seconds) as u64
    };
    let mut sum = |name, before: u64, after: u64, unit: &str| {
        if before != 0 || after != 0 {
            lines.push(Line {
                name,
                before: format!("{}{unit}", bytes::bytes(before)),
                after: format!("{}{unit}", bytes::bytes(after)),
                difference: format!("{}{unit}", difference(before, after)),
            });
        }
    };
    for (name, part) in [
        ("moved_per_second", (a.total.moved, b.total.moved)),
        ("copied_per_second", (a.total.copies(), b.total.copies())),
    ] {
        sum(name, rate(part.0, a), rate(part.1, b), "/s");
    }
    sum("copied", a.total.copies(), b.total.copies(), "");
    for ((name, before), (_, after)) in a.total.fields().into_iter().zip(b.total.fields()) {
        sum(name, before, after, "");
    }
    lines
}

/// A difference of bytes with its sign.
fn difference(before: u64, after: u64) -> String {
    let sign = match after.cmp(&before) {
        std::cmp::Ordering::Less => "-",
        std::cmp::Ordering::Equal => "",
        std::cmp::Ordering::Greater => "+",
    };
    format!("{sign}{}", bytes::bytes(after.abs_diff(before)))
}

/// What a row moved; nothing is said where it did not happen.
fn moved(totals: &Totals) -> String {
    match totals.ops {
        0 => "-".to_owned(),
        _ => bytes::bytes(totals.moved),
    }
}

/// Which recording it is: how long, when, where.
fn about(document: &Document) -> String {
    let stat = &document.stat;
    let mut about = format!(
        "{}, {} from {}, Linux {}, {} backend",
        stat.target.words(),
        bytes::duration(std::time::Duration::from_nanos(stat.duration_ns)),
        time(&stat.started_at),
        stat.kernel,
        stat.backend
    );
    if let Some(damage) = &document.damage {
        about.push_str(&format!(" (incomplete: {damage})"));
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples;

    #[test]
    fn every_path_of_either_is_compared() {
        let (before, mut after) = (samples::normal(), samples::normal());
        after.processes.truncate(1);
        after.processes[0].paths.truncate(1);
        after.processes[0].paths[0].op = "tee".into();
        let rows = changes(&before, &after);
        let sum = |snapshot: &Snapshot| -> u64 {
            let paths = snapshot.processes.iter().flat_map(|process| &process.paths);
            paths.map(|path| path.totals.moved).sum()
        };
        let moved =
            |side: fn(&Change) -> &Totals| -> u64 { rows.iter().map(|row| side(row).moved).sum() };
        assert_eq!(moved(|row| &row.before), sum(&before));
        assert_eq!(moved(|row| &row.after), sum(&after));
        let new = rows.iter().find(|row| row.op == "tee").unwrap();
        assert_eq!(new.before, Totals::default());
    }

    #[test]
    fn a_recording_is_named_for_people() {
        let document = judge::tests::document(Snapshot {
            started_at: "2026-11-28T07:10:25.412719Z".into(),
            ..samples::normal()
        });
        let about = about(&document);
        assert!(
            about.contains(" from 28 November 2026, 07:10:25 UTC, "),
            "{about}"
        );
    }

    #[test]
    fn a_difference_has_a_sign() {
        assert_eq!(difference(0, 2048), "+2.00 KiB");
        assert_eq!(difference(2048, 0), "-2.00 KiB");
        assert_eq!(difference(7, 7), "0 B");
    }

    #[test]
    fn what_nobody_saw_is_marked_in_the_sums() {
        let document = |stat| judge::tests::document(stat);
        let comparison = Comparison::new(
            document(samples::normal()),
            document(samples::unexplained()),
            None,
        );
        let lines = lines(&comparison);
        assert_eq!(lines[0].name, "copies_per_byte");
        assert!(!lines[0].before.ends_with('?'), "{}", lines[0].before);
        assert!(lines[0].after.ends_with('?'), "{}", lines[0].after);
        assert!(
            lines[0].difference.ends_with('?'),
            "{}",
            lines[0].difference
        );
    }
}
