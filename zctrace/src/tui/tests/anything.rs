//! What nothing that comes may do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{moments, normal};
use crate::{
    ledger::samples,
    tui::{
        rows::views::View,
        state::{
            Message, State,
            filter::{Filter, Op},
            keys::Keymap,
            position::Status,
            update,
        },
        theme::{Name, Theme},
        view,
    },
};

fn message() -> impl Strategy<Value = Message> {
    let key = prop_oneof![
        8 => proptest::char::range(' ', '~').prop_map(KeyCode::Char),
        1 => any::<char>().prop_map(KeyCode::Char),
        6 => proptest::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up,
            KeyCode::Down, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End,
            KeyCode::Backspace, KeyCode::Left, KeyCode::Right,
        ]),
    ];
    let all: Vec<_> = [
        samples::empty(),
        normal(),
        samples::overflow(),
        samples::loss(),
        samples::by_file(),
    ]
    .iter()
    .flat_map(moments)
    .collect();
    prop_oneof![
        8 => key.prop_map(|code| Message::Key(KeyEvent::new(code, KeyModifiers::NONE))),
        2 => (0u16..410, 0u16..110).prop_map(|(width, height)| Message::Resize(width, height)),
        4 => (0u16..410, 0u16..110, proptest::sample::select(vec![
            MouseEventKind::Down(MouseButton::Left), MouseEventKind::ScrollUp, MouseEventKind::ScrollDown,
        ])).prop_map(|(column, row, kind)| {
            Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
        }),
        2 => proptest::sample::select(all).prop_map(Message::Moment),
        1 => any::<String>().prop_map(Message::Notice),
        1 => any::<String>().prop_map(Message::Ended),
        1 => (any::<u16>(), any::<u16>(), -3_i8..11, any::<String>()).prop_map(|(position, intervals, speed, text)| {
            Message::Replay(Status {
                position: position.into(),
                intervals: intervals.into(),
                speed,
                started_at: text.clone(),
                damage: Some(text),
                ..Status::default()
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, it neither panics nor draws outside its part of the screen.
    #[test]
    fn nothing_upsets_the_screen(messages in proptest::collection::vec(message(), 1..40), ascii: bool) {
        let theme = Theme::new(if ascii { Name::Mono } else { Name::Terminal }, ascii);
        let mut state = State::new(theme, Keymap::default(), (80, 24));
        for message in messages {
            update(&mut state, message);
            let (width, height) = state.size;
            // A frame around the screen that must stay as it is.
            let mut buffer = Buffer::filled(Rect::new(0, 0, width + 4, height + 4), ratatui::buffer::Cell::new("@"));
            view::draw(&state, Rect::new(2, 2, width, height), &mut buffer);
            for position in buffer.area.positions() {
                let inside = Rect::new(2, 2, width, height).contains(position);
                prop_assert!(inside || buffer[position].symbol() == "@", "{position}");
            }
        }
    }

    /// What a filter that was taken means can be written down again.
    #[test]
    fn no_text_upsets_the_filter(text in prop_oneof![any::<String>(), words()]) {
        if let Ok(filter) = Filter::parse(&text, View::Paths.columns()) {
            let again = written(&filter);
            prop_assert_eq!(Filter::parse(&again, View::Paths.columns()), Ok(filter), "{}", again);
        }
    }
}

/// Words of the language of filters, many of which make one.
fn words() -> impl Strategy<Value = String> {
    let comparison = proptest::sample::select(vec![
        "moved > 1M",
        "ops<=20",
        "copies/byte != 1.5",
        "op ~ read",
        "object !~ \"a b\"",
        "verdict = 'it\"s'",
        "nginx",
        "'two words'",
    ]);
    let word = prop_oneof![
        6 => comparison,
        3 => proptest::sample::select(vec![" and ", " or "]),
        2 => proptest::sample::select(vec!["not ", "(", ")"]),
    ];
    proptest::collection::vec(word, 1..8).prop_map(|words| words.concat())
}

/// A filter as text.
fn written(filter: &Filter) -> String {
    let name = |column: &usize| View::Paths.columns()[*column].name;
    let quoted = |text: &str| {
        let quote = if text.contains('"') { '\'' } else { '"' };
        format!("{quote}{text}{quote}")
    };
    let of = |filter: &Filter, in_parentheses: bool| {
        if in_parentheses {
            format!("({})", written(filter))
        } else {
            written(filter)
        }
    };
    match filter {
        Filter::And(a, b) => {
            let is_or = matches!(**a, Filter::Or(..));
            let is_joined = matches!(**b, Filter::And(..) | Filter::Or(..));
            format!("{} and {}", of(a, is_or), of(b, is_joined))
        }
        Filter::Or(a, b) => {
            let is_or = matches!(**b, Filter::Or(..));
            format!("{} or {}", of(a, false), of(b, is_or))
        }
        Filter::Not(filter) => {
            let is_joined = matches!(**filter, Filter::And(..) | Filter::Or(..));
            format!("not {}", of(filter, is_joined))
        }
        Filter::Number(column, op, number) => format!("{} {} {number}", name(column), sign(*op)),
        Filter::Text(column, op, text) => {
            format!("{} {} {}", name(column), sign(*op), quoted(text))
        }
        Filter::Anywhere(text) => quoted(text),
    }
}

const fn sign(op: Op) -> &'static str {
    match op {
        Op::Equal => "=",
        Op::NotEqual => "!=",
        Op::Less => "<",
        Op::LessOrEqual => "<=",
        Op::Greater => ">",
        Op::GreaterOrEqual => ">=",
        Op::Contains => "~",
        Op::ContainsNot => "!~",
    }
}
