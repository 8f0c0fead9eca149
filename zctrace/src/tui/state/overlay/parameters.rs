//! How much techniques carry when they are measured.

use crossterm::event::{Event, KeyCode};
use ratatui::text::Line;
use tui_input::{Input, backend::crossterm::EventHandler as _};

use super::{
    Next, Overlay, Panel, Pressed,
    lines::{error_or, typed},
};
use crate::tui::state::State;

/// Parameters of techniques.
#[derive(Clone, Debug)]
pub struct ParametersInput {
    input: Input,
    /// Why they cannot be so.
    error: Option<String>,
}

/// The parameters in force, to be changed.
pub(in crate::tui::state) fn of(state: &State) -> Overlay {
    Overlay::Parameters(ParametersInput {
        input: Input::new(state.parameters.shown()),
        error: None,
    })
}

impl Panel for ParametersInput {
    fn title(&self) -> &'static str {
        "Parameters"
    }

    fn lines(&self, state: &State, _width: u16) -> Vec<Line<'static>> {
        let error = self.error.as_deref();
        vec![
            typed(&self.input),
            error_or(&state.theme, error, "bytes to carry, and bytes in a call"),
        ]
    }

    fn is_typed(&self) -> bool {
        true
    }

    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next {
        if pressed.is(KeyCode::Enter) {
            match state.parameters.parse(self.input.value()) {
                Ok(parameters) => {
                    state.parameters = parameters;
                    return Next::Closes;
                }
                Err(error) => self.error = Some(error),
            }
        } else {
            self.input.handle_event(&Event::Key(pressed.key));
            self.error = None;
        }
        Next::Stays
    }
}
