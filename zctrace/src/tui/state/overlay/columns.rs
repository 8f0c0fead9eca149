//! Which columns are shown.

use crossterm::event::KeyCode;
use ratatui::text::Line;

use super::{Next, Panel, Pressed, lines::columns};
use crate::tui::state::State;

/// Columns to show.
#[derive(Clone, Debug, Default)]
pub struct ColumnsMenu {
    at: usize,
}

impl Panel for ColumnsMenu {
    fn title(&self) -> &'static str {
        "Columns: space chooses"
    }

    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>> {
        let shown = &state.pane().shown;
        columns(state, width, self.at, |index| {
            if shown[index] { "[x] " } else { "[ ] " }
        })
    }

    fn chosen(&self) -> Option<usize> {
        Some(self.at)
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        if pressed.is(KeyCode::Enter) {
            return Next::Closes;
        }
        if pressed.is(KeyCode::Char(' ')) {
            let shown = &mut state.pane_mut().shown[self.at];
            *shown = !*shown;
        }
        self.at = pressed.moved(self.at, state.view.columns().len() - 1);
        Next::Stays
    }
}
