//! What each view looks like.

use std::time::Duration;

use crossterm::event::KeyCode;

use super::{SIZES, normal, press, shown, state};
use crate::{
    bench::{self, Entry},
    ledger::{Totals, samples},
    tui::{
        rows::views::View,
        state::{
            Message, State,
            position::Status,
            trial::{Parameters, Run},
            update,
        },
        theme::{Name, Theme},
    },
    workload::technique::Workload,
};

/// Every view in one of its states at every size. The largest is shown without its empty lines.
fn screens(view: View, flames: bool) -> String {
    let terminal = Theme::new(Name::Terminal, false);
    let cases = [
        ("empty", samples::empty(), terminal, false),
        ("normal", normal(), terminal, false),
        ("overflowing", samples::overflow(), terminal, false),
        ("loss", samples::loss(), terminal, false),
        ("paused", normal(), terminal, true),
        (
            "no colour, ASCII",
            normal(),
            Theme::new(Name::Mono, true),
            false,
        ),
    ];
    let mut all = String::new();
    for (name, snapshot, theme, paused) in cases {
        for size in SIZES {
            let mut state = state(&snapshot, theme, size);
            press(&mut state, KeyCode::Char(char::from(b'0' + view.number())));
            if paused {
                press(&mut state, KeyCode::Char(' '));
            }
            if flames {
                press(&mut state, KeyCode::Char('f'));
            }
            let text = shown(&state);
            assert!(!text.contains('\x1b'), "a name speaks to the terminal");
            assert!(!theme.ascii || text.is_ascii(), "{text}");
            all.push_str(&format!("--- {name}, {} x {}\n", size.0, size.1));
            all.push_str(&without_the_rest(&text));
        }
    }
    all
}

/// A screen without its empty lines, and with a few of the workloads: their list grows, and that
/// changes nothing of the screen.
fn without_the_rest(screen: &str) -> String {
    let all = Workload::by_job();
    let count = format!("{} rows", all.len());
    let rest: Vec<_> = all.iter().skip(3).map(Workload::name).collect();
    let mut kept = String::new();
    let (mut last, mut is_list) = ("", false);
    for line in screen.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        is_list |= first == "TECHNIQUE";
        let is_of_the_rest = is_list && rest.iter().any(|name| name == first);
        if !(line.is_empty() && last.is_empty() || is_of_the_rest) {
            kept.push_str(&line.replace(&count, "all rows"));
            kept.push('\n');
        }
        last = line;
    }
    kept
}

/// As it is shown at the usual sizes.
fn at_usual_sizes(name: &str, change: impl Fn(&mut State)) -> String {
    let mut all = String::new();
    for size in &SIZES[..3] {
        let mut state = state(&normal(), Theme::new(Name::Terminal, false), *size);
        change(&mut state);
        let text = shown(&state);
        all.push_str(&format!("--- {name}, {} x {}\n", size.0, size.1));
        all.push_str(&without_the_rest(&text));
    }
    all
}

macro_rules! screens {
    ($($name:ident: $view:ident),+) => {
        $(#[test] fn $name() { insta::assert_snapshot!(screens(View::$view, false)); })+
    };
}

screens!(
    overview: Overview, data_paths: Paths, memory: Memory, asynchronous: Asynchronous,
    claims: Claims, stacks: Stacks, workloads: Workloads, probes: Probes
);

#[test]
fn flames() {
    insta::assert_snapshot!(screens(View::Stacks, true));
}

#[test]
fn overlays() {
    let mut all = String::new();
    for key in ['?', '/', 's', 'c', 'e', 't'] {
        let mut state = state(&normal(), Theme::new(Name::Terminal, false), (80, 24));
        press(&mut state, KeyCode::Char(key));
        all.push_str(&format!("--- {key}\n{}", shown(&state)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_technique_is_measured() {
    let entry = |status, reason: Option<&str>| {
        let mut entry = Entry::new("sendfile".into());
        entry.status = status;
        entry.reason = reason.map(Into::into);
        if status != bench::Status::Skipped {
            entry.bytes = 64 << 20;
            entry.seconds = 0.05;
            entry.cpu_seconds = 0.02;
            let copies = if status == bench::Status::Differs {
                4096
            } else {
                0
            };
            let totals = |copied_to_user| Totals {
                ops: 1,
                moved: 64 << 20,
                copied_to_user,
                spliced: (64 << 20) - copied_to_user,
                ..Totals::default()
            };
            entry.expected.add(&totals(0));
            entry.measured.add(&totals(copies));
            entry.compute();
        }
        if status == bench::Status::Differs {
            let differs = "sendfile file:tmpfs->tcp spliced: 67108864 expected, 67104768 measured";
            entry.differences.push(differs.into());
        }
        Ok(Box::new(entry))
    };
    let mut all = String::new();
    for (name, result) in [
        ("running", None),
        ("as expected", Some(entry(bench::Status::Ok, None))),
        ("differs", Some(entry(bench::Status::Differs, None))),
        (
            "refused",
            Some(entry(bench::Status::Skipped, Some("no room"))),
        ),
        ("no result", Some(Err("the kernel refused BPF".into()))),
    ] {
        all.push_str(&at_usual_sizes(name, |state| {
            state.run = Some(Run::new("sendfile".into(), Parameters::default()));
            if let Some(result) = &result {
                update(state, Message::Measured(result.clone()));
            }
            press(state, KeyCode::Char('7'));
            for char in "/name = sendfile".chars() {
                press(state, KeyCode::Char(char));
            }
            press(state, KeyCode::Enter);
        }));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn where_a_replay_is() {
    let status = Status {
        position: 11,
        intervals: 60,
        at: Duration::from_secs(12),
        length: Duration::from_mins(1),
        started_at: "2026-11-22T15:00:11.000000Z".into(),
        paused: false,
        speed: 2,
        damage: None,
    };
    let paused = Status {
        paused: true,
        speed: -1,
        damage: Some("a wrong checksum at byte 1234".into()),
        ..status.clone()
    };
    let mut all = String::new();
    for (name, status) in [("plays", status), ("paused, damaged", paused)] {
        all.push_str(&at_usual_sizes(name, |state| {
            update(state, Message::Replay(status.clone()));
        }));
    }
    insta::assert_snapshot!(all);
}
