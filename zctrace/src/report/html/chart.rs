//! Bytes a second by class, as stacked bars with axes. Each bar says its numbers when the mouse is on it.

use std::{fmt::Write as _, time::Duration};

use super::seconds;
use crate::{
    ledger::Totals,
    report::recorded::{Document, Interval},
    text::{bytes, escape::xml},
};

/// Of the picture, in its own units.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
/// Where the bars are: room for the axes is left and below.
const LEFT: f64 = 90.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = HEIGHT - 30.0;

/// Draws the chart; nothing without intervals.
pub(super) fn chart(out: &mut String, document: &Document) {
    if document.intervals.is_empty() {
        return;
    }
    let rate =
        |bytes: u64, interval: &Interval| bytes as f64 / (interval.duration_ns.max(1) as f64 / 1e9);
    let most = document
        .intervals
        .iter()
        .map(|interval| rate(sum(&interval.total), interval))
        .fold(1.0, f64::max);
    let most = round_up(most);
    out.push_str("<h2 id=\"time\">Over time</h2>\n<figure>\n");
    let _ = writeln!(
        out,
        "<svg id=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"bytes per second by how they moved, over time\">"
    );
    axes(out, document, most);
    let step = (WIDTH - LEFT) / document.intervals.len() as f64;
    for (index, interval) in document.intervals.iter().enumerate() {
        let x = LEFT + index as f64 * step;
        let _ = writeln!(
            out,
            "<g data-moved=\"{}\"><title>{}</title>",
            interval.total.moved,
            xml(&says(interval))
        );
        // So that the mouse finds a bar of no height too.
        let _ = writeln!(
            out,
            "<rect class=\"back\" x=\"{x:.2}\" y=\"{TOP}\" width=\"{step:.2}\" height=\"{:.2}\"/>",
            BOTTOM - TOP
        );
        let mut y = BOTTOM;
        for (class, value) in parts(&interval.total) {
            if value != 0 {
                let height = rate(value, interval) / most * (BOTTOM - TOP);
                y -= height;
                let _ = writeln!(
                    out,
                    "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{height:.2}\"/>",
                    (step * 0.94).max(0.5)
                );
            }
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n<figcaption>Bytes per second by how they moved: ");
    let whole = &document.stat.total;
    let names: Vec<_> = parts(whole)
        .into_iter()
        .filter(|(_, value)| *value != 0)
        .map(|(class, value)| {
            format!(
                "<span class=\"key {class}\">{} {}</span>",
                class.replace('_', " "),
                bytes::percent(value, sum(whole))
            )
        })
        .collect();
    out.push_str(&names.join(" "));
    let _ = writeln!(
        out,
        "<br>{}</figcaption>\n</figure>",
        match document.intervals.len() {
            1 => "One bar is the whole time.".to_owned(),
            count => format!(
                "A bar is {}.",
                seconds(document.stat.duration_ns / count as u64)
            ),
        }
    );
}

/// The classes, and the copies beside them.
fn parts(total: &Totals) -> Vec<(&'static str, u64)> {
    let beside = total
        .extras()
        .into_iter()
        .filter(|(name, _)| *name != "encrypted");
    total.classes().into_iter().chain(beside).collect()
}

fn sum(total: &Totals) -> u64 {
    let all = parts(total).into_iter().map(|(_, value)| value);
    all.fold(0, u64::saturating_add)
}

/// What a bar is.
fn says(interval: &Interval) -> String {
    let mut text = format!(
        "{}, {}: {} moved",
        super::time(&interval.started_at),
        seconds(interval.duration_ns),
        bytes::bytes(interval.total.moved)
    );
    for (class, value) in parts(&interval.total) {
        if value != 0 {
            let _ = write!(
                text,
                "\n{}: {}",
                class.replace('_', " "),
                bytes::bytes(value)
            );
        }
    }
    text
}

fn axes(out: &mut String, document: &Document, most: f64) {
    const LINES: u32 = 4;
    for line in 0..=LINES {
        let share = f64::from(line) / f64::from(LINES);
        let y = BOTTOM - share * (BOTTOM - TOP);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.2}\" y2=\"{y:.2}\"/><text x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"end\">{}/s</text>",
            LEFT - 8.0,
            y + 4.0,
            bytes::bytes((most * share) as u64)
        );
    }
    for line in 0..=LINES {
        let share = f64::from(line) / f64::from(LINES);
        let time = Duration::from_nanos((document.stat.duration_ns as f64 * share) as u64);
        let anchor = match line {
            0 => "start",
            LINES => "end",
            _ => "middle",
        };
        let _ = writeln!(
            out,
            "<text x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"{anchor}\">{}</text>",
            LEFT + share * (WIDTH - LEFT),
            BOTTOM + 20.0,
            if line == 0 {
                "0 s".to_owned()
            } else {
                bytes::duration(time)
            }
        );
    }
}

/// The next rate that divides well in four.
fn round_up(rate: f64) -> f64 {
    let unit = 1024_f64.powf(rate.max(1.0).log(1024.0).floor());
    [
        1.0, 2.0, 4.0, 8.0, 20.0, 40.0, 80.0, 100.0, 200.0, 400.0, 800.0, 1024.0,
    ]
    .into_iter()
    .map(|step| step * unit)
    .find(|step| *step >= rate)
    .unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_above_every_bar() {
        for rate in [0.5, 1.0, 3.0, 999.0, 1024.0, 1_500_000.0, 3.2e9, 1e18] {
            let end = round_up(rate);
            assert!(end >= rate && end <= rate.max(1.0) * 2.6, "{rate}: {end}");
        }
        assert_eq!(
            bytes::bytes((round_up(300.0 * 1024.0 * 1024.0) / 4.0) as u64),
            "100 MiB"
        );
    }
}
