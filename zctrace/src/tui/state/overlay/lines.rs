//! Lines that several overlays have.

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};
use tui_input::Input;
use unicode_width::UnicodeWidthStr as _;

use crate::{
    text::{columns::cut, escape::printable},
    tui::{
        rows::Column,
        state::{State, reading::FRAME},
        theme::Theme,
        view::lines::wrapped,
    },
};

/// Columns for a name, and the one behind them.
const NAME: usize = 18;

/// A key, or a name, and what there is to say about it, in as many lines as that takes on a screen
/// of this width.
pub(super) fn named(theme: &Theme, name: &str, text: &str, width: u16) -> Vec<Line<'static>> {
    let name = format!("{name:<NAME$} ");
    let beside = name.width();
    let line = |(index, text): (usize, String)| match index {
        0 => Line::from(vec![Span::styled(name.clone(), theme.accent), text.into()]),
        _ => Line::raw(format!("{:beside$}{text}", "")),
    };
    let lines = wrapped(text, room(beside, width)).into_iter();
    lines.enumerate().map(line).collect()
}

/// The room beside a name on a screen of this width.
fn room(beside: usize, width: u16) -> usize {
    usize::from(width.saturating_sub(FRAME)).saturating_sub(beside)
}

/// What has been typed so far, with the cursor behind it.
pub(super) fn typed(input: &Input) -> Line<'static> {
    Line::from(vec![
        "> ".into(),
        printable(input.value()).into(),
        Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
    ])
}

/// Why what was typed is wrong, or what can be typed.
pub(super) fn error_or(theme: &Theme, error: Option<&str>, hint: &'static str) -> Line<'static> {
    match error {
        Some(error) => Line::styled(printable(error), theme.alarm),
        None => Line::styled(hint, theme.faint),
    }
}

/// The columns of the view, each with a mark before its name. Only the chosen one has more than a
/// line where its text needs it, so that its number is that of its line.
pub(super) fn columns(
    state: &State,
    width: u16,
    chosen: usize,
    mark: impl Fn(usize) -> &'static str,
) -> Vec<Line<'static>> {
    let columns = state.view.columns();
    let longest = columns.iter().map(|column| column.name.len()).max();
    let lines = |(index, column): (usize, &Column)| {
        let name = format!("{}{:2$}", mark(index), column.name, longest.unwrap_or(0));
        if index == chosen {
            return named(&state.theme, &name, column.help, width);
        }
        let room = room(name.width().max(NAME) + 1, width);
        let line = [
            Span::styled(format!("{name:<NAME$} "), state.theme.accent),
            cut(column.help, room).into(),
        ];
        vec![Line::from_iter(line)]
    };
    columns.iter().enumerate().flat_map(lines).collect()
}
