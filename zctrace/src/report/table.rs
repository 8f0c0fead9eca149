//! The ledger as a table for people: readable at 80 columns, with more to say at 120.

use std::{borrow::Cow, cmp::Reverse, time::Duration};

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;
use zctrace_common::{Evidence, Mark, Op};

use super::cpu;
use crate::{
    ledger::{Claimed, Direction, Path, PerByte, Process, Snapshot, Totals, by_command, refusals},
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
/// Copies made elsewhere are told beside the price of the network where they are at least one for
/// this many bytes that crossed it.
const ELSEWHERE: u64 = 20;
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
                && let Some(faults) = faults(path)
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
        let faulted = many_faults(&only_faults);
        let lines = refused(process).into_iter();
        let lines = lines.chain(notified(process, self.watched));
        let lines = lines.chain(states(process));
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

/// What a row of faults counts where nothing says how many bytes they were about.
fn faults(path: &Path) -> Option<String> {
    let one_or = |one: &'static str, more: &'static str| match path.totals.ops {
        1 => format!("1 {one}"),
        ops => format!("{} {more}", count(ops)),
    };
    path.is_only_faults().then(|| {
        if path.op == Op::FaultWrite {
            one_or("possible copy on write", "possible copies on write")
        } else {
            one_or("fault", "faults")
        }
    })
}

/// Such rows in a line, if there are many: the start of a program takes some hundreds.
fn many_faults(paths: &[&Path]) -> Option<String> {
    const MANY: u64 = 1000;
    let sum = |writes: bool| {
        paths
            .iter()
            .filter(|path| (path.op == Op::FaultWrite) == writes)
            .fold(0_u64, |sum, path| sum.saturating_add(path.totals.ops))
    };
    let mut parts = Vec::new();
    for (number, what) in [
        (sum(false), "of mapped files"),
        (sum(true), "by writes that may have copied a page"),
    ] {
        if number >= MANY {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    (!parts.is_empty()).then(|| format!("page faults: {}", parts.join(", ")))
}

/// What it means that calls of a process failed, once for each operation and errno.
fn refused(process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    for path in &process.paths {
        for means in refusals::words(path) {
            let line = format!("{} {means}", printable(path.op.as_str()));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// How long the zero-copy sends of a process waited until they could use their memory again.
fn notified(process: &Process, watched: Duration) -> Vec<String> {
    let lines = process.paths.iter().filter_map(|path| {
        let words = path.notified.words(watched).or_else(|| {
            let words = "time to the notification not measured: that needs probes on functions";
            path.is_without_notifications().then(|| words.to_owned())
        })?;
        let (op, object) = (path.op.as_str(), path.object.as_str());
        Some(format!("{} {}: {words}", printable(op), printable(object)))
    });
    lines.collect()
}

/// Lines about a process as a whole: what went over the network, and what is not over.
fn states(process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(network(process));
    // Less than two samples are chance.
    if let Some(seconds) = process.copy_cpu_seconds
        && seconds >= 0.01
        && let Ok(time) = Duration::try_from_secs_f64(seconds)
    {
        let time = duration(time);
        lines.push(format!("copying: {time} of CPU time, from samples"));
    }
    lines.extend(cpu::line(process));
    for one in &process.not_followed {
        if let Ok(time) = Duration::try_from_secs_f64(one.copy_cpu_seconds) {
            lines.push(format!(
                "{} of copying in {}, which zctrace does not follow: its bytes are in no row",
                duration(time),
                printable(&one.call)
            ));
        }
    }
    lines.extend(process.claims.iter().filter_map(contradiction));
    let mut open = Vec::new();
    if process.pending != 0 {
        open.push(format!(
            "{} sent by reference may still be copied",
            bytes(process.pending)
        ));
    }
    if process.in_flight != 0 {
        open.push(match process.in_flight {
            1 => "1 operation in flight".into(),
            open => format!("{} operations in flight", count(open)),
        });
    }
    if !open.is_empty() {
        lines.push(format!("open: {}", open.join(", ")));
    }
    lines
}

/// What went over the network, and at what price. The price is that of everything the process
/// copied, so where some of it was copied elsewhere, the line says how much was not.
fn network(process: &Process) -> Option<String> {
    let mut parts = Vec::new();
    let (mut told, mut own, mut ways) = (None, 0_u64, Vec::new());
    for (direction, verb, doing, amount, figure) in [
        (
            Direction::Sent,
            "sent",
            "sending",
            process.sent,
            process.per_sent_byte(),
        ),
        (
            Direction::Received,
            "received",
            "receiving",
            process.received,
            process.per_received_byte(),
        ),
    ] {
        let paths = process.paths.iter();
        let copied = paths
            .filter(|path| path.direction() == Some(direction))
            .map(|path| path.totals.copies())
            .fold(0, u64::saturating_add);
        own = own.saturating_add(copied);
        if amount == 0 {
            continue;
        }
        parts.push(match figure.ratio() {
            Some(_) => {
                told = told.min(Some(amount)).or(Some(amount));
                ways.push(format!("{} by {doing}", bytes(copied)));
                format!("{verb} {} at {figure} copies/B", bytes(amount))
            }
            // Other bytes were by far the most: the price is not that of these.
            None => format!("{verb} {}", bytes(amount)),
        });
    }
    if parts.is_empty() {
        return None;
    }
    let all = process.total.copies();
    let elsewhere = all.saturating_sub(own).saturating_mul(ELSEWHERE);
    let note = match told {
        Some(amount) if elsewhere >= amount => {
            format!(
                "; all {} that it copied count, {}",
                bytes(all),
                ways.join(", ")
            )
        }
        _ => String::new(),
    };
    Some(format!("network: {}{note}", parts.join(", ")))
}

/// What was seen that contradicts what was asked for at a path.
fn contradiction(claimed: &Claimed) -> Option<String> {
    let is = |mark: Mark| claimed.claims.iter().any(|name| name == mark.name());
    let what = if is(Mark::NoSoZerocopy) {
        "without SO_ZEROCOPY the flag is ignored".to_owned()
    } else if is(Mark::NoScatterGather) {
        let device = claimed.device.as_deref().unwrap_or("the device");
        format!(
            "{} cannot take pages (scatter-gather is off)",
            printable(device)
        )
    } else if is(Mark::CopyingRoute) {
        let device = claimed.device.as_deref().unwrap_or("the device");
        match claimed.obstacle() {
            Some(obstacle) => format!(
                "on the way over {} it may be copied: {}",
                printable(device),
                printable(obstacle)
            ),
            None => format!(
                "{} encrypts, passes packets on, or has no checksum offload: it may copy",
                printable(device)
            ),
        }
    } else if is(Mark::Copied) {
        let times = match claimed.notifications {
            1 => "once".into(),
            times => format!("{} times", count(times)),
        };
        format!("the kernel notified {times} that it copied")
    } else {
        return None;
    };
    let (op, object) = (
        printable(claimed.op.as_str()),
        printable(claimed.object.as_str()),
    );
    Some(format!("{op} {object}: {what}"))
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
mod tests {
    use super::*;
    use crate::ledger::{NotFollowed, Path, samples};

    const WIDTHS: [usize; 4] = [60, 80, 120, 200];

    fn options(width: usize) -> Options {
        Options {
            surface: Surface {
                width,
                palette: Palette::PLAIN,
            },
            all: false,
        }
    }

    /// The report at every width, checked to fit.
    fn at_all_widths(snapshot: &Snapshot) -> String {
        let mut all = String::new();
        for width in WIDTHS {
            let text = report(snapshot, options(width));
            for line in text.lines() {
                assert!(line.width() <= width, "wider than {width}: {line:?}");
                assert_eq!(line.trim_end(), line, "blanks at the end");
                assert!(!line.contains(char::is_control));
            }
            all.push_str(&format!("--- {width} columns\n{text}"));
        }
        all
    }

    #[test]
    fn empty() {
        insta::assert_snapshot!(at_all_widths(&samples::empty()));
    }

    #[test]
    fn what_contradicts_a_wish_is_told() {
        let mut snapshot = samples::normal();
        let claimed = |mark: Mark, device: Option<&str>, notifications| Claimed {
            op: "send.zerocopy".into(),
            object: "udp".into(),
            evidence: "measured".into(),
            claims: vec![Mark::Zerocopy.name().into(), mark.name().into()],
            device: device.map(Into::into),
            notifications,
            totals: Totals::default(),
        };
        let process = &mut snapshot.processes[0];
        process.copy_cpu_seconds = Some(1.5);
        process.not_followed = vec![NotFollowed {
            call: "ioctl".into(),
            copy_cpu_seconds: 0.038,
        }];
        process.claims = vec![
            claimed(Mark::NoSoZerocopy, None, 0),
            claimed(Mark::NoScatterGather, Some("eth0\u{1b}[m"), 0),
            claimed(Mark::Copied, None, 20),
            claimed(Mark::Zerocopy, None, 0),
        ];
        let text = at_all_widths(&snapshot);
        for line in [
            "send.zerocopy udp: without SO_ZEROCOPY the flag is ignored",
            "[m cannot take pages (scatter-gather is off)",
            "send.zerocopy udp: the kernel notified 20 times that it copied",
            "copying: 1.50 s of CPU time, from samples",
            "38.0 ms of copying in ioctl, which zctrace does not follow: its bytes are in no row",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches("send.zerocopy udp:").count(), 3 * WIDTHS.len());
        // What a recording says is not trusted.
        snapshot.processes[0].copy_cpu_seconds = Some(f64::MAX);
        assert!(!at_all_widths(&snapshot).contains("copying:"));
    }

    #[test]
    fn the_price_of_the_network_says_whose_copies_count() {
        let mib = 1 << 20;
        let path = |op: &str, object: &str, totals| samples::row(op, object, "inferred", totals);
        let spliced = Totals {
            moved: 16 * mib,
            spliced: 16 * mib,
            ..Totals::default()
        };
        let copied = Totals {
            moved: 48 * mib,
            copied_in_kernel: 48 * mib,
            ..Totals::default()
        };
        let request = Totals {
            moved: 79,
            copied_to_user: 79,
            ..Totals::default()
        };
        let lines = |paths: Vec<Path>| {
            let process = Process::from_paths(1, 0, "x".into(), "/".into(), paths);
            network(&process).unwrap()
        };
        assert_eq!(
            lines(vec![
                path("sendfile", "file:ext4->tcp", spliced),
                path("copy_file_range", "file:ext4->file:ext4", copied),
                path("recv", "tcp", request),
            ]),
            "network: sent 16.0 MiB at 3.00 copies/B, received 79 B; all 48.0 MiB that it copied \
             count, 0 B by sending"
        );
        assert_eq!(
            lines(vec![path("sendfile", "file:ext4->tcp", spliced)]),
            "network: sent 16.0 MiB at 0.00 copies/B"
        );
        let unseen = Totals {
            moved: mib,
            unexplained: mib,
            ..Totals::default()
        };
        assert_eq!(
            lines(vec![path("send.zerocopy", "tcp", unseen)]),
            "network: sent 1.00 MiB at 0.00? copies/B"
        );
    }

    #[test]
    fn normal() {
        insta::assert_snapshot!(at_all_widths(&samples::normal()));
    }

    #[test]
    fn overflow() {
        insta::assert_snapshot!(at_all_widths(&samples::overflow()));
    }

    #[test]
    fn loss() {
        insta::assert_snapshot!(at_all_widths(&samples::loss()));
    }

    #[test]
    fn unexplained() {
        insta::assert_snapshot!(at_all_widths(&samples::unexplained()));
    }

    #[test]
    fn by_a_dimension() {
        insta::assert_snapshot!(at_all_widths(&samples::by_file()));
    }

    /// The addresses of a connection are one word, which no column of the usual terminal has room for.
    #[test]
    fn the_ends_of_a_connection_are_not_broken() {
        let ends = "127.0.0.1:8080->127.0.0.1:52716";
        let mut snapshot = samples::normal();
        for path in snapshot
            .processes
            .iter_mut()
            .flat_map(|process| &mut process.paths)
        {
            path.by = Some(ends.into());
        }
        for width in [60, 80, 120, 200] {
            let text = report(&snapshot, options(width));
            let lines = text.lines().filter(|line| line.contains(ends));
            assert!(
                lines.count() >= snapshot.processes[0].paths.len(),
                "{width}: {text}"
            );
            assert_eq!(text.contains("BY"), width >= WIDE, "{width}: {text}");
        }
    }

    #[test]
    fn colours_mark_what_matters() {
        let colour = |snapshot: &Snapshot| {
            let mut options = options(80);
            options.surface.palette = Palette::COLOUR;
            report(snapshot, options)
        };
        let alarm = Palette::COLOUR.alarm;
        assert!(colour(&samples::unexplained()).contains(&format!("{alarm}unexplained")));
        assert!(!colour(&samples::normal()).contains(&format!("{alarm}")));
        let good = Palette::COLOUR.good;
        assert!(colour(&samples::normal()).contains(&format!("{good}0.00")));
        let unexplained = colour(&samples::unexplained());
        assert!(unexplained.contains("0.00?") && !unexplained.contains(&format!("{good}")));
        let warning = Palette::COLOUR.warning;
        assert!(colour(&samples::loss()).contains(&format!("{warning}LOST:")));
    }

    #[test]
    fn many_processes_are_summed_up() {
        let mut snapshot = samples::normal();
        let one = snapshot.processes[0].clone();
        let another = |pid| Process {
            pid,
            comm: format!("worker-{pid}"),
            ..one.clone()
        };
        snapshot.processes = (1..=25).map(another).collect();
        let text = report(&snapshot, options(80));
        assert!(text.contains("and 15 more that moved 7.50 GiB"), "{text}");
        let all = report(
            &snapshot,
            Options {
                all: true,
                ..options(80)
            },
        );
        assert!(!all.contains("more that moved"));
        assert!(all.contains("[25]"));
    }

    #[test]
    fn an_interval_has_no_footer() {
        let text = interval(&samples::normal(), Duration::from_secs(2), options(80));
        assert!(text.starts_with("at 2.00 s\n"));
        assert!(!text.contains("Scope"));
        assert!(!text.contains("LOST"));
        let text = interval(&samples::loss(), Duration::from_secs(2), options(80));
        assert!(text.contains("LOST"));
    }
}
