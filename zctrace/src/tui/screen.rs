//! The screen: a pure function of the state.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, BorderType, Clear, Paragraph, Widget as _},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    chart, flame,
    keys::{Action, Where},
    moment::Moment,
    replay::Status,
    rows::{Column, Holds, Value},
    sides::Part,
    state::{Overlay, State},
    theme::{LETTERS, Theme},
    verdicts::LIMIT,
    views::View,
    workload::Run,
};
use crate::{
    ledger::{TargetKind, Totals},
    text::{
        bytes::{bytes, count, duration},
        escape::printable,
    },
};

/// The least size at which there is something to show.
const LEAST: (u16, u16) = (40, 10);

/// Where things are.
#[derive(Clone, Copy)]
struct Regions {
    header: Rect,
    tabs: Rect,
    banner: Rect,
    top: Rect,
    table: Rect,
    footer: Rect,
}

fn regions(state: &State, area: Rect) -> Regions {
    let banner = u16::from(
        state.frozen || state.ended.is_some() || state.notice.is_some() || state.replay.is_some(),
    );
    let body = area.height.saturating_sub(4 + banner);
    let top = match state.view {
        View::Overview | View::Memory if body >= 24 => (body * 2 / 5).min(16),
        View::Overview | View::Memory if body >= 14 => 7,
        View::Overview | View::Memory => 3,
        View::Workloads => state
            .run
            .as_ref()
            .map_or(1, |run| (4 + run.rows.len().min(20) as u16).min(body / 2)),
        _ => 1,
    };
    let parts = [2, 1, banner, top.min(body.saturating_sub(3))].map(Constraint::Length);
    let parts = [
        parts[0],
        parts[1],
        parts[2],
        parts[3],
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [header, tabs, banner, top, table, footer] = Layout::vertical(parts).areas(area);
    Regions {
        header,
        tabs,
        banner,
        top,
        table,
        footer,
    }
}

/// How many rows the table shows.
#[must_use]
pub fn page(state: &State) -> usize {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    regions(state, area).table.height.saturating_sub(1).into()
}

/// Draws everything.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        Line::raw(format!("needs {}x{}", LEAST.0, LEAST.1)).render(area, buffer);
        return;
    }
    let regions = regions(state, area);
    header(state, regions.header, buffer);
    tabs(state, regions.tabs, buffer);
    banner(state, regions.banner, buffer);
    match &state.shown {
        None => {
            let text = if state.replay.is_some() {
                "Reading the recording ..."
            } else {
                "Attaching probes ..."
            };
            Line::styled(text, state.theme.faint)
                .centered()
                .render(regions.table, buffer);
        }
        Some(moment) => {
            match state.view {
                View::Overview | View::Memory => chart::panel(state, moment, regions.top, buffer),
                View::Workloads => {
                    let line = Rect {
                        height: regions.top.height.min(1),
                        ..regions.top
                    };
                    caption(state, moment, line, buffer);
                    if let Some(run) = &state.run {
                        let rest = Rect {
                            y: regions.top.y + line.height,
                            height: regions.top.height - line.height,
                            ..regions.top
                        };
                        beside(run, &state.theme, rest, buffer);
                    }
                }
                _ => caption(state, moment, regions.top, buffer),
            }
            if state.view == View::Stacks && state.flames && !state.order.is_empty() {
                flame::draw(state, moment, regions.table, buffer);
            } else {
                table(state, moment, regions.table, buffer);
            }
        }
    }
    footer(state, regions.footer, buffer);
    for overlay in &state.overlays {
        over(state, overlay, area, buffer);
    }
}

fn target(moment: &Moment) -> String {
    let value = printable(&moment.about.target.value);
    match moment.about.target.kind {
        TargetKind::System => "the whole machine".into(),
        TargetKind::Command => value,
        TargetKind::Pid => format!("process {value}"),
        TargetKind::Comm => format!("processes named {value}"),
        TargetKind::Cgroup => format!("cgroup {value}"),
        TargetKind::Port => format!("port {value}"),
    }
}

/// Puts one line to the left and one to the right, which goes first where both do not fit.
fn both_ends(left: Line<'_>, right: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    let width = u16::try_from(right.width())
        .unwrap_or(area.width)
        .min(area.width);
    let [start, end] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    left.render(
        Rect {
            width: start.width.saturating_sub(1),
            ..start
        },
        buffer,
    );
    right.render(end, buffer);
}

fn header(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let [first, second] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
    let name = Span::styled(" zctrace ", theme.accent.add_modifier(Modifier::REVERSED));
    let Some(moment) = &state.shown else {
        Line::from(vec![name]).render(first, buffer);
        return;
    };
    let left = Line::from(vec![
        name,
        " ".into(),
        Span::styled(target(moment), theme.strong),
    ]);
    let clock = |time: Duration| {
        let seconds = time.as_secs();
        format!(
            "{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    };
    let mark = match (state.frozen, &state.ended) {
        _ if state.replay.is_some() => Span::styled("REPLAY ", theme.warning),
        (true, _) => Span::styled("FROZEN ", theme.warning),
        (_, Some(_)) => Span::styled("ENDED ", theme.warning),
        _ => Span::styled(theme.glyph("● ", "* "), theme.good),
    };
    both_ends(
        left,
        &Line::from(vec![mark, clock(moment.at).into(), " ".into()]),
        first,
        buffer,
    );
    // One line has no room for both; a loss is worse.
    let loss = match moment.loss.unfollowed_calls.total() {
        _ if moment.has_loss() => {
            Span::styled(format!("LOST {} ", count(moment.loss.lost())), theme.alarm)
        }
        0 => Span::styled("nothing lost ", theme.good),
        calls => Span::styled(
            format!("{} calls not followed ", count(calls)),
            theme.warning,
        ),
    };
    let right = Line::from(vec![loss, cost(state, moment)]);
    let room = usize::from(second.width).saturating_sub(right.width() + 1);
    let left = Line::styled(kernel(moment, theme, room), theme.faint);
    both_ends(left, &right, second, buffer);
}

/// The kernel and the backend in this many columns. The backend stays whole: what a row can tell
/// depends on it.
fn kernel(moment: &Moment, theme: &Theme, room: usize) -> String {
    let release = printable(&moment.about.kernel);
    let backend = format!(
        " {} {}",
        theme.glyph("·", "-"),
        printable(&moment.about.backend)
    );
    let whole = format!(" Linux {release}{backend}");
    if whole.width() <= room {
        return whole;
    }
    let rest = room.saturating_sub(backend.width() + 1);
    format!(" {}{backend}", cut(&release, rest))
}

/// What zctrace itself costs.
fn cost<'a>(state: &State, moment: &Moment) -> Span<'a> {
    let runs = count(round(moment.per_second(moment.overhead_step.bpf_runs)));
    let share = |time: Duration| {
        let step = moment.step.as_secs_f64();
        if step > 0.0 {
            time.as_secs_f64() / step * 100.0
        } else {
            0.0
        }
    };
    let probes = moment
        .overhead_step
        .bpf_ns
        .map(|ns| share(Duration::from_nanos(ns)));
    let probes = probes.map_or_else(|| "not timed".into(), |share| format!("{share:.1}% cpu"));
    let text = if state.size.0 >= 90 {
        let screen = moment.sides.own_cpu.map_or_else(String::new, |time| {
            format!(", screen {:.1}% cpu", share(time))
        });
        format!("cost: probes {probes} {runs} runs/s{screen} ")
    } else {
        format!("cost {probes} {runs}/s ")
    };
    Span::styled(text, state.theme.faint)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float keeps to the bounds"
)]
fn round(value: f64) -> u64 {
    value.round() as u64
}

fn tabs(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let wide = area.width >= 100;
    let mut spans = Vec::new();
    for view in View::ALL {
        let (long, short) = view.titles();
        let text = format!(" {} {} ", view.number(), if wide { long } else { short });
        let text = if wide { text } else { text.trim_end().into() };
        let style = if view == state.view {
            theme.strong.add_modifier(Modifier::REVERSED)
        } else {
            theme.faint
        };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans).render(area, buffer);
}

fn banner(state: &State, area: Rect, buffer: &mut Buffer) {
    let text = if let Some(notice) = &state.notice {
        printable(notice)
    } else if let Some(ended) = &state.ended {
        format!(
            "{}: these are the last numbers; {} quits",
            printable(ended),
            state.keymap.hint(Action::Quit)
        )
    } else if let Some(replay) = &state.replay {
        replayed(state, replay)
    } else {
        format!(
            "Frozen; counting goes on. {} goes on showing",
            state.keymap.hint(Action::Freeze)
        )
    };
    let style = state.theme.warning.add_modifier(Modifier::REVERSED);
    if area.height > 0 {
        buffer.set_style(area, style);
        Line::styled(format!(" {text}"), style).render(area, buffer);
    }
}

/// What a workload was to do beside what was measured.
fn beside(run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let (state, mut why) = match &run.ended {
        None => ("running", None),
        Some(how) => match how.split_once(": ") {
            Some((what, why)) => (what, Some(why)),
            None => (how.as_str(), None),
        },
    };
    let verdict = match run.differences.0 {
        _ if run.settled == 0 => Span::styled("nothing to compare yet", theme.faint),
        0 => Span::styled("as expected", theme.good),
        count => Span::styled(format!("{count} differ"), theme.alarm),
    };
    if run.settled != 0 {
        why = why.or(run.differences.1.as_deref());
    }
    // A number is whole or not there.
    let (op_width, object_width) = if area.width < 88 { (14, 18) } else { (18, 24) };
    let line = |op: &str, object: &str, moved: &str, copied: &str| {
        let (op, object) = (cut(op, op_width), cut(object, object_width));
        let mut text = format!(" {op:<op_width$} {object:<object_width$} {moved:>21}");
        if area.width >= 78 {
            text.push_str(&format!(" {copied:>21}"));
        }
        Line::from(text)
    };
    let mut lines = vec![Line::from(vec![
        Span::styled(format!(" {} ", run.name), theme.strong),
        format!(
            "{}, {} of {} rounds of {}: ",
            printable(state),
            run.settled,
            run.parameters.rounds,
            bytes(run.parameters.bytes)
        )
        .into(),
        verdict,
    ])];
    if let Some(why) = why {
        lines.push(Line::styled(format!(" {}", printable(why)), theme.alarm));
    }
    let titles = ["MOVED: EXPECTED/SEEN", "COPIED: EXPECTED/SEEN"];
    lines.push(line("OPERATION", "OBJECT", titles[0], titles[1]).style(theme.accent));
    for ((op, object), beside) in &run.rows {
        let pair = |expected: u64, measured: u64| {
            format!("{:>10} {:>10}", bytes(expected), bytes(measured))
        };
        let (expected, measured) = (&beside.expected, &beside.measured);
        lines.push(line(
            op,
            object,
            &pair(expected.moved, measured.moved),
            &pair(expected.copies(), measured.copies()),
        ));
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        line.render(Rect::new(area.x, y, area.width, 1), buffer);
    }
}

/// Where the replay is.
fn replayed(state: &State, replay: &Status) -> String {
    let mark = if replay.paused {
        state.theme.glyph("⏸", "||")
    } else {
        state.theme.glyph("▶", ">")
    };
    let place = format!(
        "{mark} {}  interval {} of {}, {} of {}",
        replay.speed(),
        replay.position + 1,
        replay.intervals,
        duration(replay.at),
        duration(replay.length),
    );
    let recorded = match &replay.started_at {
        at if at.is_empty() => String::new(),
        at => format!("; recorded {}", printable(at)),
    };
    let (flaw, why) = match &replay.damage {
        Some(damage) => ("; not whole", format!(": {damage}")),
        None => ("", String::new()),
    };
    // As much as there is room for. That it is not whole is always said.
    let room = usize::from(state.size.0).saturating_sub(2);
    [(&*why, &*recorded), (&why, ""), ("", &recorded)]
        .into_iter()
        .map(|(why, recorded)| format!("{place}{flaw}{why}{recorded}"))
        .find(|text| text.width() <= room)
        .unwrap_or_else(|| format!("{place}{flaw}"))
}

/// Whose rows these are, and how many.
fn caption(state: &State, moment: &Moment, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let whose = match state.process.and_then(|id| moment.process(id)) {
        Some(process) => format!(
            " {} [{}]",
            printable(moment.name(process.comm)),
            process.id.pid
        ),
        None if state.process.is_some() => " a process that is gone".into(),
        None => " all processes".into(),
    };
    let mut left = vec![Span::styled(
        if matches!(state.view, View::Probes | View::Workloads) {
            String::new()
        } else {
            whose
        },
        theme.strong,
    )];
    if let Some((_, filter)) = &state.pane().filter {
        left.push(Span::styled(
            format!("  filter: {}", printable(filter)),
            theme.warning,
        ));
    }
    for (what, _) in state.view.unseen(moment) {
        left.push(Span::styled(format!("  {what}"), theme.warning));
    }
    if state.view == View::Stacks {
        left.push(Span::styled(sampled(moment), theme.faint));
    }
    if state.view == View::Workloads {
        let text = format!(" next run: {}", state.parameters.shown());
        left.push(Span::styled(text, theme.faint));
    }
    if state.view == View::Claims {
        let text = format!("  verdicts: at most {LIMIT} copies per byte");
        left.push(Span::styled(text, theme.faint));
    }
    let rows = match state.order.len() {
        1 => "1 row ".into(),
        rows => format!("{rows} rows "),
    };
    let right = Line::styled(rows, theme.faint);
    both_ends(Line::from(left), &right, area, buffer);
}

/// How stacks are sampled, and what of it was lost.
fn sampled(moment: &Moment) -> String {
    let stacks = &moment.stacks.stacks;
    let mut text = match &moment.sides.stacks {
        Part::Here(0) => "  sampled by copied bytes".to_owned(),
        Part::Here(every) => format!("  a stack every {} copied", bytes(*every)),
        Part::Missing(why) => format!("  {why}"),
    };
    if stacks.lost != 0 {
        text.push_str(&format!(", LOST {}", bytes(stacks.lost)));
    }
    text
}

/// The widths of the columns that fit; those that come last are left out first.
fn fitting(columns: &[Column], shown: &[bool], width: u16) -> Vec<(usize, u16)> {
    let mut fitting: Vec<(usize, u16)> = Vec::new();
    let mut used = 1;
    for (index, column) in columns
        .iter()
        .enumerate()
        .filter(|(index, _)| shown[*index])
    {
        if used + column.width + 1 > width && !fitting.is_empty() {
            break;
        }
        used += column.width + 1;
        fitting.push((index, column.width));
    }
    let mut rest = width.saturating_sub(used);
    // A cell for each in turn, so that none takes all.
    while rest > 0 {
        let before = rest;
        for (index, width) in &mut fitting {
            if *width < columns[*index].most && rest > 0 {
                *width += 1;
                rest -= 1;
            }
        }
        if rest == before {
            break;
        }
    }
    fitting
}

fn table(state: &State, moment: &Moment, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let rows = state.view.rows(moment, &state.scope());
    let (columns, pane) = (state.view.columns(), state.pane());
    if state.order.is_empty() {
        let text = match &pane.filter {
            Some((_, filter)) if !rows.is_empty() => {
                format!("No row passes the filter: {}", printable(filter))
            }
            _ => state.view.empty(moment),
        };
        let area = Rect {
            y: area.y + area.height.min(2),
            height: area.height.saturating_sub(2),
            ..area
        };
        Paragraph::new(text)
            .style(theme.faint)
            .centered()
            .wrap(ratatui::widgets::Wrap { trim: true })
            .render(area, buffer);
        return;
    }
    let fitting = fitting(columns, &pane.shown, area.width);
    let mut x = area.x + 1;
    for (index, width) in &fitting {
        let column = &columns[*index];
        let arrow = match pane.sort.column == Some(*index) {
            false => "",
            true if pane.sort.descending => theme.glyph("▼", "v"),
            true => theme.glyph("▲", "^"),
        };
        let title = format!("{}{arrow}", column.title);
        let cell = Rect::new(x, area.y, *width, 1);
        aligned(&title, column.holds, theme.accent, cell, buffer);
        x += width + 1;
    }
    let lines = usize::from(area.height.saturating_sub(1));
    for (line, row) in state.order.iter().skip(pane.offset).take(lines).enumerate() {
        let row = *row as usize;
        let y = area.y + 1 + u16::try_from(line).unwrap_or(0);
        let mut x = area.x + 1;
        for (index, width) in &fitting {
            let cell = Rect::new(x, y, *width, 1);
            cell_of(
                &rows.value(row, *index),
                &columns[*index],
                theme,
                cell,
                buffer,
            );
            x += width + 1;
        }
        let line = Rect::new(area.x, y, area.width, 1);
        if rows.is_alarming(row) {
            buffer.set_stringn(area.x, y, "!", 1, theme.alarm);
        }
        if pane.offset + usize::from(y - area.y - 1) == pane.at {
            let style = theme.chosen;
            buffer.set_style(line, style);
            buffer.set_stringn(area.x, y, theme.glyph("▌", ">"), 1, theme.accent);
        }
    }
}

/// Cuts a text to a width in columns of the terminal.
pub(super) fn cut(text: &str, width: usize) -> String {
    crate::text::columns::cut(text, width)
}

fn aligned(text: &str, holds: Holds, style: Style, area: Rect, buffer: &mut Buffer) {
    let text = cut(text, area.width.into());
    let right = matches!(holds, Holds::Bytes | Holds::Number);
    let free = usize::from(area.width).saturating_sub(text.width());
    let x = area.x
        + if right {
            u16::try_from(free).unwrap_or(0)
        } else {
            0
        };
    let room = area.right().saturating_sub(x);
    buffer.set_stringn(x, area.y, &text, room.into(), style);
}

fn cell_of(value: &Value<'_>, column: &Column, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    match value {
        Value::Ways(totals) => bar(totals, theme, area, buffer),
        Value::Sizes(sizes) => {
            let counts = sizes
                .counts
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            chart::spark(&counts, theme, area, buffer);
        }
        Value::Spark(values) => chart::spark(values.as_slice(), theme, area, buffer),
        _ => {
            let style = match value {
                Value::PerByte(figure) if figure.is_zero_copy() => theme.good,
                Value::Text(text) if text == "PASS" || text == "attached" => theme.good,
                Value::Text(text) if text == "FAIL" || text == "silent" => theme.alarm,
                Value::Text(text) if text == "INCONCLUSIVE" || text == "~" || text == "refused" => {
                    theme.warning
                }
                Value::BytesPerSecond(0.0) | Value::PerSecond(0.0) | Value::Bytes(0) => theme.faint,
                _ => Style::new(),
            };
            let text = match value {
                Value::Bytes(0) => "-".into(),
                Value::Time(time) if time.is_zero() => "-".into(),
                value => value.shown(),
            };
            let text = if theme.ascii { ascii(&text) } else { text };
            aligned(&text, column.holds, style, area, buffer);
        }
    }
}

pub(super) fn ascii(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_ascii() { char } else { '?' })
        .collect()
}

/// The classes as stretches of a bar. Each starts with its letter, so that colour tells nothing
/// that the letters do not.
fn bar(totals: &Totals, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let sum = u128::from(totals.explained_and_unexplained());
    if sum == 0 {
        let extras = totals.extras().into_iter().find(|(_, bytes)| *bytes != 0);
        if let Some((name, amount)) = extras {
            aligned(
                &format!("+{name} {}", bytes(amount)),
                Holds::Text,
                theme.warning,
                area,
                buffer,
            );
        }
        return;
    }
    let (mut before, mut x) = (0u128, area.x);
    for (class, (_, amount)) in totals.classes().into_iter().enumerate() {
        if amount == 0 {
            continue;
        }
        before += u128::from(amount);
        let end =
            area.x + u16::try_from(before * u128::from(area.width) / sum).unwrap_or(area.width);
        let end = end.max(x + 1).min(area.right());
        for at in x..end {
            let text = if at == x {
                LETTERS[class].to_string()
            } else {
                theme.glyph(" ", "-").into()
            };
            let style = match theme.classes {
                Some(colours) => Style::new().fg(theme.on_bar).bg(colours[class]),
                None => Style::new(),
            };
            let text = if theme.classes.is_none() && at != x {
                "-".into()
            } else {
                text
            };
            buffer.set_stringn(at, area.y, text, 1, style);
        }
        x = end;
    }
}

fn footer(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    // Those of this view first: a narrow screen has no room for all.
    let (everywhere, own): (Vec<_>, Vec<_>) = state
        .keymap
        .lines(state.place())
        .partition(|(binding, _)| binding.place == Where::Everywhere);
    for (binding, keys) in own.into_iter().chain(everywhere) {
        let key = keys.split(' ').next().unwrap_or_default().to_owned();
        if binding.short.is_empty() || key.is_empty() {
            continue;
        }
        let length = key.width() + 1 + binding.short.len() + 2;
        if used + length > usize::from(area.width) {
            break;
        }
        used += length;
        spans.push(Span::styled(key, theme.accent));
        spans.push(Span::styled(format!(" {}  ", binding.short), theme.faint));
    }
    Line::from(spans).render(area, buffer);
}

fn over(state: &State, overlay: &Overlay, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let columns = state.view.columns();
    let key = |name: &str, text: &str| {
        Line::from(vec![
            Span::styled(format!("{name:<18} "), theme.accent),
            text.to_owned().into(),
        ])
    };
    let typed = |text: &str| {
        Line::from(vec![
            "> ".into(),
            printable(text).into(),
            Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
        ])
    };
    let longest = columns.iter().map(|column| column.name.len()).max();
    let list = |mark: &dyn Fn(usize) -> &'static str| -> Vec<Line<'_>> {
        let line = |(index, column): (usize, &Column)| {
            let name = format!("{}{:2$}", mark(index), column.name, longest.unwrap_or(0));
            key(&name, column.help)
        };
        columns.iter().enumerate().map(line).collect()
    };
    let (title, lines, at): (&str, Vec<Line<'_>>, Option<usize>) = match overlay {
        Overlay::Help(line) => {
            let lines: Vec<_> = state
                .keymap
                .lines(state.place())
                .map(|(binding, keys)| key(&keys, binding.help))
                .collect();
            let first = usize::from(*line).min(lines.len().saturating_sub(1));
            ("Keys", lines.into_iter().skip(first).collect(), None)
        }
        Overlay::Filter(input, error) => {
            let names: Vec<_> = columns.iter().map(|column| column.name).collect();
            let mut lines = vec![typed(input.value())];
            match error {
                Some(error) => lines.push(Line::styled(error.clone(), theme.alarm)),
                None => lines.push(Line::styled(
                    "FIELD OP VALUE, joined by and, or, not; OP is = != < <= > >= ~ !~",
                    theme.faint,
                )),
            }
            lines.push(Line::styled(
                format!("fields: {}", names.join(" ")),
                theme.faint,
            ));
            ("Filter", lines, None)
        }
        Overlay::Target(input) => {
            let help = Line::styled(
                "pid 1234 | comm nginx | port 8080 | cgroup /path | system",
                theme.faint,
            );
            ("Target", vec![typed(input.value()), help], None)
        }
        Overlay::Seek(input, error) => {
            let help = match error {
                Some(error) => Line::styled(printable(error), theme.alarm),
                None => Line::styled("90s | 1m30s | 50% | #12", theme.faint),
            };
            ("Go to", vec![typed(input.value()), help], None)
        }
        Overlay::Parameters(input, error) => {
            let help = match error {
                Some(error) => Line::styled(printable(error), theme.alarm),
                None => Line::styled("bytes of a round, and how many rounds", theme.faint),
            };
            ("Parameters", vec![typed(input.value()), help], None)
        }
        Overlay::Sort(at) => ("Sort by", list(&|_| ""), Some(*at)),
        Overlay::Columns(at) => {
            let shown = state.pane().shown.clone();
            (
                "Columns: space chooses",
                list(&move |index| if shown[index] { "[x] " } else { "[ ] " }),
                Some(*at),
            )
        }
        Overlay::Export => (
            "Export",
            vec![
                key("t", "the screen as text"),
                key("s", "the screen as SVG"),
                key("c", "the rows as CSV"),
                key("j", "the rows as JSON"),
            ],
            None,
        ),
        Overlay::Detail(line) => (
            "Row",
            detail(state).into_iter().skip((*line).into()).collect(),
            None,
        ),
    };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(30);
    let width = u16::try_from(widest + 4)
        .unwrap_or(u16::MAX)
        .min(area.width);
    let height = u16::try_from(lines.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let place = Rect::new(
        area.x + (area.width - width) / 2,
        area.y + (area.height - height) / 2,
        width,
        height,
    );
    Clear.render(place, buffer);
    let border = if theme.ascii {
        ASCII_BORDER
    } else {
        BorderType::Rounded.to_border_set()
    };
    let block = Block::bordered()
        .border_set(border)
        .border_style(theme.faint)
        .title(Span::styled(format!(" {title} "), theme.accent));
    let inner = block.inner(place);
    let below = lines.len().saturating_sub(inner.height.into());
    let block = match overlay {
        // The others move with what is chosen in them.
        Overlay::Help(_) | Overlay::Detail(_) if below > 0 => {
            let more = format!(" {below} more: {} ", state.keymap.hint(Action::Down));
            block.title_bottom(Line::styled(more, theme.warning).right_aligned())
        }
        _ => block,
    };
    block.render(place, buffer);
    let offset = at.map_or(0, |at| (at + 1).saturating_sub(inner.height.into()));
    for (index, line) in lines
        .into_iter()
        .enumerate()
        .skip(offset)
        .take(inner.height.into())
    {
        let row = Rect::new(
            inner.x + 1,
            inner.y + u16::try_from(index - offset).unwrap_or(0),
            inner.width.saturating_sub(2),
            1,
        );
        line.render(row.intersection(inner), buffer);
        if at == Some(index) {
            buffer.set_style(row.intersection(inner), theme.chosen);
        }
    }
}

/// Every number of the chosen row, exactly.
fn detail(state: &State) -> Vec<Line<'static>> {
    let Some(moment) = &state.shown else {
        return Vec::new();
    };
    let rows = state.view.rows(moment, &state.scope());
    let Some(row) = state.order.get(state.pane().at) else {
        return Vec::new();
    };
    state
        .view
        .columns()
        .iter()
        .enumerate()
        .filter(|(_, column)| column.holds != Holds::Drawing)
        .map(|(index, column)| {
            let value = rows.value(*row as usize, index);
            let exact = match &value {
                Value::Bytes(amount) if *amount >= 1024 => format!("{} ({amount})", value.shown()),
                _ => value.shown(),
            };
            Line::from(vec![
                Span::styled(format!("{:<18}", column.name), state.theme.accent),
                exact.into(),
            ])
        })
        .collect()
}

/// Borders of overlays and charts without line-drawing characters.
pub(super) const ASCII_BORDER: ratatui::symbols::border::Set<'static> =
    ratatui::symbols::border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    };

/// The totals in words: how many copies each byte took, and of how many bytes.
pub(super) fn summary(moment: &Moment) -> [(&'static str, String); 5] {
    let (now, session) = (&moment.last.totals, &moment.total);
    [
        ("copies/byte now", now.per_carried_byte().to_string()),
        ("copies/byte", session.per_carried_byte().to_string()),
        ("moved", bytes(session.moved)),
        ("copied", bytes(session.copies())),
        ("since", duration(moment.at.saturating_sub(moment.base_at))),
    ]
}

/// The colour behind nothing.
pub(super) const NOTHING: Color = Color::Reset;
