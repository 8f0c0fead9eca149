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

    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>> {
        let lines = text(state, width).into_iter();
        lines.skip(self.line.into()).collect()
    }

    fn is_text(&self) -> bool {
        true
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        if pressed.action == Some(Action::Help) {
            return Next::Closes;
        }
        let last = reading::last_beginning(state, text(state, state.size.0).len());
        self.line = pressed.scrolled(self.line, last);
        Next::Stays
    }
}

/// All of it, in lines that fit.
fn text(state: &State, width: u16) -> Vec<Line<'static>> {
    let theme = &state.theme;
    let lines = |(name, text): (String, String)| match &*text {
        "" => vec![Line::styled(name, theme.strong)],
        text => named(theme, &printable(&name), text, width),
    };
    reading::help(state).into_iter().flat_map(lines).collect()
}
