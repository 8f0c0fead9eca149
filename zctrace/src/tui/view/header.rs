//! The header: what is traced, and what it costs.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::{Line, Span},
    widgets::Widget as _,
};
use unicode_width::UnicodeWidthStr as _;

use super::lines::{both_ends, cut};
use crate::{
    ledger::TargetKind,
    text::{bytes::count, escape::printable},
    tui::{moment::Moment, state::State, theme::Theme},
};

/// Columns that the first of the techniques takes which are not seen.
const NAMES: usize = 44;

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
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
        calls => Span::styled(format!("{} not followed ", count(calls)), theme.warning),
    };
    let right = Line::from(vec![loss, cost(state, moment)]);
    let room = usize::from(second.width).saturating_sub(right.width() + 1);
    let mut left = Line::styled(kernel(moment, theme, room), theme.faint);
    let room = room.saturating_sub(left.width() + 2);
    if let Some(names) = moment.not_seen().filter(|_| room >= NAMES) {
        left.push_span(Span::styled(
            format!("  {}", cut(&names, room)),
            theme.warning,
        ));
    }
    both_ends(left, &right, second, buffer);
}

pub(super) fn target(moment: &Moment) -> String {
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
