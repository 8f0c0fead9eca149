//! The verdict for people.

use anstyle::Style;

use crate::{
    claims::{Document, Effect, Judged, Judgement, Met, Outcome, Reason, SCOPE, Verdict, rules},
    text::{
        bytes::bytes,
        columns::{Cell, Columns},
        escape::{markdown as plain, printable},
        style::{Surface, paint},
    },
};

/// Most judged paths and reasons of one claim that are shown; the document has them all.
const MOST: usize = 8;

/// The report.
#[must_use]
pub fn report(document: &Document, surface: Surface) -> String {
    let mut text = String::new();
    text.push_str(&paint(surface.palette.strong, "For a report:"));
    text.push('\n');
    let mut lines = Columns::new(Vec::new());
    for summary in &document.summary {
        lines.text(Cell::new(summary, Style::new()), 2);
    }
    text.push_str(&lines.render(surface));
    text.push('\n');
    for judgement in &document.claims {
        claim(&mut text, judgement, surface);
        text.push('\n');
    }
    let mut lines = Columns::new(Vec::new());
    lines.text(Cell::new(SCOPE, surface.palette.faint), 0);
    text.push_str(&lines.render(surface));
    text
}

/// The answer in one line.
#[must_use]
pub fn line_of(document: &Document) -> String {
    let count = |verdict| {
        let of = |judgement: &&Judgement| judgement.verdict == verdict;
        document.claims.iter().filter(of).count()
    };
    match &document.summary[..] {
        [summary] => format!("{summary}\n"),
        all => format!(
            "{}: {} of {} claims pass, {} fail, {} are inconclusive\n",
            document.verdict.word(),
            count(Verdict::Pass),
            all.len(),
            count(Verdict::Fail),
            count(Verdict::Inconclusive),
        ),
    }
}

/// The report in Markdown.
#[must_use]
pub fn markdown(document: &Document) -> String {
    let mut text = format!("# zctrace check: {}\n", document.verdict.word());
    for (judgement, summary) in document.claims.iter().zip(&document.summary) {
        text.push_str(&format!(
            "\n## {}: {}\n\n{}\n",
            judgement.verdict.word(),
            plain(&judgement.claim.name),
            plain(summary)
        ));
        if !judgement.judged.is_empty() || !judgement.met.is_empty() {
            text.push('\n');
        }
        for judged in &judgement.judged {
            text.push_str(&format!("- {}\n", plain(&line(judged))));
        }
        for met in &judgement.met {
            text.push_str(&format!("- {}\n", plain(&share(met))));
        }
        let weighs = |reason: &&Reason| {
            judgement.verdict != Verdict::Fail || reason.effect != Effect::Forbids
        };
        for reason in judgement.reasons.iter().filter(weighs) {
            let row = reason.row.as_ref().map_or_else(String::new, |row| {
                format!("{} {} of {} ({}): ", row.op, row.object, row.comm, row.pid)
            });
            text.push_str(&format!(
                "\n**{}**: {}{}. Remedy: {}.\n",
                plain(&reason.code),
                plain(&row),
                plain(&reason.evidence),
                plain(&reason.remedy)
            ));
        }
    }
    text.push_str(&format!("\n{}\n", plain(SCOPE)));
    text
}

fn claim(text: &mut String, judgement: &Judgement, surface: Surface) {
    let palette = surface.palette;
    let style = match judgement.verdict {
        Verdict::Pass => palette.good,
        Verdict::Inconclusive => palette.warning,
        Verdict::Fail => palette.alarm,
    };
    let name = printable(&judgement.claim.name);
    text.push_str(&paint(style, judgement.verdict.word()));
    text.push_str(&format!("  {name}: {}\n", judgement.claim.words()));
    let mut lines = Columns::new(Vec::new());
    let style = |outcome| match outcome {
        Outcome::Holds => palette.good,
        Outcome::Open => palette.warning,
        Outcome::Broken => palette.alarm,
    };
    for judged in judgement.judged.iter().take(MOST) {
        lines.text(Cell::new(&line(judged), style(judged.outcome)), 2);
    }
    more(&mut lines, judgement.judged.len(), "paths were judged");
    for met in judgement.met.iter().take(MOST) {
        lines.text(Cell::new(&share(met), style(met.outcome)), 2);
    }
    more(&mut lines, judgement.met.len(), "shares were judged");
    if judgement.rests_on_inferred {
        let note = "It passes only because inferred rows were accepted (--accept-inferred).";
        lines.text(Cell::new(note, palette.warning), 2);
    }
    // What a code says, and what to change, is told once for each code.
    let mut codes: Vec<&str> = Vec::new();
    // What stands against a PASS does not matter to a FAIL.
    let matters =
        |reason: &&Reason| judgement.verdict != Verdict::Fail || reason.effect != Effect::Forbids;
    for reason in judgement.reasons.iter().filter(matters) {
        if !codes.contains(&reason.code.as_str()) {
            codes.push(&reason.code);
        }
    }
    for code in codes {
        let all: Vec<_> = judgement
            .reasons
            .iter()
            .filter(|reason| reason.code == code)
            .filter(matters)
            .collect();
        reasons(&mut lines, &all, surface);
    }
    text.push_str(&lines.render(surface));
}

fn reasons(lines: &mut Columns, all: &[&Reason], surface: Surface) {
    let palette = surface.palette;
    let Some(first) = all.first() else {
        return;
    };
    let says = rules::find(&first.code).map_or("", |rule| rule.says);
    let mut cell = Cell::new(&format!("{}:", first.code), palette.strong);
    for word in says.split_whitespace() {
        cell.push(word, Style::new());
    }
    lines.text(cell, 2);
    // What to do may depend on the row, so it follows the rows that it is about.
    let shown = &all[..all.len().min(MOST)];
    let mut remedies: Vec<&str> = Vec::new();
    for reason in shown {
        if !remedies.contains(&reason.remedy.as_str()) {
            remedies.push(&reason.remedy);
        }
    }
    for (index, remedy) in remedies.iter().enumerate() {
        let mut helps = false;
        for reason in shown.iter().filter(|reason| reason.remedy == *remedy) {
            lines.text(Cell::new(&row(reason), Style::new()), 4);
            helps |= reason.effect != Effect::Explains || !remedy.starts_with("nothing");
        }
        if index + 1 == remedies.len() {
            more(lines, all.len(), "such rows");
        }
        if helps {
            let remedy = format!("Remedy: {}.", printable(remedy));
            lines.text(Cell::new(&remedy, palette.faint), 4);
        }
    }
}

/// A row that a reason is about, and what was seen there.
fn row(reason: &Reason) -> String {
    let name = reason.row.as_ref().map_or_else(String::new, |row| {
        let row_of = format!("{} {} of {} ({}): ", row.op, row.object, row.comm, row.pid);
        printable(&row_of)
    });
    let count = bytes(reason.bytes);
    let count = match reason.bytes {
        0 => String::new(),
        // No number is told twice.
        _ if reason.evidence.starts_with(&count) => String::new(),
        _ => format!("{count}, "),
    };
    format!("{name}{count}{}", printable(&reason.evidence))
}

fn more(lines: &mut Columns, count: usize, what: &str) {
    if count > MOST {
        let text = format!("{} more {what}; --json lists them all.", count - MOST);
        lines.text(Cell::new(&text, Style::new()), 4);
    }
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Holds => "holds",
        Outcome::Open => "open",
        Outcome::Broken => "broken",
    }
}

fn share(met: &Met) -> String {
    let more = match met.may_have_gone.saturating_sub(met.went) {
        0 => String::new(),
        more => format!(", {} unexplained", bytes(more)),
    };
    format!(
        "{}: {}: {} of {}{more}: {:.4}",
        word(met.outcome),
        printable(&met.expectation),
        bytes(met.went),
        printable(&met.what),
        met.share.unwrap_or_default(),
    )
}

fn line(judged: &Judged) -> String {
    let ratio = judged.per_byte().to_places(4);
    let ratio = ratio.map_or_else(String::new, |figure| {
        format!(": {figure} {}", judged.measure.words())
    });
    let open = match judged.unexplained {
        0 => String::new(),
        unexplained => format!(", {} unexplained", bytes(unexplained)),
    };
    let passed = match judged.passed_on {
        0 => String::new(),
        passed => format!(" and possibly {} passed on", bytes(passed)),
    };
    let inferred = if judged.inferred { ", inferred" } else { "" };
    format!(
        "{}: {}: {} copied{open} for {}{passed}{ratio}{inferred}",
        word(judged.outcome),
        printable(&judged.what),
        bytes(judged.copied),
        bytes(judged.bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        claims::{Circumstances, Claim, judge},
        ledger::{self, Process, samples},
    };

    /// A remedy says "it", which is the process of the rows above.
    #[test]
    fn a_remedy_follows_the_rows_that_it_is_about() {
        let mib = 1 << 20;
        let process = |comm: &str, rows| Process::from_paths(7, 1, comm.into(), "/".into(), rows);
        let mut snapshot = samples::empty();
        snapshot.processes = vec![
            process(
                "nginx",
                vec![
                    samples::path("read", "file:ext4", samples::to_user(30 * mib)),
                    samples::path("write", "tcp", samples::from_user(30 * mib)),
                ],
            ),
            process(
                "curl",
                vec![samples::path("recv", "tcp", samples::to_user(20 * mib))],
            ),
        ];
        let claim = Claim {
            max_copies_per_byte: Some(0.02),
            ..Claim::named("check")
        };
        let judgement = judge(&claim, &snapshot, Circumstances::default());
        let text = report(&Document::new(vec![judgement], snapshot), Surface::FILE);
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        let (served, received) = (
            at("Remedy: it took 30.0 MiB"),
            at("Remedy: `zctrace explain recv`"),
        );
        let rows = |name: &str| text.rfind(name).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(rows("read file:ext4 of nginx") < served && rows("write tcp of nginx") < served);
        assert!(
            (served..received).contains(&rows("recv tcp of curl")),
            "{text}"
        );
    }

    /// No figure looks seen that is not.
    #[test]
    fn a_row_that_nobody_saw_has_a_marked_figure() {
        let mib = 1 << 20;
        let shown = |copied| {
            let totals = ledger::Totals {
                unexplained: 4 * mib - copied,
                copied_in_kernel: copied,
                ..samples::in_kernel(4 * mib)
            };
            let row = samples::path("copy_file_range", "file:fuse->file:fuse", totals);
            let process = Process::from_paths(7, 1, "cp".into(), "/".into(), vec![row]);
            let snapshot = samples::with(vec![process]);
            let claim = Claim {
                max_copies_per_byte: Some(0.02),
                ..Claim::named("check")
            };
            let judgement = judge(&claim, &snapshot, Circumstances::default());
            let document = Document::new(vec![judgement], snapshot);
            // Where lines are broken does not matter.
            let text = report(&document, Surface::FILE) + &markdown(&document);
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let wholly = shown(0);
        assert_eq!(
            wholly.matches("0.0000? copies per byte").count(),
            2,
            "{wholly}"
        );
        assert!(!wholly.contains("1.0000"), "{wholly}");
        let partly = shown(mib);
        assert_eq!(
            partly.matches("0.2500? copies per byte").count(),
            2,
            "{partly}"
        );
        let seen = shown(4 * mib);
        assert_eq!(seen.matches("1.0000 copies per byte").count(), 2, "{seen}");
    }

    #[test]
    fn one_line_and_markdown_hold_no_markup_of_others() {
        let mut snapshot = samples::normal();
        snapshot.processes[0].comm = "<b>*x*\n# y".into();
        let claim = |name: &str| Claim {
            max_copies_per_byte: Some(0.02),
            ..Claim::named(name)
        };
        let judgement = |name| judge(&claim(name), &snapshot, Circumstances::default());
        let one = Document::new(vec![judgement("a | b")], snapshot.clone());
        assert_eq!(line_of(&one), format!("{}\n", one.summary[0]));
        let text = markdown(&one);
        assert!(text.starts_with(&format!("# zctrace check: {}\n\n## ", one.verdict.word())));
        assert!(
            text.contains("a \\| b") && text.contains("\\<b\\>\\*x\\*"),
            "{text}"
        );
        assert!(!text.contains("<b>") && !text.contains("\n# y"), "{text}");
        let report = report(&one, Surface::FILE);
        assert!(report.starts_with("For a report:\n  "), "{report}");
        let two = Document::new(vec![judgement("a"), judgement("b")], snapshot.clone());
        let line = line_of(&two);
        assert!(
            line.contains(" of 2 claims pass, ") && line.lines().count() == 1,
            "{line}"
        );
    }
}
