//! Lines and characters that panels share.

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Color,
    text::Line,
    widgets::Widget as _,
};
use unicode_width::UnicodeWidthStr as _;

use crate::text::columns::pieces;

/// Puts one line to the left and one to the right, which goes first where both do not fit.
pub(super) fn both_ends(left: Line<'_>, right: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    let width = u16::try_from(right.width())
        .unwrap_or(area.width)
        .min(area.width);
    let [start, end] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    left.render(
        Rect {
            width: start.width.saturating_sub(1),
            ..start
        },
        buffer,
    );
    right.render(end, buffer);
}

/// Cuts a text to a width in columns of the terminal.
pub(super) fn cut(text: &str, width: usize) -> String {
    crate::text::columns::cut(text, width)
}

/// A text in lines of this width, broken between words, and within those that are longer.
pub(in crate::tui) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').flat_map(|word| pieces(word, width)) {
        let last = lines
            .last_mut()
            .filter(|last| last.is_empty() || last.width() + 1 + word.width() <= width);
        match last {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) => {
                last.push(' ');
                last.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text without what an ASCII terminal cannot show.
pub(in crate::tui) fn ascii(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_ascii() { char } else { '?' })
        .collect()
}

/// Borders of overlays and charts without line-drawing characters.
pub(super) const ASCII_BORDER: ratatui::symbols::border::Set<'static> =
    ratatui::symbols::border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    };

/// The colour behind nothing.
pub(super) const NOTHING: Color = Color::Reset;
