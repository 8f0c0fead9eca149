//! A machine on which short processes come and go: what the dashboard knows of them has a bound,
//! and nothing is lost by that.

use std::{sync::Arc, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    moment::{Moment, builder::Builder, sides::Sides},
    state::{Message, State, keys::Keymap, update},
    theme::{Name, Theme},
    view::export,
};
use crate::ledger::{
    Ended, Errnos, Notified, Path, Process, Snapshot, TargetKind, Totals, samples,
};

fn process(pid: u32, comm: &str, moved: u64) -> Process {
    let mut totals = Totals::default();
    totals.add(&Totals {
        ops: 1,
        moved,
        copied_from_user: moved,
        ..Totals::default()
    });
    let path = Path {
        op: "write".into(),
        object: "file:ext4".into(),
        evidence: "measured".into(),
        by: None,
        errnos: Errnos::default(),
        notified: Notified::default(),
        totals,
    };
    Process::from_paths(pid, 1, comm.into(), "/".into(), vec![path])
}

/// A server that continues, and commands of which each lives from one reading to the next.
struct Machine {
    ended: Ended,
    alive: Vec<Process>,
    next: u32,
    second: u32,
}

/// What a short process writes before the first reading that has it, and in all.
const BYTES: (u64, u64) = (100, 150);

impl Machine {
    fn new() -> Self {
        Self {
            ended: Ended::default(),
            alive: Vec::new(),
            next: 1000,
            second: 0,
        }
    }

    /// The document of the whole time, a second later: `count` processes more, and as many less.
    fn read(&mut self, count: u32) -> Snapshot {
        self.second += 1;
        let mut processes: Vec<_> = self.ended.rows().cloned().collect();
        for process in self.alive.drain(..) {
            let mut last = self::process(process.pid, &process.comm, BYTES.1);
            last.ended_into = Some(self.ended.number(&last.comm));
            self.ended.take(&last);
            processes.push(last);
        }
        for _ in 0..count {
            let comm = ["curl", "cat", "sh"][self.next as usize % 3];
            self.alive.push(process(self.next, comm, BYTES.0));
            self.next += 1;
        }
        processes.extend(self.alive.iter().cloned());
        processes.push(process(7, "nginx", 1000 * u64::from(self.second)));
        let mut snapshot = samples::with(processes);
        snapshot.target.kind = TargetKind::System;
        snapshot
    }
}

fn moment(builder: &mut Builder, machine: &mut Machine, count: u32) -> Arc<Moment> {
    let document = machine.read(count);
    let at = Duration::from_secs(machine.second.into());
    builder.build(&document, at, Sides::default())
}

fn of_short_ones(moment: &Moment) -> Totals {
    let mut sum = Totals::default();
    for command in &moment.commands {
        if moment.name(command.comm) != "nginx" {
            sum.add(&command.totals);
        }
    }
    sum
}

#[test]
fn a_hundred_thousand_short_processes_are_three_rows() {
    let (mut builder, mut machine) = (Builder::default(), Machine::new());
    for _ in 0..100 {
        let moment = moment(&mut builder, &mut machine, 1000);
        assert!(moment.processes.len() <= 1000 + 4);
        assert!(moment.paths.len() <= 1000 + 4);
        assert_eq!(
            moment.commands.len(),
            if machine.second == 0 { 3 } else { 4 }
        );
    }
    // The last of them end, and all is quiet.
    let last = moment(&mut builder, &mut machine, 0);
    assert_eq!(last.processes.len(), 4);
    assert_eq!(of_short_ones(&last).moved, 100_000 * BYTES.1);
    assert_eq!(of_short_ones(&last).ops, 100_000);
    let ended: u64 = last.commands.iter().map(|command| command.ended).sum();
    assert_eq!(ended, 100_000);
    let quiet = moment(&mut builder, &mut machine, 0);
    assert_eq!(of_short_ones(&quiet), of_short_ones(&last));
    let steps = quiet.commands.iter().map(|command| command.step.moved);
    assert_eq!(steps.sum::<u64>(), 1000, "the server's");
}

#[test]
fn a_process_that_ends_moves_only_what_it_moved_last() {
    let (mut builder, mut machine) = (Builder::default(), Machine::new());
    moment(&mut builder, &mut machine, 30);
    let next = moment(&mut builder, &mut machine, 30);
    // Thirty more began, and thirty wrote their rest.
    let expected = 30 * BYTES.0 + 30 * (BYTES.1 - BYTES.0) + 1000;
    let steps = next.commands.iter().map(|command| command.step.moved);
    assert_eq!(steps.sum::<u64>(), expected);
    assert_eq!(next.last.totals.moved, expected);
}

#[test]
fn counting_from_zero_forgets_what_had_ended_too() {
    let (mut builder, mut machine) = (Builder::default(), Machine::new());
    moment(&mut builder, &mut machine, 300);
    moment(&mut builder, &mut machine, 300);
    builder.rebase();
    // Those that run at the base end: only their rest is of the time since.
    let after = moment(&mut builder, &mut machine, 0);
    assert_eq!(of_short_ones(&after).moved, 300 * (BYTES.1 - BYTES.0));
    let quiet = moment(&mut builder, &mut machine, 0);
    assert_eq!(of_short_ones(&quiet).moved, 300 * (BYTES.1 - BYTES.0));
    assert_eq!(quiet.total.moved, of_short_ones(&quiet).moved + 2000);
}

fn screen(state: &State) -> String {
    export::text(&export::screen(state))
}

fn press(state: &mut State, key: char) {
    let key = KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
    update(state, Message::Key(key));
}

/// The place of the chosen row, and the line of the screen that has the server.
fn places(state: &State) -> (usize, Option<usize>) {
    let screen = screen(state);
    let line = screen.lines().position(|line| line.contains("nginx"));
    (state.pane().at, line)
}

#[test]
fn a_server_stays_where_it_was_beside_short_processes() {
    let (mut builder, mut machine) = (Builder::default(), Machine::new());
    let mut state = State::new(
        Theme::new(Name::Terminal, false),
        Keymap::default(),
        (80, 24),
    );
    let mut next = |state: &mut State| {
        let moment = moment(&mut builder, &mut machine, 30);
        update(state, Message::Moment(moment));
    };
    next(&mut state);
    next(&mut state);
    press(&mut state, 'j');
    next(&mut state);
    let before = places(&state);
    assert!(before.1.is_some(), "{}", screen(&state));
    for _ in 0..120 {
        next(&mut state);
        assert_eq!(places(&state), before, "{}", screen(&state));
    }
    // A row each: the place stays, although the processes come and go.
    press(&mut state, 'z');
    press(&mut state, 'j');
    for _ in 0..20 {
        next(&mut state);
        assert_eq!((state.pane().at, state.pane().offset), (1, 0));
    }
}

#[test]
fn a_row_is_followed_on_purpose() {
    let (mut builder, mut machine) = (Builder::default(), Machine::new());
    let mut state = State::new(
        Theme::new(Name::Terminal, false),
        Keymap::default(),
        (80, 24),
    );
    for _ in 0..2 {
        let moment = moment(&mut builder, &mut machine, 30);
        update(&mut state, Message::Moment(moment));
    }
    press(&mut state, 'z');
    press(&mut state, 'F');
    let followed = state.pane().chosen;
    assert!(followed.is_some() && state.pane().followed);
    let moment = moment(&mut builder, &mut machine, 40);
    update(&mut state, Message::Moment(moment));
    assert_eq!(state.pane().chosen, followed);
    press(&mut state, 'j');
    assert!(!state.pane().followed);
}

#[test]
fn a_filter_applies_as_it_is_typed_and_is_seen_in_every_view() {
    let (mut builder, mut machine) = (Builder::default(), Machine::new());
    let mut state = State::new(
        Theme::new(Name::Terminal, false),
        Keymap::default(),
        (80, 24),
    );
    for _ in 0..2 {
        let moment = moment(&mut builder, &mut machine, 30);
        update(&mut state, Message::Moment(moment));
    }
    press(&mut state, '/');
    for char in "comm ~ ngin".chars() {
        press(&mut state, char);
    }
    let text = screen(&state);
    let says = "filter: comm ~ ngin, 1 of 4 rows; chart and totals are of all rows";
    assert!(text.contains(says), "{text}");
    // What is not whole yet changes nothing.
    for char in " and (".chars() {
        press(&mut state, char);
    }
    assert_eq!(state.order.len(), 1);
    let key = |code| Message::Key(KeyEvent::new(code, KeyModifiers::NONE));
    update(&mut state, key(KeyCode::Esc));
    assert_eq!(state.order.len(), 4, "as before");
    for view in '2'..='8' {
        press(&mut state, view);
        press(&mut state, '/');
        press(&mut state, 'e');
        update(&mut state, key(KeyCode::Enter));
        let text = screen(&state);
        assert!(
            text.contains("filter: e, ") && text.contains(" rows"),
            "{text}"
        );
    }
}

#[test]
fn a_row_is_explained_in_place() {
    let (mut builder, mut machine) = (Builder::default(), Machine::new());
    let mut state = State::new(
        Theme::new(Name::Terminal, false),
        Keymap::default(),
        (80, 24),
    );
    let moment = moment(&mut builder, &mut machine, 3);
    update(&mut state, Message::Moment(moment));
    press(&mut state, '2');
    press(&mut state, 'x');
    let text = screen(&state);
    assert!(text.contains("write (operations)"), "{text}");
    press(&mut state, 'l');
    let text = screen(&state);
    assert!(text.contains("copied_from_user (classes"), "{text}");
    // To the end, and no further; then back at once.
    press(&mut state, 'G');
    let end = screen(&state);
    press(&mut state, 'j');
    assert_eq!(screen(&state), end);
    press(&mut state, 'g');
    assert_eq!(screen(&state), text);
    press(&mut state, 'x');
    assert!(!screen(&state).contains("Explained"));
}
