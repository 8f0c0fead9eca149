//! A format to export in.

use crossterm::event::KeyCode;
use ratatui::text::Line;

use super::{Next, Panel, Pressed, lines::named};
use crate::tui::state::{Effect, State, format::Format};

/// The formats, each with its key.
const FORMATS: [(char, Format, &str); 4] = [
    ('t', Format::Text, "the screen as text"),
    ('s', Format::Svg, "the screen as SVG"),
    ('c', Format::Csv, "the rows as CSV"),
    ('j', Format::Json, "the rows as JSON"),
];

/// A format to export in.
#[derive(Clone, Debug)]
pub struct ExportMenu;

impl Panel for ExportMenu {
    fn title(&self) -> &'static str {
        "Export"
    }

    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>> {
        let lines =
            |(key, _, text): (char, _, _)| named(&state.theme, &key.to_string(), text, width);
        FORMATS.into_iter().flat_map(lines).collect()
    }

    fn press(&mut self, _state: &mut State, pressed: &Pressed) -> Next {
        let chosen = FORMATS
            .iter()
            .find(|(key, ..)| pressed.is(KeyCode::Char(*key)));
        chosen.map_or(Next::Stays, |(_, format, _)| {
            Next::Does(Effect::Save(*format))
        })
    }
}
