//! What lies over the view: a file for each overlay, with its text, its keys and what it does.

mod columns;
mod detail;
pub(super) mod explained;
mod export;
pub(super) mod filter;
mod help;
mod lines;
pub(super) mod parameters;
mod seek;
pub(super) mod sort;
mod target;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::Line;

pub use self::{
    columns::ColumnsMenu, detail::Detail, explained::Explained, export::ExportMenu,
    filter::FilterInput, help::Help, parameters::ParametersInput, seek::SeekInput, sort::SortMenu,
    target::TargetInput,
};

use super::{Effect, State, keys::Action};

/// What lies over the view, the last one on top.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The keys.
    Help(Help),
    /// Text for the filter.
    Filter(FilterInput),
    /// A name for another target.
    Target(TargetInput),
    /// A place in the recording.
    Seek(SeekInput),
    /// Parameters of techniques.
    Parameters(ParametersInput),
    /// A column to sort by.
    Sort(SortMenu),
    /// Columns to show.
    Columns(ColumnsMenu),
    /// A format to export in.
    Export(ExportMenu),
    /// Every number of the chosen row.
    Detail(Detail),
    /// What the words of the chosen row mean.
    Explained(Explained),
}

impl Overlay {
    /// What this one says and does.
    pub(in crate::tui) fn panel(&self) -> &dyn Panel {
        match self {
            Self::Help(panel) => panel,
            Self::Filter(panel) => panel,
            Self::Target(panel) => panel,
            Self::Seek(panel) => panel,
            Self::Parameters(panel) => panel,
            Self::Sort(panel) => panel,
            Self::Columns(panel) => panel,
            Self::Export(panel) => panel,
            Self::Detail(panel) => panel,
            Self::Explained(panel) => panel,
        }
    }

    fn panel_mut(&mut self) -> &mut dyn Panel {
        match self {
            Self::Help(panel) => panel,
            Self::Filter(panel) => panel,
            Self::Target(panel) => panel,
            Self::Seek(panel) => panel,
            Self::Parameters(panel) => panel,
            Self::Sort(panel) => panel,
            Self::Columns(panel) => panel,
            Self::Export(panel) => panel,
            Self::Detail(panel) => panel,
            Self::Explained(panel) => panel,
        }
    }
}

/// What every overlay can say and do.
pub(in crate::tui) trait Panel {
    /// Its heading.
    fn title(&self) -> &'static str;

    /// Its text, on a screen of this width.
    fn lines(&self, state: &State, width: u16) -> Vec<Line<'static>>;

    /// What there is to say below its text.
    fn footer(&self, _state: &State) -> Option<String> {
        None
    }

    /// The line that is chosen in it; the text moves with that.
    fn chosen(&self) -> Option<usize> {
        None
    }

    /// Whether it is a text to read, which the wheel moves.
    fn is_text(&self) -> bool {
        false
    }

    /// Whether something is typed into it: letters are no keys then.
    fn is_typed(&self) -> bool {
        false
    }

    /// Whether it lies at the bottom, so that the rows stay in sight.
    fn is_at_bottom(&self) -> bool {
        false
    }

    /// Takes back what it has done, because the user leaves it.
    fn cancel(&self, _state: &mut State) {}

    /// What a key does in it.
    fn press(&mut self, state: &mut State, pressed: &Pressed) -> Next;
}

/// A key, and what it is for by the table of keys.
pub(in crate::tui) struct Pressed {
    key: KeyEvent,
    action: Option<Action>,
}

impl Pressed {
    fn is(&self, code: KeyCode) -> bool {
        self.key.code == code
    }

    /// Where a place up to `last` is moved to.
    fn moved(&self, at: usize, last: usize) -> usize {
        match self.action {
            Some(Action::Up) => at.saturating_sub(1),
            Some(Action::Down) => (at + 1).min(last),
            Some(Action::Top) => 0,
            Some(Action::Bottom) => last,
            Some(Action::PageDown | Action::HalfDown) => (at + 10).min(last),
            Some(Action::PageUp | Action::HalfUp) => at.saturating_sub(10),
            _ => at,
        }
    }

    /// Where the first line of a text with this last beginning is moved to.
    fn scrolled(&self, line: u16, last: usize) -> u16 {
        self.moved(line.into(), last).try_into().unwrap_or(0)
    }
}

/// What becomes of an overlay after a key.
pub(in crate::tui) enum Next {
    /// It stays open.
    Stays,
    /// It is closed.
    Closes,
    /// It is closed, and something is to be done outside.
    Does(Effect),
    /// It stays open below another one.
    Opens(Overlay),
}

/// A key for an overlay that has been taken off; it is put back unless the key closes it.
pub(super) fn press(
    state: &mut State,
    mut overlay: Overlay,
    key: KeyEvent,
    action: Option<Action>,
) -> Vec<Effect> {
    let panel = overlay.panel_mut();
    let ends = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    if ends || (action == Some(Action::Quit) && !panel.is_typed()) {
        return vec![Effect::Quit];
    }
    if key.code == KeyCode::Esc {
        panel.cancel(state);
        return Vec::new();
    }
    match panel.press(state, &Pressed { key, action }) {
        Next::Stays => state.overlays.push(overlay),
        Next::Closes => {}
        Next::Does(effect) => return vec![effect],
        Next::Opens(other) => state.overlays.extend([overlay, other]),
    }
    Vec::new()
}
