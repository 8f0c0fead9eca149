//! The keys at the bottom.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget as _,
};
use unicode_width::UnicodeWidthStr as _;

use crate::tui::state::{State, keys::Where};

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
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
        if binding.short.is_empty() || key.is_empty() || !state.has(binding.action) {
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
