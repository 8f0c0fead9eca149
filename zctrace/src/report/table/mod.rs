//! The ledger as a table for people: readable at 80 columns, with more to say at 120.

mod beside;

use std::{borrow::Cow, cmp::Reverse, time::Duration};

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;
use zctrace_common::Evidence;

use crate::{
    ledger::{PerByte, Process, Snapshot, Totals, by_command},
    text::{
        SCOPE,
        bytes::{bytes, count, duration, percent},
        columns::{Align, Cell, Column, Columns, Narrow, unbroken},
        escape::printable,
        style::{Palette, Surface, paint},
    },
};

/// From this width on, operations and errors have columns of their own and ways have bytes.
const WIDE: usize = 100;
/// Below this width, headings are cut.
const NARROW: usize = 72;
/// Processes shown unless all are asked for.
const MAX_PROCESSES: usize = 10;
/// Processes of one command from which on they are one block, unless all are asked for.
const ALIKE: u64 = 3;
/// Data paths of a process shown unless all are asked for.
const MAX_PATHS: usize = 20;

/// How to draw a table.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where it goes.
    pub surface: Surface,
    /// Show every process and data path.
    pub all: bool,
}

/// The whole report.
#[must_use]
pub fn report(snapshot: &Snapshot, options: Options) -> String {
    let mut text = heading(snapshot, options.surface);
    text.push('\n');
    text.push_str(&body(snapshot, options));
    text.push('\n');
    text.push_str(&footer(snapshot, options.surface));
    text
}

/// One interval: its time and what happened in it.
#[must_use]
pub fn interval(snapshot: &Snapshot, elapsed: Duration, options: Options) -> String {
    let palette = options.surface.palette;
    let title = format!("at {}", duration(elapsed));
    let mut text = format!("{}\n", paint(palette.strong, &title));
    text.push_str(&body(snapshot, options));
    for missing in [lost(snapshot), unfollowed(snapshot)].into_iter().flatten() {
        text.push_str(&paint(palette.warning, &missing));
        text.push('\n');
    }
    text.push('\n');
    text
}

fn heading(snapshot: &Snapshot, surface: Surface) -> String {
    let palette = surface.palette;
    let mut heading = Cell::default();
    heading.push(&snapshot.target.words(), palette.strong);
    let plain = Style::new();
    if let Some(status) = snapshot.exit_status {
        match (status.code, status.signal) {
            (_, Some(signal)) => heading.push(&format!("(killed by signal {signal})"), plain),
            (Some(code), None) if code != 0 => heading.push(&format!("(exit {code})"), plain),
            _ => {}
        }
    }
    heading.push(
        &format!(
            "for {} on Linux {} {}, backend: {}",
            duration(Duration::from_nanos(snapshot.duration_ns)),
            printable(&snapshot.kernel),
            printable(&snapshot.arch),
            printable(&snapshot.backend)
        ),
        plain,
    );
    let mut lines = Columns::new(Vec::new());
    lines.text(heading, 0);
    lines.render(surface)
}

/// The columns that follow those which name a row.
#[derive(Clone, Copy)]
struct Shape {
    narrow: bool,
    wide: bool,
    by: Dimension,
    /// How long the target was watched.
    watched: Duration,
    palette: Palette,
}

/// Where the value of `--by` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    /// There is none.
    Nowhere,
    /// In a column of its own.
    Beside,
    /// Below its row: a column would break the addresses of a connection, or the name of a file, into many lines.
    Below,
}

/// What fits a column of the `--by` dimension beside the others.
const BESIDE: usize = 12;

impl Dimension {
    fn of(snapshot: &Snapshot, wide: bool) -> Self {
        let paths = snapshot.processes.iter().flat_map(|process| &process.paths);
        let widths = paths.filter_map(|path| Some(path.by.as_deref()?.width()));
        match widths.max() {
            None => Self::Nowhere,
            Some(width) if width > BESIDE && !wide => Self::Below,
            Some(_) => Self::Beside,
        }
    }
}

fn body(snapshot: &Snapshot, options: Options) -> String {
    let palette = options.surface.palette;
    if snapshot.processes.is_empty() && snapshot.unattributed.is_empty() {
        let mut lines = Columns::new(Vec::new());
        let text = "Nothing was counted: no I/O of the target completed in this time.";
        lines.text(Cell::new(text, Style::new()), 0);
        return lines.render(options.surface);
    }
    let shape = Shape {
        narrow: options.surface.width < NARROW,
        wide: options.surface.width >= WIDE,
        by: Dimension::of(snapshot, options.surface.width >= WIDE),
        watched: Duration::from_nanos(snapshot.duration_ns),
        palette,
    };
    let mut table = Columns::new(shape.columns());
    let shown = if options.all {
        usize::MAX
    } else {
        MAX_PROCESSES
    };
    let processes = if options.all {
        Cow::Borrowed(&snapshot.processes)
    } else {
        Cow::Owned(by_command(snapshot.processes.clone(), ALIKE))
    };
    for process in processes.iter().take(shown) {
        shape.process(process, options.all, &mut table);
    }
    let rest = processes.get(shown..).unwrap_or_default();
    if !rest.is_empty() {
        let mut totals = Totals::default();
        for process in rest {
            totals.add(&process.total);
        }
        let text = format!(
            "and {} more that moved {} (--all shows every process)",
            rest.len(),
            bytes(totals.moved)
        );
        table.text(Cell::new(&text, palette.faint), 0);
    }
    if processes.len() < snapshot.processes.len() {
        let text = "Processes of one command are one block (--all shows each).";
        table.text(Cell::new(text, palette.faint), 0);
    }
    if snapshot.processes.len() > 1 {
        table.spanning(
            "total".into(),
            palette.strong,
            shape.numbers(&snapshot.total, snapshot.total.per_carried_byte()),
        );
    }
    if !snapshot.unattributed.is_empty() {
        table.blank();
        let text = "Kernel threads, operation unknown (not in the total):";
        table.text(Cell::new(text, palette.faint), 0);
        for work in &snapshot.unattributed {
            let name = format!("    {}", printable(&work.thread));
            table.spanning(
                name,
                Style::new(),
                shape.numbers(&work.totals, work.totals.per_byte()),
            );
        }
    }
    table.render(options.surface)
}

impl Shape {
    fn columns(self) -> Vec<Column> {
        let column = |header, align, narrow: Option<(usize, usize)>| Column {
            header,
            align,
            narrow: narrow.map(|(comfortable, least)| Narrow { comfortable, least }),
        };
        let mut columns = vec![
            column("OPERATION", Align::Left, Some((19, 12))),
            column("OBJECT", Align::Left, Some((14, 9))),
        ];
        if self.by == Dimension::Beside {
            columns.push(column("BY", Align::Left, Some((BESIDE, 7))));
        }
        if self.wide {
            columns.push(column("OPS", Align::Right, None));
            columns.push(column("ERRORS", Align::Right, None));
        }
        columns.push(column("MOVED", Align::Right, None));
        let copies = if self.narrow { "C/B" } else { "COPIES/B" };
        columns.push(column(copies, Align::Right, None));
        columns.push(column("HOW", Align::Left, Some((22, 12))));
        columns
    }

    fn process(self, process: &Process, all: bool, table: &mut Columns) {
        let name = process.title();
        let mut cells = self.numbers(&process.total, process.total.per_carried_byte());
        if process.paths.len() == 1 || !self.wide {
            // The lines below say it again, and in more detail.
            let end = cells.len() - 1;
            cells[end] = Cell::default();
        }
        table.spanning(name, self.palette.strong, cells);
        let shown = if all { usize::MAX } else { MAX_PATHS };
        let (only_faults, paths): (Vec<_>, Vec<_>) = process
            .paths
            .iter()
            .partition(|path| !all && path.is_only_faults());
        for path in paths.iter().take(shown) {
            let inferred = path.evidence == Evidence::Inferred;
            let mark = if inferred { "  ~" } else { "   " };
            let style = if inferred {
                self.palette.warning
            } else {
                Style::new()
            };
            let mut cells = vec![
                Cell::unbroken(&format!("{mark} {}", printable(path.op.as_str())), style),
                Cell::new(&printable(path.object.as_str()), Style::new()),
            ];
            let by = printable(path.by.as_deref().unwrap_or("-"));
            if self.by == Dimension::Beside {
                cells.push(Cell::new(&by, Style::new()));
            }
            cells.extend(self.numbers(&path.totals, path.totals.per_byte()));
            if let (Some(how), Some(why)) = (cells.last_mut(), path.errnos.words()) {
                let failed = count(path.errnos.total());
                how.push(&format!("({failed} failed: {why})"), self.palette.faint);
            }
            if let Some(how) = cells.last_mut()
                && let Some(faults) = beside::faults(path)
            {
                how.push(&faults, Style::new());
            }
            if let Some(how) = cells.last_mut()
                && path.is_left_to_server()
            {
                how.push("(by the filesystem's server?)", self.palette.faint);
            }
            table.row(cells);
            if self.by == Dimension::Below {
                table.text(Cell::new(&by, self.palette.faint), 6);
            }
        }
        let rest = paths.get(shown..).unwrap_or_default();
        if !rest.is_empty() {
            let mut totals = Totals::default();
            for path in rest {
                totals.add(&path.totals);
            }
            let text = format!(
                "and {} more that moved {} (--all shows every path)",
                rest.len(),
                bytes(totals.moved)
            );
            table.text(Cell::new(&text, self.palette.faint), 4);
        }
        let faulted = beside::many_faults(&only_faults);
        let lines = beside::refused(process).into_iter();
        let lines = lines.chain(beside::notified(process, self.watched));
        let lines = lines.chain(beside::states(process));
        for line in lines.chain(faulted) {
            table.text(Cell::new(&line, self.palette.faint), 4);
        }
    }

    /// The cells from OPS to HOW.
    fn numbers(self, totals: &Totals, figure: PerByte) -> Vec<Cell> {
        let plain = Style::new();
        let mut cells = Vec::new();
        if self.wide {
            cells.push(Cell::new(&count(totals.ops), plain));
            let errors = if totals.errors == 0 {
                "-".into()
            } else {
                count(totals.errors)
            };
            cells.push(Cell::new(&errors, plain));
        }
        cells.push(Cell::new(&unbroken(&bytes(totals.moved)), plain));
        let style = if figure.is_zero_copy() {
            self.palette.good
        } else {
            plain
        };
        cells.push(Cell::new(&figure.to_string(), style));
        cells.push(self.how(totals));
        cells
    }

    fn how(self, totals: &Totals) -> Cell {
        let plain = Style::new();
        let mut ways: Vec<_> = totals
            .classes()
            .into_iter()
            .filter(|(_, bytes)| *bytes != 0)
            .collect();
        ways.sort_by_key(|(_, bytes)| Reverse(*bytes));
        let extras: Vec<_> = totals
            .extras()
            .into_iter()
            .filter(|(_, bytes)| *bytes != 0)
            .collect();
        let filled = (totals.filled != 0).then_some(("filled", totals.filled));
        let mut cell = Cell::default();
        let last = ways.len() + extras.len() + usize::from(filled.is_some());
        let all = ways.iter().chain(&extras).chain(&filled);
        for (index, (name, amount)) in all.enumerate() {
            let extra = index >= ways.len();
            let style = match (*name, extra) {
                ("unexplained", _) => self.palette.alarm,
                ("filled", _) => plain,
                (_, true) => self.palette.warning,
                _ => plain,
            };
            let name = name.replace('_', " ");
            let amount = if extra {
                bytes(*amount)
            } else if ways.len() == 1 {
                String::new()
            } else if self.wide {
                format!("{} ({})", bytes(*amount), percent(*amount, totals.moved))
            } else {
                percent(*amount, totals.moved)
            };
            // No further copies.
            let plus = if extra && name != "filled" { "+" } else { "" };
            let blank = if amount.is_empty() { "" } else { " " };
            let comma = if index + 1 < last { "," } else { "" };
            let amount = unbroken(&amount);
            cell.push(&format!("{plus}{name}{blank}{amount}{comma}"), style);
        }
        cell
    }
}

/// A number of things.
fn some(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {thing}{s}", count(number))
}

/// What the numbers do not include, or `None` when they are complete.
#[must_use]
pub fn lost(snapshot: &Snapshot) -> Option<String> {
    let loss = &snapshot.loss;
    let mut parts = Vec::new();
    if loss.map_full != 0 {
        parts.push(format!("{} (map full)", some(loss.map_full, "update")));
    }
    if loss.missed_runs != 0 {
        let places = loss.places();
        let places = places.map_or_else(String::new, |places| format!(" ({places})"));
        parts.push(some(loss.missed_runs, "probe run") + &places);
    }
    (!parts.is_empty()).then(|| format!("LOST: {}. The numbers are too low.", parts.join(", ")))
}

/// The calls that nothing follows on this kernel, or `None` when there were none.
#[must_use]
pub fn unfollowed(snapshot: &Snapshot) -> Option<String> {
    let calls = snapshot.loss.unfollowed_calls.named(count)?;
    Some(format!(
        "Not followed here: {calls}. What they moved is in no row."
    ))
}

fn footer(snapshot: &Snapshot, surface: Surface) -> String {
    let palette = surface.palette;
    let mut lines = Columns::new(Vec::new());
    let mut line = |text: &str, style| lines.text(Cell::new(text, style), 0);

    for missing in [lost(snapshot), unfollowed(snapshot)].into_iter().flatten() {
        line(&missing, palette.warning);
    }
    if snapshot.total.unexplained != 0 {
        let text = format!(
            "Unexplained: {} ({} of what moved). No probe saw how, so COPIES/B marked with ? can be higher. \
             See `zctrace explain unexplained`.",
            bytes(snapshot.total.unexplained),
            percent(snapshot.total.unexplained, snapshot.total.moved)
        );
        line(&text, palette.alarm);
    }
    if snapshot.total.synthetic != 0 {
        let text = format!(
            "Made up or dropped: {}. COPIES/B of processes and of the total leave these bytes out.",
            bytes(snapshot.total.synthetic)
        );
        line(&text, palette.faint);
    }
    let paths = || snapshot.processes.iter().flat_map(|process| &process.paths);
    if paths().any(|path| path.evidence == Evidence::Inferred) {
        let text = "~ inferred from the call, its flags and its object, not measured";
        line(text, palette.warning);
    }
    let coverage = &snapshot.coverage;
    let refused = match coverage.refused.len() {
        0 => "none refused".into(),
        refused => format!("{refused} refused (`zctrace doctor` says why and what is lost)"),
    };
    let lossless = if lost(snapshot).is_none() {
        "; nothing lost"
    } else {
        ""
    };
    let overhead = snapshot.overhead;
    let cost = match overhead.bpf_ns {
        Some(nanos) => format!(
            "{} runs, {}",
            count(overhead.bpf_runs),
            duration(Duration::from_nanos(nanos))
        ),
        None => format!("{} runs", count(overhead.bpf_runs)),
    };
    let text = format!(
        "Probes: {} attached, {refused}; {cost}{lossless}.",
        coverage.attached.len()
    );
    line(&text, palette.faint);
    if let Some(blind) = coverage.blind_spots() {
        line(&blind, palette.warning);
    }
    line(&format!("Scope: {SCOPE}"), palette.faint);
    lines.render(surface)
}

#[cfg(test)]
mod tests;
