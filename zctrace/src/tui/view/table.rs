//! The table of a view.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Paragraph, Widget as _},
};
use unicode_width::UnicodeWidthStr as _;

use super::lines::{ascii, cut};
use crate::{
    ledger::Totals,
    text::{bytes::bytes, escape::printable},
    tui::{
        moment::Moment,
        rows::{Column, Holds, Rows, Tone, Value},
        state::State,
        theme::{LETTERS, Theme, UNEXPLAINED},
        view::chart,
    },
};

pub(super) fn draw(state: &State, moment: &Moment, area: Rect, buffer: &mut Buffer) {
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
    let on_screen = || on_screen(state, area);
    let fitting = fitting_now(state, rows.as_ref(), area);
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
    for (line, row) in on_screen().enumerate() {
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
        if rows.is_over(row) {
            buffer.set_style(line, theme.faint);
        }
        if rows.is_alarming(row) {
            buffer.set_stringn(area.x, y, "!", 1, theme.alarm);
        }
        if pane.offset + usize::from(y - area.y - 1) == pane.at {
            let style = theme.chosen;
            let mark = if pane.followed {
                ("»", "F")
            } else {
                ("▌", ">")
            };
            buffer.set_style(line, style);
            buffer.set_stringn(area.x, y, theme.glyph(mark.0, mark.1), 1, theme.accent);
        }
    }
}

/// The rows on screen.
fn on_screen(state: &State, area: Rect) -> impl Iterator<Item = &u32> {
    let lines = usize::from(area.height.saturating_sub(1));
    state.order.iter().skip(state.pane().offset).take(lines)
}

/// The columns on screen and their widths.
fn fitting_now(state: &State, rows: &dyn Rows, area: Rect) -> Vec<(usize, u16)> {
    let needed = |index: usize| {
        let widths =
            on_screen(state, area).map(|row| rows.value(*row as usize, index).shown().width());
        u16::try_from(widths.max().unwrap_or(0)).unwrap_or(u16::MAX)
    };
    fitting(
        state.view.columns(),
        &state.pane().shown,
        area.width,
        needed,
    )
}

/// Which column is at `x`; the space behind one belongs to it.
pub(in crate::tui) fn column_at(
    state: &State,
    moment: &Moment,
    area: Rect,
    x: u16,
) -> Option<usize> {
    let rows = state.view.rows(moment, &state.scope());
    let mut left = area.x + 1;
    let fitting = fitting_now(state, rows.as_ref(), area);
    let found = fitting.into_iter().find(|(_, width)| {
        let here = left..=left + width;
        left += width + 1;
        here.contains(&x)
    });
    found.map(|(index, _)| index)
}

/// The widths of the columns that fit. Those that say which row it is are as wide as they need to
/// be; the others give way by their rank.
fn fitting(
    columns: &[Column],
    shown: &[bool],
    width: u16,
    needed: impl Fn(usize) -> u16,
) -> Vec<(usize, u16)> {
    let mut coming: Vec<usize> = (0..columns.len()).filter(|index| shown[*index]).collect();
    coming.sort_by_key(|index| columns[*index].rank);
    let mut fitting: Vec<(usize, u16)> = Vec::new();
    let mut used = 1;
    for index in coming {
        let column = &columns[index];
        let says_which = column.rank == 0 && column.holds == Holds::Text;
        let mut wanted = column.width;
        if says_which {
            wanted = wanted.max(needed(index));
        }
        let free = width.saturating_sub(used + 1);
        if wanted > free {
            // Cut rather than left out: even a part tells rows apart.
            if column.rank != 0 || free < column.width.min(4) {
                continue;
            }
            wanted = free;
        }
        used += wanted + 1;
        fitting.push((index, wanted));
    }
    fitting.sort_by_key(|(index, _)| *index);
    let mut rest = width.saturating_sub(used);
    // A cell for each in turn, so that none takes all.
    while rest > 0 {
        let before = rest;
        for (index, width) in &mut fitting {
            if columns[*index].rank != 0 && *width < columns[*index].most && rest > 0 {
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
                Value::Word(_, Tone::Good) => theme.good,
                Value::Word(_, Tone::Warning) => theme.warning,
                Value::Word(_, Tone::Alarm) => theme.alarm,
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

/// Writes what was copied beside the classes, if it is a fair part of the row, to the right of a bar; returns the room
/// that is left for the bar. Without it a bar of pages that were passed by reference and copied later would look like
/// zero-copy.
fn beside_further(totals: &Totals, theme: &Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    let extras = totals.extras().into_iter();
    let Some((name, amount)) = extras
        .max_by_key(|(_, amount)| *amount)
        .filter(|(_, amount)| totals.is_fair(*amount) && *amount != 0)
    else {
        return area;
    };
    let short = format!(" +{name}");
    let long = format!("{short} {}", bytes(amount));
    let width = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
    // Every class keeps its place in the bar.
    let classes = totals
        .classes()
        .into_iter()
        .filter(|(_, bytes)| *bytes != 0);
    let least = u16::try_from(classes.count()).unwrap_or(u16::MAX);
    let fits = |text: &&String| width(text).saturating_add(least) <= area.width;
    let Some(text) = [&long, &short].into_iter().find(fits) else {
        return area;
    };
    let left = area.width - width(text);
    buffer.set_stringn(area.x + left, area.y, text, text.len(), theme.warning);
    Rect {
        width: left,
        ..area
    }
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
    let area = beside_further(totals, theme, area, buffer);
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
            // What nobody saw says so in every cell: colour alone could be overlooked.
            let text = match (theme.classes.is_none(), at == x) {
                _ if class == UNEXPLAINED => LETTERS[class].to_string(),
                (true, false) => "-".into(),
                _ => text,
            };
            buffer.set_stringn(at, area.y, text, 1, style);
        }
        x = end;
    }
}
