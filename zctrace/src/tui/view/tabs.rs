//! The names of the views.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
    widgets::Widget as _,
};

use crate::tui::{rows::views::View, state::State};

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
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
