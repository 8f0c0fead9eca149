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
    let mut spans = Vec::new();
    for (view, text) in titles(area.width) {
        let style = if view == state.view {
            theme.strong.add_modifier(Modifier::REVERSED)
        } else {
            theme.faint
        };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans).render(area, buffer);
}

/// What each tab says, as far as there is room: names that are whole come before room between them.
pub(in crate::tui) fn titles(width: u16) -> Vec<(View, String)> {
    let with = |long: bool, end: &str| -> Vec<(View, String)> {
        let tab = |view: View| {
            let (whole, short) = view.titles();
            let name = if long { whole } else { short };
            (view, format!(" {} {name}{end}", view.number()))
        };
        View::ALL.map(tab).to_vec()
    };
    let fits = |tabs: &Vec<(View, String)>| {
        let used: usize = tabs.iter().map(|(_, text)| text.len()).sum();
        used <= usize::from(width)
    };
    [with(true, " "), with(true, "")]
        .into_iter()
        .find(fits)
        .unwrap_or_else(|| with(false, ""))
}
