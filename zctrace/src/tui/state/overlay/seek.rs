//! A place in the recording to go to.

use crossterm::event::{Event, KeyCode};
use ratatui::text::Line;
use tui_input::{Input, backend::crossterm::EventHandler as _};

use super::{
    Next, Panel, Pressed,
    lines::{error_or, typed},
};
use crate::tui::state::{
    Effect, State,
    position::{Control, When},
};

/// A place in the recording.
#[derive(Clone, Debug, Default)]
pub struct SeekInput {
    input: Input,
    /// Why it is none.
    error: Option<String>,
}

impl Panel for SeekInput {
    fn title(&self) -> &'static str {
        "Go to"
    }

    fn lines(&self, state: &State, _width: u16) -> Vec<Line<'static>> {
        let error = self.error.as_deref();
        vec![
            typed(&self.input),
            error_or(&state.theme, error, "90s | 1m30s | 50% | #12"),
        ]
    }

    fn is_typed(&self) -> bool {
        true
    }

    fn press(&mut self, _state: &mut State, pressed: &Pressed) -> Next {
        if pressed.is(KeyCode::Enter) {
            match When::parse(self.input.value()) {
                Ok(when) => return Next::Does(Effect::Replay(Control::Seek(when))),
                Err(error) => self.error = Some(error),
            }
        } else {
            self.input.handle_event(&Event::Key(pressed.key));
            self.error = None;
        }
        Next::Stays
    }
}
