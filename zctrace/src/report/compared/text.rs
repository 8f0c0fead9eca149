//! A comparison for people.

use std::fmt::Write as _;

use super::{Comparison, Differs, Judged, Turn, WAITS, Waited, about, difference, lines, moved};
use crate::{
    claims::{Outcome, SCOPE, Verdict},
    text::{
        bytes,
        escape::printable,
        style::{Palette, Surface, paint},
    },
};

/// The comparison: the answer first, then the sums and every path, whoever it belongs to.
#[must_use]
pub fn text(comparison: &Comparison, surface: Surface) -> String {
    let mut text = String::new();
    if let Some(judged) = &comparison.judged {
        answer(&mut text, judged, surface.palette);
    }
    for (side, document) in [("before", &comparison.before), ("after", &comparison.after)] {
        let _ = writeln!(text, "{side:<7} {}", printable(&about(document)));
    }
    around(&mut text, comparison);
    let _ = writeln!(
        text,
        "\n{:<24} {:>12} {:>12} {:>13}",
        "", "BEFORE", "AFTER", "DIFFERENCE"
    );
    for line in lines(comparison) {
        let _ = writeln!(
            text,
            "{:<24} {:>12} {:>12} {:>13}",
            line.name.replace('_', " "),
            line.before,
            line.after,
            line.difference
        );
    }
    paths(&mut text, comparison);
    text
}

fn around(text: &mut String, comparison: &Comparison) {
    let turns = comparison.zero_copy.iter().map(Turn::sentence);
    let differs = comparison.differs.iter().map(Differs::sentence);
    let waits = comparison.notified.iter().map(Waited::sentence);
    for (title, lines) in [
        ("Zero-copy", turns.collect::<Vec<_>>()),
        (WAITS, waits.collect()),
        ("What differs beside the numbers", differs.collect()),
    ] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{title}:");
        }
        for line in lines {
            let _ = writeln!(text, "  {}", printable(&line));
        }
    }
}

fn paths(text: &mut String, comparison: &Comparison) {
    const TITLE: &str = "OPERATION, OBJECT";
    let name = |op: &str, object: &str| printable(&format!("{op} {object}"));
    let names: Vec<_> = comparison
        .changes
        .iter()
        .map(|change| name(&change.op, change.object.as_str()))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max(TITLE.len());
    let _ = writeln!(
        text,
        "\n{:<width$} {:^30} {:^14}\n{TITLE:<width$} {:>9} {:>9} {:>10} {:>7} {:>7}",
        "", "MOVED", "COPIES/B", "BEFORE", "AFTER", "DIFF", "BEFORE", "AFTER"
    );
    for (change, name) in comparison.changes.iter().zip(names) {
        let _ = writeln!(
            text,
            "{name:<width$} {:>9} {:>9} {:>10} {:>7} {:>7}",
            moved(&change.before),
            moved(&change.after),
            difference(change.before.moved, change.after.moved),
            change.before.per_byte().to_string(),
            change.after.per_byte().to_string(),
        );
    }
}

fn answer(text: &mut String, judged: &Judged, palette: Palette) {
    let style = match judged.verdict {
        Verdict::Pass => palette.good,
        Verdict::Inconclusive => palette.warning,
        Verdict::Fail => palette.alarm,
    };
    let _ = writeln!(
        text,
        "{}: {}",
        paint(style, judged.verdict.word()),
        sentence(judged)
    );
    for line in measures(judged) {
        let _ = writeln!(text, "  {line}");
    }
    for line in against(judged) {
        let _ = writeln!(text, "  {}", printable(&line));
    }
    let _ = writeln!(text, "{}\n", paint(palette.faint, SCOPE));
}

/// The answer in a sentence.
pub(super) fn sentence(judged: &Judged) -> String {
    let limit = judged.max_increase * 100.0;
    match judged.verdict {
        Verdict::Pass => format!("no more than {limit}% more is copied than before"),
        Verdict::Fail => format!("over {limit}% more is copied than before"),
        Verdict::Inconclusive => {
            format!("it is not known whether over {limit}% more is copied than before")
        }
    }
}

/// A sentence for each measure.
pub(super) fn measures(judged: &Judged) -> impl Iterator<Item = String> {
    judged.measures.iter().map(|measure| {
        let is_sum = measure.measure == "copied";
        let shown = |value: f64| match is_sum {
            true => bytes::bytes(value as u64),
            false => format!("{value:.3}"),
        };
        // A figure that could be higher has its mark, as everywhere.
        let side = |seen: f64, at_most: f64| match at_most > seen {
            true => format!("{}? (at most {})", shown(seen), shown(at_most)),
            false => shown(seen),
        };
        let outcome = match measure.outcome {
            Outcome::Broken => "above",
            Outcome::Open => "maybe above",
            Outcome::Holds => "within",
        };
        format!(
            "{}: {} before, {} after; {outcome} the limit of {}",
            measure.measure.replace('_', " "),
            side(measure.before, measure.before_at_most),
            side(measure.after, measure.after_at_most),
            shown(measure.limit)
        )
    })
}

/// A sentence for each thing that stands against a PASS; nothing where the answer is FAIL.
pub(super) fn against(judged: &Judged) -> impl Iterator<Item = String> {
    let failed = judged.verdict == Verdict::Fail;
    let reasons = judged.reasons.iter().filter(move |_| !failed);
    reasons.map(|reason| {
        let code = reason
            .code
            .as_ref()
            .map_or_else(String::new, |code| format!("{code}: "));
        format!(
            "{}: {code}{}. Remedy: {}",
            reason.recording, reason.evidence, reason.remedy
        )
    })
}
