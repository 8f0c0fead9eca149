//! What a click and the wheel do. Nothing can be done by the mouse alone.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{Effect, State, act::act, keys::Action, layout, overlay};
use crate::tui::{
    rows::views::View,
    view::{table, tabs},
};

/// Rows that one step of the wheel moves by.
const STEP: usize = 3;

/// What an event of the mouse changes.
pub(super) fn update(state: &mut State, event: MouseEvent) -> Vec<Effect> {
    let at = Position::new(event.column, event.row);
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) if state.overlays.is_empty() => click(state, at),
        // Next to what lies over the view: it closes, unless something is being typed.
        MouseEventKind::Down(MouseButton::Left) => {
            if !is_typing(state) {
                state.overlays.pop();
            }
            Vec::new()
        }
        MouseEventKind::ScrollUp => turn(state, Action::Up),
        MouseEventKind::ScrollDown => turn(state, Action::Down),
        _ => Vec::new(),
    }
}

fn is_typing(state: &State) -> bool {
    let top = state.overlays.last();
    top.is_some_and(|overlay| overlay.panel().is_typed())
}

/// A step of the wheel, in the rows or in the text that lies over them.
fn turn(state: &mut State, action: Action) -> Vec<Effect> {
    for _ in 0..STEP {
        match state.overlays.pop() {
            None => drop(act(state, action)),
            Some(over) if over.panel().is_text() => {
                let no_key = KeyEvent::new(KeyCode::Null, KeyModifiers::NONE);
                overlay::press(state, over, no_key, Some(action));
            }
            Some(other) => state.overlays.push(other),
        }
    }
    Vec::new()
}

fn click(state: &mut State, at: Position) -> Vec<Effect> {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let regions = layout::regions(state.facts(), area);
    if regions.tabs.contains(at) {
        let mut left = regions.tabs.x;
        for (view, text) in tabs::titles(regions.tabs.width) {
            let width = u16::try_from(text.len()).unwrap_or(0);
            if (left..left + width).contains(&at.x) {
                state.show(view);
                break;
            }
            left += width;
        }
        return Vec::new();
    }
    // Flames are no rows.
    let is_flames = state.view == View::Stacks && state.flames;
    if is_flames || state.order.is_empty() || !regions.table.contains(at) {
        return Vec::new();
    }
    if at.y == regions.table.y {
        sort(state, regions.table, at.x);
        return Vec::new();
    }
    let pane = state.pane();
    let row = pane.offset + usize::from(at.y - regions.table.y - 1);
    if row >= state.order.len() {
        return Vec::new();
    }
    if row == pane.at && pane.chosen.is_some() {
        return act(state, Action::Open);
    }
    state.choose(row);
    Vec::new()
}

/// Sorts by the column under the mouse, or the other way round.
fn sort(state: &mut State, area: Rect, x: u16) {
    let Some(moment) = state.shown.clone() else {
        return;
    };
    let Some(column) = table::column_at(state, &moment, area, x) else {
        return;
    };
    if state.has(Action::Sort) {
        state.sort_by(column);
    }
}
