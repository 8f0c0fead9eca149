//! Charts: stacked columns over time, and lines in a cell.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, BorderType, Widget as _},
};

use super::{
    lines::{ASCII_BORDER, NOTHING},
    summary::summary,
};
use crate::{
    text::bytes::{bytes, duration, percent},
    tui::{
        moment::{Moment, Sample, per_second},
        rows::views::View,
        state::State,
        theme::{LETTERS, SHORT, Theme},
    },
};

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// Width of the numbers beside the chart.
const BESIDE: u16 = 27;

/// The name of the class that no probe saw.
const UNEXPLAINED: &str = SHORT[8];

/// One of the stacked series: its letter, name, style, and bytes in a sample.
type Series = (char, &'static str, Style, fn(&Sample) -> u64);

fn series(state: &State) -> Vec<Series> {
    let theme = &state.theme;
    if state.view == View::Memory {
        return vec![
            ('M', "mapped", theme.class(6), |sample| sample.totals.mapped),
            ('W', "copied on write", theme.class(0), |sample| {
                sample.cow_written
            }),
            (
                'X',
                "copied after fork",
                Style::new().fg(theme.storm),
                |sample| sample.cow_forked,
            ),
        ];
    }
    let bytes: [fn(&Sample) -> u64; 9] = [
        |s| s.totals.copied_to_user,
        |s| s.totals.copied_from_user,
        |s| s.totals.copied_in_kernel,
        |s| s.totals.spliced,
        |s| s.totals.direct,
        |s| s.totals.cloned,
        |s| s.totals.mapped,
        |s| s.totals.synthetic,
        |s| s.totals.unexplained,
    ];
    (0..9)
        .map(|class| {
            (
                LETTERS[class],
                SHORT[class],
                theme.class(class),
                bytes[class],
            )
        })
        .collect()
}

/// The chart above a table, with what it sums up to.
pub(super) fn panel(state: &State, moment: &Moment, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let series = series(state);
    if area.height < 6 {
        let mut line = Line::default();
        for (name, value) in summary(moment) {
            line.push_span(Span::styled(format!(" {name} "), theme.faint));
            line.push_span(Span::styled(value, theme.strong));
        }
        line.render(
            Rect {
                height: area.height.min(1),
                ..area
            },
            buffer,
        );
        legend(
            &series,
            moment,
            theme,
            Rect {
                y: area.y + 1,
                height: area.height.saturating_sub(1),
                ..area
            },
            buffer,
        );
        return;
    }
    let beside = if area.width >= 76 { BESIDE } else { 0 };
    let [left, right] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(beside)]).areas(area);
    let border = if theme.ascii {
        ASCII_BORDER
    } else {
        BorderType::Rounded.to_border_set()
    };
    let title = if state.view == View::Memory {
        " Page faults, bytes/s "
    } else {
        " Bytes/s, by how they moved "
    };
    let mut block = Block::bordered()
        .border_set(border)
        .border_style(theme.faint)
        .title(Span::styled(title, theme.accent));
    if beside == 0 {
        let now = moment.last.totals.per_carried_byte();
        block = block.title_bottom(
            Line::styled(format!(" {now} copies/byte now "), theme.strong).right_aligned(),
        );
    }
    let inner = block.inner(left);
    if let Some(ago) = begins(moment, inner.width) {
        let axis = |text: String| Line::styled(text, theme.faint);
        block = block.title_bottom(axis(format!(" {} ago ", duration(ago))).left_aligned());
        if beside != 0 {
            block = block.title_bottom(axis(" now ".to_owned()).right_aligned());
        }
    }
    block.render(left, buffer);
    let [chart, names] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(inner);
    stacked(&series, moment, theme, chart, buffer);
    legend(&series, moment, theme, names, buffer);
    if beside > 0 {
        numbers(moment, theme, right, buffer);
    }
}

/// How long ago the chart of this width begins. Where it is not full yet, steps before the first are as long as the
/// last.
fn begins(moment: &Moment, width: u16) -> Option<Duration> {
    let steps = moment.history.iter().rev().take(width.into());
    let known: Duration = steps.map(|sample| sample.step).sum();
    let seen = u16::try_from(moment.history.len()).unwrap_or(u16::MAX);
    let missing = u32::from(width.saturating_sub(seen));
    let last = moment.history.back()?;
    Some(known + last.step * missing)
}

fn numbers(moment: &Moment, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let big = area.height >= 9;
    let now = moment.last.totals.per_carried_byte();
    let style = if now.is_zero_copy() {
        theme.good
    } else {
        theme.strong
    };
    let mut y = area.y;
    if big {
        buffer.set_stringn(area.x + 2, y, "COPIES PER BYTE, NOW", 25, theme.faint);
        for (line, row) in digits(&now.to_string(), theme.ascii).iter().enumerate() {
            buffer.set_stringn(
                area.x + 2,
                y + 1 + u16::try_from(line).unwrap_or(0),
                row,
                25,
                style,
            );
        }
        y += 5;
    }
    for (name, value) in summary(moment).into_iter().skip(usize::from(big)) {
        if y >= area.bottom() {
            break;
        }
        buffer.set_stringn(area.x + 2, y, name, 15, theme.faint);
        buffer.set_stringn(area.x + 18, y, &value, 9, theme.strong);
        y += 1;
    }
}

/// A short number, three lines high.
fn digits(text: &str, ascii: bool) -> [String; 3] {
    let mut lines = [const { String::new() }; 3];
    for char in text.chars() {
        let glyph = match char {
            '0' => ["█▀█", "█ █", "█▄█"],
            '1' => ["▀█ ", " █ ", "▄█▄"],
            '2' => ["▀▀█", "█▀▀", "█▄▄"],
            '3' => ["▀▀█", " ▀█", "▄▄█"],
            '4' => ["█ █", "▀▀█", "  █"],
            '5' => ["█▀▀", "▀▀█", "▄▄█"],
            '6' => ["█▀▀", "█▀█", "█▄█"],
            '7' => ["▀▀█", "  █", "  █"],
            '8' => ["█▀█", "█▀█", "█▄█"],
            '9' => ["█▀█", "▀▀█", "▄▄█"],
            '.' => [" ", " ", "▄"],
            '?' => ["▀▀█", " █▀", " ▄ "],
            '<' => [" ▄▀", "█  ", " ▀▄"],
            '>' => ["▀▄ ", "  █", "▄▀ "],
            _ => ["  ", "▀▀", "  "],
        };
        for (line, row) in lines.iter_mut().zip(glyph) {
            line.push_str(row);
            line.push(' ');
        }
    }
    if ascii {
        lines = [String::new(), text.into(), String::new()];
    }
    lines
}

fn legend(series: &[Series], moment: &Moment, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let last = &moment.last;
    let sum = series
        .iter()
        .map(|series| series.3(last))
        .fold(0, u64::saturating_add);
    let mut used: Vec<_> = series.iter().filter(|series| series.3(last) != 0).collect();
    // What nobody saw comes first: it must not be what there is no room for.
    used.sort_by_key(|series| {
        let seen = series.1 != UNEXPLAINED;
        (seen, std::cmp::Reverse(series.3(last)))
    });
    // Where there is no room for all names, letters have to do: `?` shows what they mean.
    let whole = |series: &Series| format!(" {} {}  ", series.1, percent(series.3(last), sum));
    let all: usize = used.iter().map(|series| whole(series).len() + 1).sum();
    let named = all.saturating_sub(2) <= area.width.into();
    let mut line = Line::default();
    let mut left = used.len();
    for series in used {
        let (letter, name, style, amount) = series;
        let text = if named || *name == UNEXPLAINED {
            whole(series)
        } else {
            format!(" {}  ", percent(amount(last), sum))
        };
        let rest = format!("+{left}");
        let room = usize::from(area.width).saturating_sub(line.width());
        // A name is whole or not there; the last one needs no room behind it.
        let needed = if left == 1 {
            text.trim_end().len()
        } else {
            text.len() + rest.len()
        };
        if needed + 1 > room {
            line.push_span(Span::styled(rest, theme.faint));
            break;
        }
        left -= 1;
        let mark = if theme.classes.is_some() {
            style.add_modifier(Modifier::REVERSED)
        } else {
            *style
        };
        line.push_span(Span::styled(letter.to_string(), mark));
        line.push_span(text);
    }
    if sum == 0 {
        line = Line::styled("nothing moved in the last step", theme.faint);
    }
    line.render(
        Rect {
            height: area.height.min(1),
            ..area
        },
        buffer,
    );
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "heights in eighths of a cell"
)]
fn stacked(series: &[Series], moment: &Moment, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let rate =
        |sample: &Sample, amount: fn(&Sample) -> u64| per_second(amount(sample), sample.step);
    let samples: Vec<_> = moment
        .history
        .iter()
        .rev()
        .take(area.width.into())
        .collect();
    let sums = samples.iter().map(|sample| {
        series
            .iter()
            .map(|series| rate(sample, series.3))
            .sum::<f64>()
    });
    let most = sums.fold(0.0, f64::max);
    if most <= 0.0 || area.height == 0 {
        return;
    }
    let middle = area.y + area.height / 2;
    if area.height >= 4 {
        // Behind the columns.
        for x in area.x..area.right() {
            buffer.set_stringn(x, middle, theme.glyph("┈", "."), 1, theme.faint);
        }
    }
    let eighths = f64::from(area.height) * 8.0;
    for (back, sample) in samples.iter().enumerate() {
        let x = area.right() - 1 - u16::try_from(back).unwrap_or(0);
        // The boundaries between the series, in eighths of a cell from below.
        let mut bounds = Vec::with_capacity(series.len());
        let mut sum = 0.0;
        for (index, (.., amount)) in series.iter().enumerate() {
            sum += rate(sample, *amount);
            bounds.push((index, (sum / most * eighths).round() as usize));
        }
        for line in 0..area.height {
            let y = area.bottom() - 1 - line;
            let bottom = usize::from(line) * 8;
            let at = |height: usize| {
                bounds
                    .iter()
                    .find(|(_, bound)| *bound > height)
                    .map(|(index, _)| *index)
            };
            let Some(low) = at(bottom) else { break };
            let filled = bounds[low].1.saturating_sub(bottom).min(8);
            let style = series[low].2;
            if theme.classes.is_none() || theme.ascii {
                if filled >= 4 || at(bottom + 4).is_some() {
                    let index = at(bottom + 3).unwrap_or(low);
                    buffer.set_stringn(x, y, series[index].0.to_string(), 1, series[index].2);
                }
                continue;
            }
            let above = at(bottom + filled)
                .filter(|_| filled < 8)
                .map_or(NOTHING, |index| series[index].2.fg.unwrap_or(NOTHING));
            buffer.set_stringn(x, y, EIGHTHS[filled], 1, style.bg(above));
        }
    }
    let mut label = |rate: f64, y: u16| {
        let text = format!("{}/s", bytes(rate as u64));
        buffer.set_stringn(area.x, y, &text, area.width.into(), theme.faint);
    };
    label(most, area.y);
    if area.height >= 4 {
        // The line lies between two cells where the height is odd: what it says is of the line.
        let share = f64::from(area.bottom() - middle) / f64::from(area.height);
        label(most * share, middle);
    }
}

/// A line of small columns in a cell.
pub(super) fn spark(values: &[u32], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let most = values.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let shown = values.iter().rev().take(area.width.into()).rev();
    for (x, value) in (area.x..area.right()).zip(shown) {
        // Not the whole height, or the lines of neighbouring rows would be one block.
        let level = u64::from(*value) * 7 / u64::from(most);
        let level = if *value > 0 { level.max(1) } else { 0 };
        let level = usize::try_from(level).unwrap_or(8);
        let text = if theme.ascii {
            [" ", "_", "_", ".", "-", "-", "=", "*", "#"][level]
        } else {
            EIGHTHS[level]
        };
        buffer.set_stringn(
            x,
            area.y,
            text,
            1,
            theme.accent.remove_modifier(Modifier::BOLD),
        );
    }
}
