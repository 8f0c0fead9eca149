//! The keys of the view, and what its marks and columns mean.

use ratatui::text::Line;

use super::{Next, Panel, Pressed, lines::named};
use crate::{
    text::escape::printable,
    tui::state::{State, keys::Action, reading},
};

/// The keys.
#[derive(Clone, Debug, Default)]
pub struct Help {
    /// The first line on screen.
    line: u16,
}

impl Panel for Help {
    fn title(&self) -> &'static str {
        "Help"
    }

    fn lines(&self, state: &State, _width: u16) -> Vec<Line<'static>> {
        let theme = &state.theme;
        let lines = reading::help(state).into_iter();
        lines
            .map(|(name, text)| match &*text {
                "" => Line::styled(name, theme.strong),
                text => named(theme, &printable(&name), text),
            })
            .skip(self.line.into())
            .collect()
    }

    fn is_text(&self) -> bool {
        true
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        if pressed.action == Some(Action::Help) {
            return Next::Closes;
        }
        let last = reading::last_beginning(state, reading::help(state).len());
        self.line = pressed.scrolled(self.line, last);
        Next::Stays
    }
}
