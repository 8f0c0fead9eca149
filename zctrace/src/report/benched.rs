//! What `zctrace bench` shows.

use std::fmt::Write as _;

use crate::{
    bench::{
        Document, Entry, Spread, Status, chart,
        document::{Comparison, Cost, Sweep},
    },
    text::{
        bytes,
        columns::{Align, Cell, Column, Columns},
        style::{Palette, Surface},
    },
};

/// Width of the bars of a sweep.
const BAR: f64 = 30.0;

/// Everything that was measured.
#[must_use]
pub fn report(document: &Document, surface: Surface) -> String {
    let mut text = workloads(&document.workloads, surface);
    if let Some(sweep) = &document.sweep {
        text.push('\n');
        text.push_str(&swept(sweep, surface));
    }
    if let Some(comparison) = &document.comparison {
        text.push('\n');
        text.push_str(&compared(comparison, surface));
    }
    if let Some(costs) = &document.tracing {
        text.push('\n');
        text.push_str(&tracing(costs, surface));
    }
    text
}

fn left(header: &'static str) -> Column {
    Column {
        header,
        align: Align::Left,
        narrow: None,
    }
}

fn right(header: &'static str) -> Column {
    Column {
        header,
        align: Align::Right,
        narrow: None,
    }
}

/// The table of workloads.
fn workloads(entries: &[Entry], surface: Surface) -> String {
    let palette = surface.palette;
    let mut table = Columns::new(vec![
        left("WORKLOAD"),
        right("THROUGHPUT"),
        right("CPU s/GiB"),
        right("EXPECTED"),
        right("COPIES/B"),
        left("STATUS"),
    ]);
    for entry in entries {
        let plain = |text: &str| Cell::unbroken(text, palette.faint);
        let number = |value: Option<f64>, show: fn(f64) -> String| {
            Cell::unbroken(&value.map_or("-".into(), show), anstyle::Style::new())
        };
        let skipped = entry.status == Status::Skipped;
        let copies = |value| {
            if skipped {
                plain("-")
            } else {
                plain(&bytes::copies_per_byte(value))
            }
        };
        table.row(vec![
            Cell::unbroken(&entry.name, palette.strong),
            number(entry.bytes_per_second, chart::throughput),
            number(entry.cpu_seconds_per_gib, |value| format!("{value:.3}")),
            copies(entry.expected_copies_per_carried_byte),
            measured(entry, skipped, palette),
            status(entry, palette),
        ]);
        if let Some(reason) = &entry.reason {
            table.text(Cell::new(reason, palette.faint), 4);
        }
        let figures: Vec<_> = entry.figures.iter().map(figure).collect();
        if !figures.is_empty() {
            table.text(Cell::new(&figures.join(", "), palette.faint), 4);
        }
        for difference in &entry.differences {
            table.text(Cell::new(difference, palette.alarm), 4);
        }
    }
    let mut text = table.render(surface);
    text.push_str(&counts(entries));
    if entries.iter().any(is_uncertain) {
        let note = "`?`: this kernel lets no probe see all of it; a number before it is a lower bound.\n\
            `zctrace doctor` lists what is missing.\n";
        text.push_str(note);
    }
    text
}

/// How many workloads ended in each way. Those of which nothing was measured are no success.
fn counts(entries: &[Entry]) -> String {
    let words = [
        (Status::Ok, "as expected"),
        (
            Status::Unverified,
            "unverified: how their bytes moved was not measured",
        ),
        (Status::Differs, "different"),
        (Status::Skipped, "skipped"),
    ];
    let count = |status| {
        entries
            .iter()
            .filter(|entry| entry.status == status)
            .count()
    };
    let parts: Vec<_> = words
        .into_iter()
        .map(|(status, words)| (count(status), words))
        .filter(|(count, _)| *count != 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if entries.len() < 2 && count(Status::Unverified) == 0 {
        return String::new();
    }
    format!("{}\n", parts.join(", "))
}

/// Whether not every copy of it can be seen here.
fn is_uncertain(entry: &Entry) -> bool {
    let unseen = entry.measured_copies_per_carried_byte.is_none() && entry.bytes > 0;
    entry.status != Status::Skipped && (unseen || entry.measured.unexplained > 0)
}

fn measured(entry: &Entry, skipped: bool, palette: Palette) -> Cell {
    if skipped {
        return Cell::unbroken("-", palette.faint);
    }
    let copies = entry.measured_copies_per_carried_byte;
    if copies.is_none() && entry.bytes > 0 {
        return Cell::unbroken(&copies_seen(copies), palette.warning);
    }
    let mut text = bytes::copies_per_byte(copies);
    let style = if entry.measured.unexplained > 0 {
        // A lower bound, as everywhere.
        text.push('?');
        palette.warning
    } else if copies == Some(0.0) {
        palette.good
    } else {
        anstyle::Style::new()
    };
    Cell::unbroken(&text, style)
}

/// Copies per byte; there can be operations, or copies on write, that no probe sees here.
fn copies_seen(copies: Option<f64>) -> String {
    copies.map_or_else(|| "?".to_owned(), |_| bytes::copies_per_byte(copies))
}

fn status(entry: &Entry, palette: Palette) -> Cell {
    let (word, style) = match entry.status {
        Status::Ok => ("ok", palette.good),
        Status::Unverified => ("unverified", palette.warning),
        Status::Differs => ("DIFFERS", palette.alarm),
        Status::Skipped => ("skipped", palette.faint),
    };
    Cell::unbroken(word, style)
}

/// `fault_ns 512` as `fault 512 ns`.
fn figure((name, value): (&String, &f64)) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "three digits of it are shown"
    )]
    let whole = *value as u64;
    let words = |name: &str| name.replace('_', " ");
    if let Some(name) = name.strip_suffix("_bytes") {
        return format!("{} {}", words(name), bytes::bytes(whole));
    }
    if let Some(name) = name.strip_suffix("_ns") {
        let time = std::time::Duration::from_nanos(whole);
        return format!("{} {}", words(name), bytes::duration(time));
    }
    format!("{} {value:.2}", words(name))
}

/// A bar for every point of every line.
fn swept(sweep: &Sweep, surface: Surface) -> String {
    let palette = surface.palette;
    let most = sweep
        .lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|point| point.bytes_per_second.median)
        .fold(1.0, f64::max);
    let mut table = Columns::new(vec![
        right("AT"),
        left("WORKLOAD"),
        right("THROUGHPUT"),
        right("COPIES/B"),
        left(""),
    ]);
    let mut values: Vec<f64> = Vec::new();
    for point in sweep.lines.iter().flat_map(|line| &line.points) {
        if !values.contains(&point.value) {
            values.push(point.value);
        }
    }
    values.sort_by(f64::total_cmp);
    for value in values {
        let mut at = chart::value(&sweep.over, value);
        for line in &sweep.lines {
            let Some(point) = line.points.iter().find(|point| point.value == value) else {
                continue;
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a number of columns"
            )]
            let length = (point.bytes_per_second.median / most * BAR).round() as usize;
            table.row(vec![
                Cell::unbroken(&std::mem::take(&mut at), palette.strong),
                Cell::unbroken(&line.name, anstyle::Style::new()),
                Cell::unbroken(
                    &chart::throughput(point.bytes_per_second.median),
                    anstyle::Style::new(),
                ),
                Cell::unbroken(
                    &copies_seen(point.copies_per_carried_byte),
                    anstyle::Style::new(),
                ),
                Cell::unbroken(&"#".repeat(length), palette.faint),
            ]);
        }
    }
    let mut text = table.render(surface);
    let mut unclear: Vec<[&str; 2]> = Vec::new();
    for crossover in &sweep.crossovers {
        let mut pair = [crossover.below.as_str(), crossover.above.as_str()];
        pair.sort_unstable();
        // A pair that crosses again within its noise has told nothing by crossing.
        let is_contradicted = sweep.crossovers.iter().any(|other| {
            other.uncertain && (&other.below, &other.above) == (&crossover.above, &crossover.below)
        });
        if is_contradicted || crossover.uncertain {
            if !unclear.contains(&pair) {
                unclear.push(pair);
            }
            continue;
        }
        let _ = writeln!(
            text,
            "crossover at {}: {} is faster below, {} above",
            chart::value(&sweep.over, crossover.value),
            crossover.below,
            crossover.above
        );
    }
    for [one, other] in unclear {
        let _ = writeln!(
            text,
            "no crossover of {one} and {other} can be told: they cross within the noise of these runs \
             (--runs takes more of them)"
        );
    }
    if sweep.lines.len() > 1 && sweep.crossovers.is_empty() {
        text.push_str("no crossover\n");
    }
    text
}

fn range(spread: Spread, show: impl Fn(f64) -> String) -> String {
    let Spread { median, min, max } = spread;
    format!("{} ({} to {})", show(median), show(min), show(max))
}

fn compared(comparison: &Comparison, surface: Surface) -> String {
    let plain = anstyle::Style::new();
    let mut table = Columns::new(vec![
        left("WORKLOAD"),
        right("OF THE FASTEST"),
        right("CPU s/GiB"),
        right("COPIES/B"),
    ]);
    for one in &comparison.contestants {
        table.row(vec![
            Cell::unbroken(&one.name, surface.palette.strong),
            Cell::unbroken(&range(one.of_fastest, |v| format!("{v:.2}")), plain),
            Cell::unbroken(
                &range(one.cpu_seconds_per_gib, |v| format!("{v:.3}")),
                plain,
            ),
            Cell::unbroken(&copies_seen(one.copies_per_carried_byte), plain),
        ]);
    }
    table.blank();
    table.text(Cell::new(&comparison.advice, surface.palette.strong), 0);
    table.render(surface)
}

fn tracing(costs: &[Cost], surface: Surface) -> String {
    let plain = anstyle::Style::new();
    let mut table = Columns::new(vec![
        left("WORKLOAD"),
        right("UNTRACED"),
        right("TRACED"),
        right("TRACED/UNTRACED"),
    ]);
    for cost in costs {
        table.row(vec![
            Cell::unbroken(&cost.name, surface.palette.strong),
            Cell::unbroken(&chart::throughput(cost.untraced.median), plain),
            Cell::unbroken(&chart::throughput(cost.traced.median), plain),
            Cell::unbroken(&range(cost.ratio, |v| format!("{v:.2}")), plain),
        ]);
    }
    table.render(surface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        let show = |name: &str, value: f64| figure((&name.to_owned(), &value));
        assert_eq!(show("memory_saved_bytes", 1536.0), "memory saved 1.50 KiB");
        assert_eq!(show("fault_ns", 1500.0), "fault 1.50 us");
    }

    #[test]
    fn a_difference_is_told() {
        let mut entry = Entry::new("sendfile".into());
        entry.status = Status::Differs;
        entry.differences = vec!["sendfile file:tmpfs->tcp: moved is 1, expected 2".into()];
        let text = workloads(&[entry], Surface::FILE);
        assert!(text.contains("DIFFERS"), "{text}");
        assert!(text.contains("moved is 1, expected 2"), "{text}");
    }
}
