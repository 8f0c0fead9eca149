//! A workload: expected beside measured.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget as _,
};

use super::lines::cut;
use crate::{
    text::{bytes::bytes, escape::printable},
    tui::{state::trial::Run, theme::Theme},
};

/// What a workload was to do beside what was measured.
pub(super) fn draw(run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) {
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
