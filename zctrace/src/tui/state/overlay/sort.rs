//! A column to sort by.

use crossterm::event::KeyCode;
use ratatui::text::Line;

use super::{Next, Overlay, Panel, Pressed, lines::columns};
use crate::tui::state::State;

/// A column to sort by.
#[derive(Clone, Debug)]
pub struct SortMenu {
    at: usize,
}

/// The columns, with the one that the view is sorted by chosen.
pub(in crate::tui::state) fn of(state: &State) -> Overlay {
    Overlay::Sort(SortMenu {
        at: state.pane().sort.column.unwrap_or(0),
    })
}

impl Panel for SortMenu {
    fn title(&self) -> &'static str {
        "Sort by"
    }

    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>> {
        columns(state, width, self.at, |_| "")
    }

    fn chosen(&self) -> Option<usize> {
        Some(self.at)
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        if pressed.is(KeyCode::Enter) {
            state.sort_by(self.at);
            return Next::Closes;
        }
        self.at = pressed.moved(self.at, state.view.columns().len() - 1);
        Next::Stays
    }
}
