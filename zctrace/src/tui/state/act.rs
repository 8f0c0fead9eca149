//! What each key does while nothing lies over the view.

use super::{
    Effect, State,
    keys::Action,
    layout,
    overlay::{
        ColumnsMenu, ExportMenu, Help, Overlay, SeekInput, TargetInput, explained, filter,
        parameters, sort,
    },
    position::Control,
};
use crate::tui::rows::views::View;

/// Does what a key asks for.
pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    let page = layout::page(state.size, state.facts()).max(1);
    let at = state.pane().at;
    let last = state.order.len().saturating_sub(1);
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Close => state.close(),
        Action::Open => state.open(),
        Action::NextView => state.show(neighbour(state.view, 1)),
        Action::PreviousView => state.show(neighbour(state.view, View::ALL.len() - 1)),
        Action::View(number) => show_number(state, number),
        Action::Up => state.choose(at.saturating_sub(1)),
        Action::Down => state.choose(at + 1),
        Action::PageUp => state.choose(at.saturating_sub(page)),
        Action::PageDown => state.choose(at + page),
        Action::HalfUp => state.choose(at.saturating_sub(page / 2)),
        Action::HalfDown => state.choose(at + page / 2),
        Action::Top => state.choose(0),
        Action::Bottom => state.choose(last),
        Action::NextMatch => state.choose(if at >= last { 0 } else { at + 1 }),
        Action::PreviousMatch => state.choose(if at == 0 { last } else { at - 1 }),
        Action::Follow => follow(state),
        Action::Group => group(state),
        Action::Help => state.overlays.push(Overlay::Help(Help::default())),
        Action::Explain => {
            let overlay = explained::of(state);
            state.overlays.extend(overlay);
        }
        Action::Filter => state.overlays.push(filter::of(state)),
        Action::Sort => choose_order(state),
        Action::Invert => invert(state),
        Action::Columns => {
            let overlay = Overlay::Columns(ColumnsMenu::default());
            state.overlays.push(overlay);
        }
        Action::Export => state.overlays.push(Overlay::Export(ExportMenu)),
        Action::Target => choose_target(state),
        Action::Parameters => state.overlays.push(parameters::of(state)),
        Action::Freeze if state.replay.is_some() => return vec![Effect::Replay(Control::Pause)],
        Action::Freeze => freeze(state),
        Action::Reset => {
            state.notice = Some("counting from zero".into());
            return vec![Effect::Rebase];
        }
        Action::Start => return start(state),
        Action::Stop => return vec![Effect::Stop],
        Action::Flames => {
            state.flames = !state.flames;
            state.arrange();
        }
        Action::Unfold => {
            state.unfolded = !state.unfolded;
            state.folds.clear();
            state.arrange();
        }
        Action::Small => {
            state.small = !state.small;
            state.arrange();
        }
        Action::StepBack => return vec![Effect::Replay(Control::Step(-1))],
        Action::StepOn => return vec![Effect::Replay(Control::Step(1))],
        Action::LeapBack => return vec![Effect::Replay(Control::Step(-10))],
        Action::LeapOn => return vec![Effect::Replay(Control::Step(10))],
        Action::Slower => return vec![Effect::Replay(Control::Slower)],
        Action::Faster => return vec![Effect::Replay(Control::Faster)],
        Action::Seek => state.overlays.push(Overlay::Seek(SeekInput::default())),
    }
    Vec::new()
}

/// The view so many further on, from the last to the first.
fn neighbour(view: View, distance: usize) -> View {
    View::ALL[(view as usize + distance) % View::ALL.len()]
}

fn show_number(state: &mut State, number: u8) {
    if let Some(view) = View::ALL.get(usize::from(number) - 1) {
        state.show(*view);
    }
}

/// Follows the chosen row, or no longer.
fn follow(state: &mut State) {
    let followed = !state.pane().followed;
    state.choose(state.pane().at);
    state.pane_mut().followed = followed;
    state.notice = Some(
        if followed {
            "following this row until you select another"
        } else {
            "the row is not followed any more"
        }
        .into(),
    );
}

/// Makes one row of the processes of a command, or several again.
fn group(state: &mut State) {
    state.grouped = Some(!state.is_grouped());
    let pane = &mut state.panes[View::Overview as usize];
    (pane.chosen, pane.at, pane.followed) = (None, 0, false);
    state.arrange();
}

fn choose_order(state: &mut State) {
    if state.view == View::Stacks {
        state.notice = Some("the tree is sorted by bytes".into());
    } else {
        state.overlays.push(sort::of(state));
    }
}

/// Sorts the other way round; a tree has one order only.
fn invert(state: &mut State) {
    if state.view != View::Stacks {
        let sort = &mut state.pane_mut().sort;
        sort.descending = !sort.descending;
        state.arrange();
    }
}

fn choose_target(state: &mut State) {
    if state.replay.is_some() {
        state.notice = Some("a recording has one target; narrow it with a filter".into());
    } else {
        let overlay = Overlay::Target(TargetInput::default());
        state.overlays.push(overlay);
    }
}

/// Lets the screen stand still, or go on with the newest numbers.
fn freeze(state: &mut State) {
    state.frozen = !state.frozen;
    if !state.frozen {
        state.shown.clone_from(&state.latest);
        state.arrange();
    }
}

/// Measures the chosen technique.
fn start(state: &mut State) -> Vec<Effect> {
    let rows = state
        .shown
        .as_ref()
        .map(|moment| state.view.rows(moment, &state.scope()));
    let row = state.order.get(state.pane().at).copied();
    if let (Some(rows), Some(row)) = (rows, row) {
        let name = rows.topics(row as usize).into_iter().next();
        return vec![Effect::Start(name.unwrap_or_default(), state.parameters)];
    }
    let why = match &state.shown {
        None => "the probes are being attached: wait for the first numbers",
        Some(_) => "no technique is chosen",
    };
    state.notice = Some(why.into());
    Vec::new()
}
