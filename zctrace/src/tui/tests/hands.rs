//! What keys and the mouse do.

use std::time::Duration;

use crossterm::event::{KeyCode, MouseEventKind};

use super::{SIZES, click, mouse, normal, place_of, press, shown, sides, state};
use crate::{
    claims::rules,
    ledger::samples,
    tui::{
        moment::builder::Builder,
        rows::views::View,
        state::{Effect, Message, State, reading, update},
        theme::{Name, Theme},
        view::export::screen,
    },
};

#[test]
fn a_person_walks_through() {
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (100, 30));
    press(&mut state, KeyCode::Down);
    let chosen = state.pane().chosen;
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.view, View::Paths);
    assert!(state.whose.is_some());
    press(&mut state, KeyCode::Esc);
    assert_eq!(
        (state.view, state.whose, state.pane().chosen),
        (View::Overview, None, chosen)
    );

    press(&mut state, KeyCode::Char('/'));
    for char in "moved > 1M and comm ~ NGINX".chars() {
        press(&mut state, KeyCode::Char(char));
    }
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.order.len(), 1);
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.order.len(), 3);

    press(&mut state, KeyCode::Char(' '));
    let before = shown(&state);
    assert!(before.contains("Display frozen"));
    let mut builder = Builder::default();
    let newer = builder.build(&samples::overflow(), Duration::from_secs(9), sides());
    update(&mut state, Message::Moment(newer));
    assert_eq!(shown(&state), before);
    press(&mut state, KeyCode::Char(' '));
    assert_ne!(shown(&state), before);
    assert_eq!(press(&mut state, KeyCode::Char('r')), [Effect::Rebase]);
    press(&mut state, KeyCode::Char('?'));
    press(&mut state, KeyCode::Esc);
    assert!(state.overlays.is_empty());
    assert_eq!(press(&mut state, KeyCode::Char('q')), [Effect::Quit]);
}

/// A row that is opened and a help text have no end that is cut off.
#[test]
fn what_is_opened_is_whole() {
    let words = |state: &State| {
        let screen = shown(state).replace(['│', '╭', '╰', '─'], " ");
        screen.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (80, 90));
    press(&mut state, KeyCode::Char('5'));
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Enter);
    let says = rules::find("zerocopy-copied-later").unwrap().says;
    assert!(words(&state).contains(says), "{}", shown(&state));
    press(&mut state, KeyCode::Esc);

    press(&mut state, KeyCode::Char('?'));
    let text = words(&state);
    for (_, means) in reading::help(&state) {
        assert!(text.contains(&means), "{means}: {}", shown(&state));
    }
    press(&mut state, KeyCode::Esc);

    // The chosen column of a menu.
    press(&mut state, KeyCode::Char('s'));
    press(&mut state, KeyCode::Char('g'));
    for column in state.view.columns() {
        let text = words(&state);
        assert!(text.contains(column.help), "{}", shown(&state));
        press(&mut state, KeyCode::Down);
    }
}

#[test]
fn small_claims_are_one_line_until_they_are_asked_for() {
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (80, 24));
    press(&mut state, KeyCode::Char('5'));
    assert_eq!(state.order.len(), 2, "{}", shown(&state));
    assert!(
        shown(&state).contains("3 too small to judge: z"),
        "{}",
        shown(&state)
    );
    press(&mut state, KeyCode::Char('z'));
    assert_eq!(state.order.len(), 5);
    assert!(!shown(&state).contains("too small to judge"));
    press(&mut state, KeyCode::Char('z'));
    // A filter looks for them too.
    press(&mut state, KeyCode::Char('/'));
    for char in "op ~ splice".chars() {
        press(&mut state, KeyCode::Char(char));
    }
    assert_eq!(state.order.len(), 1, "{}", shown(&state));
}

#[test]
fn the_tree_of_stacks_folds() {
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (100, 30));
    press(&mut state, KeyCode::Char('6'));
    let open = state.order.len();
    let before = shown(&state);
    assert!(before.contains("copy_to_iter_[k]"), "{before}");
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.order.len(), 1, "the root is closed");
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.order.len(), open);
    press(&mut state, KeyCode::Char('z'));
    assert!(state.order.len() > open, "the light nodes are open too");
    press(&mut state, KeyCode::Char('f'));
    let flames = shown(&state);
    assert!(flames.contains("▏serve"), "{flames}");
    press(&mut state, KeyCode::Char('j'));
    press(&mut state, KeyCode::Enter);
    assert!(state.zoom.is_some());
    press(&mut state, KeyCode::Esc);
    assert!(state.zoom.is_none());
}

#[test]
fn a_click_is_what_is_under_it() {
    let theme = Theme::new(Name::Terminal, false);
    for size in SIZES {
        let mut state = state(&normal(), theme, size);
        let title = if size.0 < 80 { "2 Path" } else { "2 Paths" };
        let at = place_of(&state, title);
        click(&mut state, at);
        assert_eq!(state.view, View::Paths, "{size:?}");
        // A column sorts, once more and the other way round.
        let title = "COPY/B";
        let column = View::Paths.columns().iter().position(|c| c.title == title);
        let at = place_of(&state, title);
        click(&mut state, at);
        assert_eq!(state.pane().sort.column, column);
        assert!(state.pane().sort.descending);
        click(&mut state, at);
        assert!(!state.pane().sort.descending);
        // A row is chosen, and opened by the next click.
        let at = place_of(&state, "sendfile");
        click(&mut state, at);
        assert!(state.overlays.is_empty(), "{size:?}");
        let chosen = state.pane().chosen;
        assert!(chosen.is_some());
        click(&mut state, at);
        assert_eq!(state.overlays.len(), 1, "{size:?}");
        assert_eq!(state.pane().chosen, chosen);
        // Whatever lies over the view closes.
        click(&mut state, at);
        assert!(state.overlays.is_empty());
        // The wheel moves, and stops at both ends.
        for _ in 0..100 {
            mouse(&mut state, MouseEventKind::ScrollDown, at);
        }
        assert_eq!(state.pane().at, state.order.len() - 1);
        for _ in 0..100 {
            mouse(&mut state, MouseEventKind::ScrollUp, at);
        }
        assert_eq!(state.pane().at, 0);
        // What is typed is not lost by a click.
        press(&mut state, KeyCode::Char('/'));
        click(&mut state, at);
        assert_eq!(state.overlays.len(), 1);
    }
}

#[test]
fn the_wheel_moves_the_text_that_lies_over_the_view() {
    let theme = Theme::new(Name::Terminal, false);
    let mut state = state(&normal(), theme, (80, 24));
    press(&mut state, KeyCode::Char('?'));
    let before = screen(&state);
    mouse(&mut state, MouseEventKind::ScrollDown, (5, 5));
    assert_ne!(screen(&state), before);
    mouse(&mut state, MouseEventKind::ScrollUp, (5, 5));
    assert_eq!(screen(&state), before);
}
