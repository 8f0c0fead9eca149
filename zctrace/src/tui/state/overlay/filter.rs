//! Text for the filter, which applies as it is typed.

use crossterm::event::{Event, KeyCode};
use ratatui::text::Line;
use tui_input::{Input, backend::crossterm::EventHandler as _};

use super::{Next, Overlay, Panel, Pressed, lines::typed};
use crate::tui::{
    state::{State, filter::Filter, reading::FRAME},
    view::lines::wrapped,
};

/// What can be typed.
const SYNTAX: &str = "FIELD OP VALUE, joined by and, or, not; OP is = != < <= > >= ~ !~";

/// Text for the filter.
#[derive(Clone, Debug)]
pub struct FilterInput {
    input: Input,
    /// Why it is wrong.
    error: Option<String>,
    /// What was in force before.
    before: Option<(Filter, String)>,
}

/// The filter in force, to be changed.
pub(in crate::tui::state) fn of(state: &State) -> Overlay {
    let before = state.pane().filter.clone();
    let text = before.as_ref().map(|(_, text)| text.clone());
    Overlay::Filter(FilterInput {
        input: Input::new(text.unwrap_or_default()),
        error: None,
        before,
    })
}

impl Panel for FilterInput {
    fn title(&self) -> &'static str {
        "Filter"
    }

    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>> {
        let theme = &state.theme;
        let columns = state.view.columns().iter();
        let names: Vec<_> = columns.map(|column| column.name).collect();
        let mut lines = vec![typed(&self.input)];
        lines.push(match &self.error {
            Some(error) => Line::styled(error.clone(), theme.warning),
            None => Line::styled(SYNTAX, theme.faint),
        });
        let width = usize::from(width.saturating_sub(FRAME));
        let fields = wrapped(&format!("fields: {}", names.join(" ")), width);
        lines.extend(
            fields
                .into_iter()
                .map(|line| Line::styled(line, theme.faint)),
        );
        lines
    }

    fn is_typed(&self) -> bool {
        true
    }

    fn is_at_bottom(&self) -> bool {
        true
    }

    fn cancel(&self, state: &mut State) {
        state.pane_mut().filter.clone_from(&self.before);
        state.arrange();
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        if pressed.is(KeyCode::Enter) && self.error.is_none() {
            return Next::Closes;
        }
        self.input.handle_event(&Event::Key(pressed.key));
        self.apply(state);
        state.arrange();
        Next::Stays
    }
}

impl FilterInput {
    /// Puts what has been typed in force; half a word changes nothing yet.
    fn apply(&mut self, state: &mut State) {
        let text = self.input.value().trim().to_owned();
        self.error = None;
        if text.is_empty() {
            state.pane_mut().filter = None;
            return;
        }
        match Filter::parse(&text, state.view.columns()) {
            Ok(filter) => state.pane_mut().filter = Some((filter, text)),
            Err(error) => self.error = Some(error),
        }
    }
}
