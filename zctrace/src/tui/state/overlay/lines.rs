//! Lines that several overlays have.

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};
use tui_input::Input;

use crate::{
    text::escape::printable,
    tui::{rows::Column, state::State, theme::Theme},
};

/// A key, or a name, and what there is to say about it.
pub(super) fn named(theme: &Theme, name: &str, text: &str) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!("{name:<18} "), theme.accent),
        text.to_owned().into(),
    ])
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

/// The columns of the view, each with a mark before its name.
pub(super) fn columns(state: &State, mark: impl Fn(usize) -> &'static str) -> Vec<Line<'static>> {
    let columns = state.view.columns();
    let longest = columns.iter().map(|column| column.name.len()).max();
    let line = |(index, column): (usize, &Column)| {
        let name = format!("{}{:2$}", mark(index), column.name, longest.unwrap_or(0));
        named(&state.theme, &name, column.help)
    };
    columns.iter().enumerate().map(line).collect()
}
