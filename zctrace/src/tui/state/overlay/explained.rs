//! What `zctrace explain` says about the words of the chosen row.

use ratatui::text::Line;

use super::{Next, Overlay, Panel, Pressed};
use crate::{
    explain::Entry,
    tui::{
        state::{State, keys::Action, reading},
        view::lines::ascii,
    },
};

/// What the words of the chosen row mean.
#[derive(Clone, Debug)]
pub struct Explained {
    topics: Vec<Entry>,
    /// The topic on screen, and its first line there.
    at: usize,
    line: u16,
}

/// What there is to say about the chosen row; a notice where that is nothing.
pub(in crate::tui::state) fn of(state: &mut State) -> Option<Overlay> {
    let topics = reading::topics(state);
    if topics.is_empty() {
        state.notice = Some("nothing in this row has an explanation".into());
        return None;
    }
    Some(Overlay::Explained(Explained {
        topics,
        at: 0,
        line: 0,
    }))
}

impl Panel for Explained {
    fn title(&self) -> &'static str {
        "Explained"
    }

    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>> {
        let lines = reading::explained(&self.topics[self.at], width).into_iter();
        lines
            .map(|line| {
                Line::raw(if state.theme.ascii {
                    ascii(&line)
                } else {
                    line
                })
            })
            .skip(self.line.into())
            .collect()
    }

    fn footer(&self, state: &State) -> Option<String> {
        let count = self.topics.len();
        if count < 2 {
            return None;
        }
        let next = self.topics[(self.at + 1) % count].names().next();
        Some(format!(
            " {} of {count}; {}: {} ",
            self.at + 1,
            state.keymap.hint(Action::NextView),
            next.unwrap_or_default()
        ))
    }

    fn is_text(&self) -> bool {
        true
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        let count = self.topics.len();
        (self.at, self.line) = match pressed.action {
            Some(Action::Explain | Action::Open) => return Next::Closes,
            Some(Action::NextView) => ((self.at + 1) % count, 0),
            Some(Action::PreviousView) => ((self.at + count - 1) % count, 0),
            _ => {
                let lines = reading::explained(&self.topics[self.at], state.size.0).len();
                let last = reading::last_beginning(state, lines);
                (self.at, pressed.scrolled(self.line, last))
            }
        };
        Next::Stays
    }
}
