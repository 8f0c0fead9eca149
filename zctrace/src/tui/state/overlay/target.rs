//! A name for another target.

use crossterm::event::{Event, KeyCode};
use ratatui::text::Line;
use tui_input::{Input, backend::crossterm::EventHandler as _};

use super::{
    Next, Panel, Pressed,
    lines::{error_or, typed},
};
use crate::tui::state::{Effect, State};

/// A name for another target.
#[derive(Clone, Debug, Default)]
pub struct TargetInput {
    input: Input,
}

impl Panel for TargetInput {
    fn title(&self) -> &'static str {
        "Target"
    }

    fn lines(&self, state: &State, _width: u16) -> Vec<Line<'static>> {
        let hint = "pid 1234 | comm nginx | port 8080 | cgroup /path | system";
        vec![typed(&self.input), error_or(&state.theme, None, hint)]
    }

    fn is_typed(&self) -> bool {
        true
    }

    fn press(&mut self, _state: &mut State, pressed: &Pressed) -> Next {
        if pressed.is(KeyCode::Enter) {
            return Next::Does(Effect::Switch(self.input.value().trim().to_owned()));
        }
        self.input.handle_event(&Event::Key(pressed.key));
        Next::Stays
    }
}
