//! A technique that is or was measured: expected beside measured.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget as _,
};

use crate::{
    bench::{Entry, Status},
    text::{bytes::bytes, escape::printable},
    tui::{state::trial::Run, theme::Theme},
};

/// What was expected of a technique, and what came of it.
pub(super) fn draw(run: &Run, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let name = Span::styled(format!(" {}  ", run.name), theme.strong);
    let mut lines = Vec::new();
    match &run.result {
        None => lines.push(Line::from(vec![
            name,
            "is being measured: its own probes are attached first".into(),
        ])),
        Some(Err(why)) => lines.push(Line::from(vec![
            name,
            Span::styled(printable(why), theme.alarm),
        ])),
        Some(Ok(entry)) => {
            let (word, style) = match entry.status {
                Status::Ok => ("as expected", theme.good),
                Status::Unverified => (
                    "not verified: what was copied could not be seen",
                    theme.warning,
                ),
                Status::Differs => ("differs from what was expected", theme.alarm),
                Status::Skipped => ("cannot be done here", theme.warning),
            };
            lines.push(Line::from(vec![name, Span::styled(word, style)]));
            let why = entry.reason.iter().chain(entry.differences.first());
            lines.extend(why.map(|why| Line::styled(format!(" {}", printable(why)), style)));
            if entry.bytes != 0 {
                lines.push(Line::raw(format!(" {}", figures(entry))));
            }
        }
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        line.render(Rect::new(area.x, y, area.width, 1), buffer);
    }
}

fn figures(entry: &Entry) -> String {
    let per_byte = |figure: Option<f64>| {
        figure.map_or_else(|| "?".to_owned(), |figure| format!("{figure:.2}"))
    };
    format!(
        "{} carried in {:.2} s; copies per carried byte: {} expected, {} measured",
        bytes(entry.bytes),
        entry.seconds,
        per_byte(entry.expected_copies_per_carried_byte),
        per_byte(entry.measured_copies_per_carried_byte),
    )
}
