//! A comparison for the summary of a CI job.

use std::fmt::Write as _;

use super::{Comparison, Differs, Turn, WAITS, Waited, about, difference, lines, moved, text};
use crate::{claims::SCOPE, text::escape::markdown as plain};

/// The comparison in Markdown.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = String::new();
    match &comparison.judged {
        None => out.push_str("# zctrace: before and after\n\n"),
        Some(judged) => {
            let _ = writeln!(
                out,
                "# zctrace: {}\n\n{}.\n",
                judged.verdict.word(),
                capital(&text::sentence(judged))
            );
            for line in text::measures(judged).chain(text::against(judged)) {
                let _ = writeln!(out, "- {}", plain(&line));
            }
            out.push('\n');
        }
    }
    let _ = writeln!(
        out,
        "- before: {}\n- after: {}",
        plain(&about(&comparison.before)),
        plain(&about(&comparison.after)),
    );
    for line in comparison.differs.iter().map(Differs::sentence) {
        let _ = writeln!(out, "- {}", plain(&line));
    }
    for line in comparison.zero_copy.iter().map(Turn::sentence) {
        let _ = writeln!(out, "- **{}**", plain(&line));
    }
    for line in comparison.notified.iter().map(Waited::sentence) {
        let _ = writeln!(out, "- {WAITS}: {}", plain(&line));
    }
    let _ = writeln!(
        out,
        "\n| | before | after | difference |\n|---|---:|---:|---:|"
    );
    for line in lines(comparison) {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            line.name.replace('_', " "),
            line.before,
            line.after,
            line.difference
        );
    }
    out.push_str(
        "\n| operation | object | moved before | after | difference | copies/B before | after |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    for change in &comparison.changes {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            plain(&change.op),
            plain(change.object.as_str()),
            moved(&change.before),
            moved(&change.after),
            difference(change.before.moved, change.after.moved),
            plain(&change.before.per_byte().to_string()),
            plain(&change.after.per_byte().to_string()),
        );
    }
    let _ = writeln!(out, "\n{}", plain(SCOPE));
    out
}

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
