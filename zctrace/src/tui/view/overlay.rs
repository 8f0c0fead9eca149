//! What lies over the view, in its frame.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::{Block, BorderType, Clear, Widget as _},
};

use super::lines::ASCII_BORDER;
use crate::tui::state::{
    State,
    keys::Action,
    overlay::{Overlay, Panel},
};

/// The least width of a text.
const LEAST_WIDTH: usize = 30;

pub(super) fn draw(state: &State, overlay: &Overlay, area: Rect, buffer: &mut Buffer) {
    let panel = overlay.panel();
    let lines = panel.lines(state, area.width);
    let place = place(panel, &lines, area);
    Clear.render(place, buffer);
    let block = frame(state, panel, &lines, place);
    let inner = block.inner(place);
    block.render(place, buffer);
    text(state, panel, lines, inner, buffer);
}

/// Where an overlay with these lines lies.
fn place(panel: &dyn Panel, lines: &[Line<'_>], area: Rect) -> Rect {
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let most = |length: usize, most: u16| u16::try_from(length).unwrap_or(u16::MAX).min(most);
    let width = most(widest.max(LEAST_WIDTH) + 4, area.width);
    let height = most(lines.len() + 2, area.height);
    let free = area.height - height;
    let down = if panel.is_at_bottom() { free } else { free / 2 };
    Rect::new(
        area.x + (area.width - width) / 2,
        area.y + down,
        width,
        height,
    )
}

/// The border, with the heading and what there is to say below the text.
fn frame(state: &State, panel: &dyn Panel, lines: &[Line<'_>], place: Rect) -> Block<'static> {
    let theme = &state.theme;
    let border = if theme.ascii {
        ASCII_BORDER
    } else {
        BorderType::Rounded.to_border_set()
    };
    let mut block = Block::bordered()
        .border_set(border)
        .border_style(theme.faint)
        .title(Span::styled(format!(" {} ", panel.title()), theme.accent));
    let below = lines.len().saturating_sub(block.inner(place).height.into());
    if panel.is_text() && below > 0 {
        let more = format!(" {below} more: {} ", state.keymap.hint(Action::Down));
        block = block.title_bottom(Line::styled(more, theme.warning).right_aligned());
    }
    if let Some(footer) = panel.footer(state) {
        block = block.title_bottom(Line::styled(footer, theme.faint).left_aligned());
    }
    block
}

/// The lines that there is room for, the chosen one among them.
fn text(state: &State, panel: &dyn Panel, lines: Vec<Line<'_>>, inner: Rect, buffer: &mut Buffer) {
    let chosen = panel.chosen();
    let offset = chosen.map_or(0, |at| (at + 1).saturating_sub(inner.height.into()));
    let lines = lines.into_iter().enumerate().skip(offset);
    for (index, line) in lines.take(inner.height.into()) {
        let row = Rect::new(
            inner.x + 1,
            inner.y + u16::try_from(index - offset).unwrap_or(0),
            inner.width.saturating_sub(2),
            1,
        );
        line.render(row.intersection(inner), buffer);
        if chosen == Some(index) {
            buffer.set_style(row.intersection(inner), state.theme.chosen);
        }
    }
}
