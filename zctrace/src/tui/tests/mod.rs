//! Screens of every view at four sizes, and what no sequence of messages may do.

#[cfg(test)]
mod advice;
#[cfg(test)]
mod anything;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod hands;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod screens;

use std::{borrow::Cow, sync::Arc, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use zctrace_common::{Evidence, Op, Sizes};

use super::{
    moment::{
        Moment,
        builder::Builder,
        sides::{Part, ProbeRow, Sides},
    },
    state::{Effect, Message, State, keys::Keymap, update},
    theme::Theme,
    view::export,
};
use crate::{
    kernel::doctor::ProbeStatus,
    ledger::{Path, Process, Requests, RowSizes, Snapshot, Stack, Totals, Ways, samples},
};

const SIZES: [(u16, u16); 4] = [(60, 16), (80, 24), (120, 40), (400, 100)];

fn sides() -> Sides {
    let probe = |name, state, reason: &str| ProbeRow {
        name: Cow::Borrowed(name),
        family: "socket",
        kind: "fexit",
        state,
        runs: Some(1234),
        ns: Some(567_890),
        runs_step: 100,
        missed: 0,
        reason: reason.into(),
        lost: "copies of sockets".into(),
    };
    let probes = vec![
        probe("tcp_sendmsg_locked", ProbeStatus::Attached, ""),
        probe("udp_sendmsg", ProbeStatus::Refused, "not permitted"),
        probe(
            "unix_stream_read",
            ProbeStatus::Silent,
            "did not see the test bytes",
        ),
    ];
    Sides {
        probes: Part::Here(Arc::new(probes)),
        requests: Part::Here(Arc::new(vec![Requests {
            pid: 7,
            start_time: 1,
            comm: "db".into(),
            op: Op::UringRead,
            ways: Ways {
                submitted: 12,
                inline: 3,
                worker: 2,
                sq_poll: 1,
                task_work: 1,
                taken: 12,
                submissions: 3,
                waits: 2,
            },
        }])),
        sizes: Part::Here(Arc::new(vec![row_sizes()])),
        stacks: Part::Here(256 << 10),
        own_cpu: Some(Duration::from_millis(3)),
    }
}

/// Of a read of the first sample process.
fn row_sizes() -> RowSizes {
    let mut sizes = Sizes::ZERO;
    for (bytes, count) in [(0, 1), (100, 2), (4096, 30), (65_536, 9), (1 << 30, 1)] {
        sizes.counts[Sizes::place(bytes)] = count;
    }
    RowSizes {
        pid: 7,
        start_time: 1,
        op: Op::UringRead,
        object: "file:ext4".into(),
        evidence: Evidence::Measured,
        by: None,
        sizes,
    }
}

/// The usual document, with faults and asynchronous operations.
fn normal() -> Snapshot {
    let mut snapshot = samples::normal();
    let process = Process::from_paths(7, 1, "日本語 db\u{1b}[31m".into(), "/".into(), further());
    snapshot.total.add(&process.total);
    snapshot.processes.push(process);
    add_stacks(&mut snapshot);
    snapshot
}

/// Faults and asynchronous operations.
fn further() -> Vec<Path> {
    let page = 4096;
    let map = Totals {
        ops: 10,
        moved: 100 * page,
        mapped: 100 * page,
        ..Totals::default()
    };
    let cow = |ops| Totals {
        ops,
        cow: ops * page,
        ..Totals::default()
    };
    let read = Totals {
        ops: 7,
        moved: 7 * page,
        direct: 7 * page,
        ..Totals::default()
    };
    let splice = Totals {
        ops: 1,
        moved: page,
        copied_in_kernel: page,
        ..Totals::default()
    };
    vec![
        samples::path("fault.map", "file:ext4", map),
        samples::path("fault.cow", "file:ext4", cow(5)),
        samples::path("fork.cow", "anon", cow(50)),
        samples::path("uring.read", "file:ext4", read),
        samples::path("splice", "tcp->pipe", splice),
    ]
}

/// Adds stacks of the first process.
fn add_stacks(snapshot: &mut Snapshot) {
    let server = &snapshot.processes[0];
    for (frames, class, megabytes) in [
        (
            &["main", "serve", "read", "copy_to_iter_[k]"][..],
            "copied_to_user",
            60,
        ),
        (
            &["main", "serve", "send", "tcp_sendmsg_[k]"],
            "copied_from_user",
            30,
        ),
        (
            &["main", "log", "[unknown]", "generic_perform_write_[k]"],
            "copied_from_user",
            6,
        ),
    ] {
        let stack = Stack {
            pid: server.pid,
            start_time: server.start_time,
            comm: server.comm.as_str().into(),
            class: class.into(),
            frames: frames.iter().map(|&frame| frame.into()).collect(),
        };
        snapshot.stacks.bytes.insert(stack, megabytes << 20);
    }
}

/// The third of three moments: half, two thirds and all of a document.
fn moments(snapshot: &Snapshot) -> Vec<Arc<Moment>> {
    let mut builder = Builder::default();
    [samples::empty(), part(snapshot), snapshot.clone()]
        .iter()
        .zip(1..)
        .map(|(document, second)| {
            let mut sides = sides();
            if snapshot.processes.is_empty() {
                sides.requests = Part::Here(Arc::default());
            }
            builder.build(document, Duration::from_secs(second), sides)
        })
        .collect()
}

/// The first process of a document alone.
fn part(snapshot: &Snapshot) -> Snapshot {
    let mut part = snapshot.clone();
    part.processes.truncate(1);
    part.total = part
        .processes
        .first()
        .map(|process| process.total)
        .unwrap_or_default();
    part
}

fn state(snapshot: &Snapshot, theme: Theme, size: (u16, u16)) -> State {
    let mut state = State::new(theme, Keymap::default(), size);
    for moment in moments(snapshot) {
        update(&mut state, Message::Moment(moment));
    }
    state
}

fn press(state: &mut State, code: KeyCode) -> Vec<Effect> {
    update(state, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn mouse(state: &mut State, kind: MouseEventKind, (column, row): (u16, u16)) -> Vec<Effect> {
    let modifiers = KeyModifiers::NONE;
    let event = MouseEvent {
        kind,
        column,
        row,
        modifiers,
    };
    update(state, Message::Mouse(event))
}

fn click(state: &mut State, at: (u16, u16)) -> Vec<Effect> {
    mouse(state, MouseEventKind::Down(MouseButton::Left), at)
}

/// Where a text begins on screen.
fn place_of(state: &State, text: &str) -> (u16, u16) {
    let buffer = export::screen(state);
    for y in 0..buffer.area.height {
        let line: Vec<_> = (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        for x in 0..line.len() {
            if line[x..].concat().starts_with(text) {
                return (x.try_into().unwrap(), y);
            }
        }
    }
    panic!("{text:?} is not on screen");
}

/// What is on screen.
fn shown(state: &State) -> String {
    export::text(&export::screen(state))
}
