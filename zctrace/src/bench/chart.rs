//! A sweep as an SVG file: throughput above, copies per byte below, crossovers marked.

use std::fmt::Write as _;

use super::document::{Line, Sweep};
use crate::text::{bytes, escape};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 200.0;
const TOP: f64 = 40.0;
const GAP: f64 = 60.0;
/// Distinguishable without red and green.
const COLOURS: [&str; 6] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
];

/// How a swept value is written.
#[must_use]
pub fn value(over: &str, value: f64) -> String {
    if over == "fraction" {
        return format!("{:.0}%", value * 100.0);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of bytes"
    )]
    bytes::bytes(value as u64)
}

/// A throughput.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three digits of it are shown"
)]
pub fn throughput(bytes_per_second: f64) -> String {
    format!("{}/s", bytes::bytes(bytes_per_second as u64))
}

/// The whole file.
#[must_use]
pub fn svg(sweep: &Sweep) -> String {
    let height = TOP + 2.0 * PANEL + GAP + 60.0 + 20.0 * sweep.lines.len() as f64;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let speed = |line: &Line| points(line, |point| Some(point.bytes_per_second.median));
    panel(&mut out, sweep, "throughput", TOP, speed, throughput);
    let copies = |line: &Line| points(line, |point| point.copies_per_carried_byte);
    let bottom = TOP + PANEL + GAP;
    panel(&mut out, sweep, "copies per byte", bottom, copies, |v| {
        format!("{v:.2}")
    });
    for (index, line) in sweep.lines.iter().enumerate() {
        let y = bottom + PANEL + 50.0 + 20.0 * index as f64;
        let colour = COLOURS[index % COLOURS.len()];
        let unseen = if copies(line).is_empty() {
            " (its copies are not seen here)"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "<rect x=\"{LEFT}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{y}\">{}{unseen}</text>",
            y - 5.0,
            LEFT + 22.0,
            escape::xml(&line.name)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn points(line: &Line, get: impl Fn(&super::document::Point) -> Option<f64>) -> Vec<(f64, f64)> {
    line.points
        .iter()
        .filter_map(|point| Some((point.value, get(point)?)))
        .collect()
}

/// Where a swept value lies, from 0 to 1: sizes on a logarithmic scale.
fn position(over: &str, value: f64) -> f64 {
    if over == "fraction" {
        value
    } else {
        (value.max(1.0).log2() - 10.0) / 14.0
    }
}

fn panel(
    out: &mut String,
    sweep: &Sweep,
    title: &str,
    top: f64,
    get: impl Fn(&Line) -> Vec<(f64, f64)>,
    label: impl Fn(f64) -> String,
) {
    let x = |value| LEFT + position(&sweep.over, value) * (WIDTH - LEFT - RIGHT);
    let all: Vec<_> = sweep.lines.iter().map(get).collect();
    let most = all
        .iter()
        .flatten()
        .map(|(_, value)| *value)
        .fold(0.0, f64::max);
    let most = if most > 0.0 { most * 1.05 } else { 1.0 };
    let y = |value: f64| top + PANEL * (1.0 - value / most);
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title}</text>",
        top - 10.0
    );
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>",
            WIDTH - RIGHT,
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            label(value)
        );
    }
    let values = sweep.lines.iter().max_by_key(|line| line.points.len());
    for point in values.into_iter().flat_map(|line| &line.points) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(point.value),
            top + PANEL + 18.0,
            value(&sweep.over, point.value)
        );
    }
    for (index, line) in all.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<_> = line
            .iter()
            .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
    }
    for crossover in &sweep.crossovers {
        let _ = writeln!(
            out,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{top}\" y2=\"{1}\" stroke=\"black\" \
             stroke-dasharray=\"4 3\"/><text x=\"{2:.1}\" y=\"{3}\">{4}</text>",
            x(crossover.value),
            top + PANEL,
            x(crossover.value) + 4.0,
            top + 12.0,
            value(&sweep.over, crossover.value)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        Spread,
        document::{Crossover, Point},
    };

    fn sweep() -> Sweep {
        let line = |name: &str, medians: [f64; 2]| Line {
            name: name.to_owned(),
            points: [0.0, 1.0]
                .into_iter()
                .zip(medians)
                .map(|(value, median)| Point {
                    value,
                    bytes_per_second: Spread {
                        median,
                        min: median,
                        max: median,
                    },
                    copies_per_carried_byte: Some(value),
                })
                .collect(),
        };
        Sweep {
            over: "fraction".to_owned(),
            runs: 1,
            lines: vec![line("a<b", [2e9, 1e9]), line("c", [1e9, 2e9])],
            crossovers: vec![Crossover {
                below: "a<b".to_owned(),
                above: "c".to_owned(),
                value: 0.5,
                uncertain: false,
            }],
        }
    }

    #[test]
    fn a_chart_has_every_line_and_the_crossover() {
        let text = svg(&sweep());
        assert_eq!(text.matches("<polyline").count(), 4);
        assert_eq!(text.matches("stroke-dasharray").count(), 2);
        assert!(text.contains("a&lt;b") && !text.contains("a<b"));
        assert!(text.contains(">50%</text>"));
        assert!(text.ends_with("</svg>\n"));
    }
}
