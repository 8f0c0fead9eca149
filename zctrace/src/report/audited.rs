//! The audit for people.

use anstyle::Style;

use crate::{
    ledger::{
        audit::{Comparison, Direction, Document},
        ratio,
    },
    text::{
        bytes::{bytes, count},
        columns::{Align, Cell, Column, Columns, Narrow},
        escape::printable,
        style::{Surface, paint},
    },
};

/// What every audit must say about itself.
const SCOPE: &str = "Breakpoints see what the routines are called for: a copy that is cut short by \
     a page fault and made again counts twice. They do not see copies by memcpy.";

/// The part of the report that follows the ledger.
#[must_use]
pub fn report(document: &Document, surface: Surface) -> String {
    let palette = surface.palette;
    let mut text = paint(
        palette.strong,
        "Audit: the ledger against breakpoints on the kernel's copy routines",
    );
    text.push('\n');
    let mut lines = Columns::new(Vec::new());
    if let Some(refusal) = &document.refused {
        let reason = format!("Nothing could be audited: {}.", printable(&refusal.reason));
        lines.text(Cell::new(&reason, palette.warning), 0);
        let remedy = format!("Remedy: {}.", printable(&refusal.remedy));
        lines.text(Cell::new(&remedy, Style::new()), 0);
        text.push_str(&lines.render(surface));
        return text;
    }
    text.push_str(&table(document, surface));
    for left_out in &document.left_out {
        let line = format!(
            "Not audited: {}: {}.",
            printable(&left_out.routine),
            printable(&left_out.reason)
        );
        lines.text(Cell::new(&line, palette.warning), 0);
    }
    if let Some(line) = missed(document.missed_hits) {
        lines.text(Cell::new(&line, palette.warning), 0);
    }
    lines.text(Cell::new(SCOPE, palette.faint), 0);
    text.push_str(&lines.render(surface));
    text
}

/// What the breakpoints did not count, if anything.
fn missed(hits: Option<u64>) -> Option<String> {
    match hits {
        Some(0) => None,
        Some(hits) => Some(format!(
            "Hits that were not counted, because the kernel ran no program for them: {}. The breakpoints' figures are \
             too low; audit again.",
            count(hits)
        )),
        None => Some("This kernel does not report missed breakpoint hits.".into()),
    }
}

fn table(document: &Document, surface: Surface) -> String {
    let palette = surface.palette;
    let column = |header, align, narrow: Option<(usize, usize)>| Column {
        header,
        align,
        narrow: narrow.map(|(comfortable, least)| Narrow { comfortable, least }),
    };
    let mut table = Columns::new(vec![
        column("routine", Align::Left, Some((29, 16))),
        column("hits", Align::Right, None),
        column("breakpoint", Align::Right, None),
        column("not I/O", Align::Right, None),
        column("ledger", Align::Right, None),
        column("difference", Align::Right, Some((10, 9))),
    ]);
    for row in &document.routines {
        let name = format!("{}, {}", printable(&row.routine), direction(row.direction));
        table.row(vec![
            Cell::new(&name, palette.strong),
            Cell::unbroken(&count(row.hits), Style::new()),
            Cell::unbroken(&bytes(row.breakpoint_bytes), Style::new()),
            Cell::unbroken(&bytes(row.other_bytes), Style::new()),
            Cell::unbroken(&row.catalog_bytes.map_or("-".into(), bytes), Style::new()),
            Cell::unbroken(&difference(row), style(row, surface)),
        ]);
        for item in &row.items {
            let hits = item.hits.map_or_else(String::new, |hits| {
                format!(
                    " in {} {}",
                    count(hits),
                    if hits == 1 { "call" } else { "calls" }
                )
            });
            let line = format!("{}{hits}: {}", signed(item.bytes), printable(&item.what));
            table.text(Cell::new(&line, palette.faint), 4);
        }
    }
    table.render(surface)
}

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::ToUser => "to user",
        Direction::FromUser => "from user",
        Direction::InKernel => "in kernel",
    }
}

/// From this share on, a difference is worth a look.
const NOTABLE: f64 = 0.001;

fn style(row: &Comparison, surface: Surface) -> Style {
    match (row.disagreement(), disagreement_share(row)) {
        (None | Some(0), _) => Style::new(),
        (Some(_), Some(share)) if share < NOTABLE => surface.palette.good,
        (Some(_), Some(_)) => surface.palette.warning,
        (Some(_), None) => surface.palette.alarm,
    }
}

fn difference(row: &Comparison) -> String {
    match (row.disagreement(), disagreement_share(row)) {
        (None, _) => "-".into(),
        (Some(0), _) => "none".into(),
        (Some(bytes), None) => signed(bytes),
        (Some(_), Some(share)) if share < 0.000_05 => "<0.01 %".into(),
        (Some(bytes), Some(share)) => {
            let sign = if bytes < 0 { '-' } else { '+' };
            format!("{sign}{:.2} %", share * 100.0)
        }
    }
}

/// How much they differ by, of what the ledger has.
fn disagreement_share(row: &Comparison) -> Option<f64> {
    ratio(row.disagreement()?.unsigned_abs(), row.catalog_bytes?)
}

fn signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "+" };
    format!("{sign}{}", bytes(number.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{
        audit::{Counts, Item, Refusal, SCHEMA, Setup},
        samples,
    };

    fn document(routines: Vec<Comparison>) -> Document {
        Document {
            schema: SCHEMA.into(),
            stat: samples::normal(),
            routines,
            left_out: Vec::new(),
            refused: None,
            missed_hits: Some(0),
        }
    }

    #[test]
    fn a_difference_is_itemised() {
        let text = report(
            &document(vec![Comparison {
                routine: "_copy_to_iter".into(),
                direction: Direction::ToUser,
                hits: 4096,
                breakpoint_bytes: 16_777_256,
                other_bytes: 32,
                catalog_bytes: Some(16_777_216),
                difference: Some(40),
                difference_share: Some(0.000_002_4),
                items: vec![
                    Item {
                        what: "getrandom".into(),
                        bytes: 32,
                        hits: Some(1),
                    },
                    Item {
                        what: "read: unexplained in the ledger".into(),
                        bytes: 8,
                        hits: None,
                    },
                ],
            }]),
            Surface::FILE,
        );
        assert!(text.contains("_copy_to_iter, to user"), "{text}");
        assert!(text.contains("<0.01 %"), "{text}");
        assert!(text.contains("+32 B in 1 call: getrandom"), "{text}");
        assert!(text.contains("+8 B: read: unexplained"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn hits_that_were_not_counted_are_told() {
        let missing = |missed_hits| {
            let document = Document {
                missed_hits,
                ..document(Vec::new())
            };
            report(&document, Surface::FILE)
        };
        assert!(!missing(Some(0)).contains("not counted"));
        let twenty = missing(Some(20)).replace('\n', " ");
        assert!(twenty.contains("ran no program for them: 20."), "{twenty}");
        assert!(missing(None).contains("does not report missed breakpoint hits"));
    }

    #[test]
    fn a_refusal_is_said_with_what_helps() {
        let setup = Setup {
            refused: Some(Refusal {
                reason: "no breakpoints".into(),
                remedy: "another kernel".into(),
            }),
            ..Setup::default()
        };
        let document = Document::new(samples::normal(), &Counts::default(), &setup);
        let text = report(&document, Surface::FILE);
        assert!(text.contains("Nothing could be audited: no breakpoints."));
        assert!(text.contains("Remedy: another kernel."));
        assert!(!text.contains("routine "), "{text}");
    }
}
