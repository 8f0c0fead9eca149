//! Every number of the chosen row.

use ratatui::text::Line;

use super::{Next, Panel, Pressed, explained, lines::named};
use crate::tui::state::{State, keys::Action, reading};

/// Every number of the chosen row.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// The first line on screen.
    line: u16,
}

impl Panel for Detail {
    fn title(&self) -> &'static str {
        "Row"
    }

    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>> {
        let lines = text(state, width).into_iter();
        lines.skip(self.line.into()).collect()
    }

    fn is_text(&self) -> bool {
        true
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        match pressed.action {
            Some(Action::Explain) => explained::of(state).map_or(Next::Stays, Next::Opens),
            Some(Action::Open) => Next::Closes,
            _ => {
                let last = reading::last_beginning(state, text(state, state.size.0).len());
                self.line = pressed.scrolled(self.line, last);
                Next::Stays
            }
        }
    }
}

/// All of it, in lines that fit.
fn text(state: &State, width: u16) -> Vec<Line<'static>> {
    let lines = |(name, text): (String, String)| named(&state.theme, &name, &text, width);
    reading::detail(state).into_iter().flat_map(lines).collect()
}
