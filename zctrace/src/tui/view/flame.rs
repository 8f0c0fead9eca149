//! Sampled stacks as flames: callers above, what they call below, as wide as the bytes copied there.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use super::lines::{ascii, cut};
use crate::{
    text::{bytes::bytes, escape::printable},
    tui::{
        moment::{
            Moment,
            tree::{Kind, Node},
        },
        state::State,
        theme::Theme,
    },
};

/// Draws the flames, and below them the name of the chosen one.
pub(super) fn draw(state: &State, moment: &Moment, area: Rect, buffer: &mut Buffer) {
    let tree = moment.stacks.tree(state.whose, &moment.names);
    let theme = &state.theme;
    let Some(height) = area.height.checked_sub(1).filter(|height| *height > 0) else {
        return;
    };
    let chosen = state.order.get(state.pane().at).map(|row| *row as usize);
    let zoom = state.zoom.and_then(|id| tree.find(id));
    // What the width of the screen stands for.
    let (begin, length) = match zoom.map(|zoom| &tree.nodes[zoom]) {
        Some(node) => (node.start, node.bytes),
        None => (0, tree.total),
    };
    if length == 0 {
        return;
    }
    // The chosen one is on screen, however deep it is.
    let deepest = chosen.map_or(0, |chosen| tree.nodes[chosen].depth);
    let hidden = (deepest + 1).saturating_sub(height);
    let x = |at: u64| {
        let from = u128::from(at.saturating_sub(begin).min(length));
        let cells = from * u128::from(area.width) / u128::from(length);
        area.x + u16::try_from(cells).unwrap_or(area.width)
    };
    for (index, node) in tree.nodes.iter().enumerate() {
        let Some(line) = node.depth.checked_sub(hidden).filter(|line| *line < height) else {
            continue;
        };
        let end = node.start.saturating_add(node.bytes);
        if end <= begin || node.start >= begin.saturating_add(length) {
            continue;
        }
        let (left, right) = (x(node.start), x(end));
        let mut style = style(node, theme);
        if chosen == Some(index) {
            style = style.add_modifier(Modifier::REVERSED | Modifier::BOLD);
        }
        let y = area.y + line;
        // A mark where it begins tells it from its neighbour, whatever the colours.
        for at in left..right {
            let mark = if at == left {
                theme.glyph("▏", "|")
            } else {
                " "
            };
            buffer.set_stringn(at, y, mark, 1, style);
        }
        if right > left + 1 {
            let room = usize::from(right - left - 1);
            let name = cut(&printable(&node.name), room);
            let name = if theme.ascii { ascii(&name) } else { name };
            buffer.set_stringn(left + 1, y, name, room, style);
        }
    }
    if let Some(node) = chosen.and_then(|chosen| tree.nodes.get(chosen)) {
        let text = format!(
            " {}  {} of {}",
            printable(&node.name),
            bytes(node.bytes),
            bytes(tree.total)
        );
        let text = if theme.ascii { ascii(&text) } else { text };
        let y = area.bottom() - 1;
        buffer.set_stringn(area.x, y, text, area.width.into(), theme.strong);
    }
}

fn style(node: &Node, theme: &Theme) -> Style {
    let Some(classes) = theme.classes else {
        return Style::new();
    };
    let colour = match node.kind {
        Kind::Process => return theme.strong.add_modifier(Modifier::REVERSED),
        Kind::User => classes[0],
        Kind::Kernel => classes[2],
        Kind::Class => classes[1],
        Kind::Note => Color::DarkGray,
    };
    // Neighbours above each other differ a little.
    let style = Style::new().fg(theme.on_bar).bg(colour);
    if node.depth.is_multiple_of(2) {
        style
    } else {
        style.add_modifier(Modifier::DIM)
    }
}
