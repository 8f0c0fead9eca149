//! Screens of every view at four sizes, and what no sequence of messages may do.

use std::{borrow::Cow, path::Path as FilePath, sync::Arc, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect};
use zctrace_common::{Evidence, Op, Sizes};

use super::{
    moment::{
        Moment,
        builder::Builder,
        sides::{Part, ProbeRow, ProbeState, Sides},
    },
    rows::views::View,
    source::replay::Player,
    state::{
        Effect, Message, State,
        format::Format,
        keys::Keymap,
        position::{Control, Status, When},
        trial::{Parameters, Run},
        update,
    },
    theme::{Name, Theme},
    view::{self, export},
};
use crate::{
    bench::{self, Entry},
    explain,
    ledger::{Process, Refused, Requests, RowSizes, Snapshot, Stack, Totals, Ways, samples},
    recording::{self, Recording, Rotation, Writer},
    workload::technique::Workload,
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
        probe("tcp_sendmsg_locked", ProbeState::Attached, ""),
        probe("udp_sendmsg", ProbeState::Refused, "not permitted"),
        probe(
            "unix_stream_read",
            ProbeState::Silent,
            "known bytes went by unseen",
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
    let page = 4096;
    let paths = vec![
        samples::path(
            "fault.map",
            "file:ext4",
            Totals {
                ops: 10,
                moved: 100 * page,
                mapped: 100 * page,
                ..Totals::default()
            },
        ),
        samples::path(
            "fault.cow",
            "file:ext4",
            Totals {
                ops: 5,
                cow: 5 * page,
                ..Totals::default()
            },
        ),
        samples::path(
            "fork.cow",
            "anon",
            Totals {
                ops: 50,
                cow: 50 * page,
                ..Totals::default()
            },
        ),
        samples::path(
            "uring.read",
            "file:ext4",
            Totals {
                ops: 7,
                moved: 7 * page,
                direct: 7 * page,
                ..Totals::default()
            },
        ),
        samples::path(
            "splice",
            "tcp->pipe",
            Totals {
                ops: 1,
                moved: page,
                copied_in_kernel: page,
                ..Totals::default()
            },
        ),
    ];
    let process = Process::from_paths(7, 1, "日本語 db\u{1b}[31m".into(), "/".into(), paths);
    snapshot.total.add(&process.total);
    snapshot.processes.push(process);
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
    snapshot
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
    let buffer = drawn(state);
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

fn drawn(state: &State) -> Buffer {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let mut buffer = Buffer::empty(area);
    view::draw(state, area, &mut buffer);
    buffer
}

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
            let text = export::text(&drawn(&state));
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
        let text = export::text(&drawn(&state));
        all.push_str(&format!("--- {name}, {} x {}\n", size.0, size.1));
        all.push_str(&without_the_rest(&text));
    }
    all
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

/// What people run with `bench`, read about with `explain` and see here has one set of names.
#[test]
fn techniques_are_those_of_bench_and_explain() {
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (120, 100));
    press(&mut state, KeyCode::Char('7'));
    let rows = state.order.len();
    let mut names = Vec::new();
    for _ in 0..rows {
        let effects = press(&mut state, KeyCode::Char('w'));
        let [Effect::Start(name, _)] = &effects[..] else {
            panic!("{effects:?}");
        };
        names.push(name.clone());
        press(&mut state, KeyCode::Down);
    }
    let listed: Vec<_> = Workload::by_job().iter().map(Workload::name).collect();
    assert_eq!(names, listed);
    for name in &names {
        assert!(explain::find(name).is_some(), "{name} is not explained");
    }
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

#[test]
fn what_cannot_be_seen_is_not_called_nothing() {
    let mut snapshot = samples::normal();
    for probe in ["file_fault_enter", "wp_page_enter", "aio_read"] {
        snapshot.coverage.refused.push(Refused {
            probe: probe.into(),
            reason: "not permitted".into(),
            lost: "bytes".into(),
            absent: false,
        });
    }
    let shown = |snapshot: &Snapshot, key| {
        let mut state = State::new(
            Theme::new(Name::Terminal, false),
            Keymap::default(),
            SIZES[2],
        );
        let mut sides = sides();
        sides.requests = Part::Here(Arc::default());
        let moment = Builder::default().build(snapshot, Duration::from_secs(1), sides);
        update(&mut state, Message::Moment(moment));
        press(&mut state, KeyCode::Char(key));
        export::text(&drawn(&state))
    };
    let memory = shown(&snapshot, '3');
    assert!(
        memory.contains(
            "Page faults are not seen here, Copies on write are not seen here: not permitted."
        ),
        "{memory}"
    );
    let requests = shown(&snapshot, '4');
    let expected = "Linux AIO is not seen here: not permitted. No other request was submitted.";
    assert!(requests.contains(expected), "{requests}");
    let attached = ["file_fault_exit", "wp_page_exit", "aio_write"].map(ToString::to_string);
    snapshot.coverage.attached.extend(attached);
    assert!(shown(&snapshot, '3').contains("No fault has brought in"));
    assert!(shown(&snapshot, '4').contains("No io_uring or AIO request"));
}

#[test]
fn a_workload_waits_for_the_first_numbers_and_says_so() {
    let mut state = State::new(
        Theme::new(Name::Terminal, false),
        Keymap::default(),
        SIZES[1],
    );
    press(&mut state, KeyCode::Char('7'));
    assert_eq!(press(&mut state, KeyCode::Char('w')), []);
    assert!(export::text(&drawn(&state)).contains("wait for the first numbers"));
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
        all.push_str(&format!("--- {key}\n{}", export::text(&drawn(&state))));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_numbers_are_those_of_the_document() {
    let snapshot = normal();
    let moment = moments(&snapshot).pop().unwrap();
    assert_eq!(moment.total, snapshot.total);
    for process in &snapshot.processes {
        let row = moment
            .processes
            .iter()
            .find(|row| row.id.pid == process.pid)
            .unwrap();
        assert_eq!(row.totals, process.total);
        assert_eq!((row.sent, row.received), (process.sent, process.received));
        assert_eq!(
            (row.pending, row.in_flight),
            (process.pending, process.in_flight)
        );
        for (row, path) in moment.paths_of(row).zip(&process.paths) {
            assert_eq!(row.totals, path.totals);
            assert_eq!(path.op, moment.name(row.op));
        }
    }
    let state = state(&snapshot, Theme::new(Name::Mono, false), (400, 100));
    let json: serde_json::Value =
        serde_json::from_str(&export::content(&state, Format::Json)).unwrap();
    assert_eq!(json["total"], serde_json::to_value(snapshot.total).unwrap());
    for row in json["rows"].as_array().unwrap() {
        let process = snapshot
            .processes
            .iter()
            .find(|process| row["pid"] == process.pid)
            .unwrap();
        assert_eq!(row["moved"], process.total.moved);
        assert_eq!(row["copied"], process.total.copies());
    }
}

#[test]
fn counting_starts_anew_at_the_base() {
    let snapshot = normal();
    let mut builder = Builder::default();
    builder.build(&part(&snapshot), Duration::from_secs(1), sides());
    let zero = builder.rebase().unwrap();
    assert_eq!(zero.total, Totals::default());
    let moment = builder.build(&snapshot, Duration::from_secs(2), sides());
    let mut expected = snapshot.total;
    expected.subtract(&snapshot.processes[0].total);
    assert_eq!(moment.total, expected);
    assert_eq!(moment.last.totals, expected);
    let first = snapshot.processes[0].pid;
    let left = moment.processes.iter().find(|row| row.id.pid == first);
    assert!(left.is_none_or(|row| row.totals.is_empty()));
}

#[test]
fn loss_that_changes_the_evidence_of_a_row_moves_no_byte() {
    let snapshot = samples::normal();
    let mut weaker = snapshot.clone();
    weaker.processes[0].paths[0].evidence = "inferred".into();
    let mut builder = Builder::default();
    builder.build(&snapshot, Duration::from_secs(1), sides());
    let moment = builder.build(&weaker, Duration::from_secs(2), sides());
    let mut paths = moment.paths.iter(0..moment.paths.len());
    assert!(paths.all(|path| path.step.moved == 0));
}

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
    let before = export::text(&drawn(&state));
    assert!(before.contains("Frozen"));
    let mut builder = Builder::default();
    let newer = builder.build(&samples::overflow(), Duration::from_secs(9), sides());
    update(&mut state, Message::Moment(newer));
    assert_eq!(export::text(&drawn(&state)), before);
    press(&mut state, KeyCode::Char(' '));
    assert_ne!(export::text(&drawn(&state)), before);
    assert_eq!(press(&mut state, KeyCode::Char('r')), [Effect::Rebase]);
    press(&mut state, KeyCode::Char('?'));
    press(&mut state, KeyCode::Esc);
    assert!(state.overlays.is_empty());
    assert_eq!(press(&mut state, KeyCode::Char('q')), [Effect::Quit]);
}

/// Intervals of a server that gets busier, as a recording.
fn recorded(directory: &FilePath, intervals: u64) -> Recording {
    let path = directory.join("recording");
    let mut writer = Writer::create(&path, Rotation::default(), 4096).unwrap();
    for seq in 0..intervals {
        let bytes = (seq + 1) << 20;
        let totals = Totals {
            ops: seq + 1,
            moved: bytes,
            copied_to_user: bytes,
            ..Totals::default()
        };
        let paths = vec![samples::path("read", "file:ext4", totals)];
        let process = Process::from_paths(7, 1, "server".into(), "/".into(), paths);
        let mut interval = samples::empty();
        interval.seq = Some(seq);
        interval.started_at = format!("2026-11-22T15:00:{seq:02}.000000Z");
        interval.duration_ns = 1_000_000_000;
        interval.total = process.total;
        interval.processes = vec![process];
        let stack = Stack {
            pid: 7,
            start_time: 1,
            comm: "server".into(),
            class: "copied_to_user".into(),
            frames: vec!["main".into()],
        };
        interval.stacks.bytes.insert(stack, bytes);
        let mut sizes = Sizes::ZERO;
        sizes.counts[Sizes::place(1 << 20)] = seq + 1;
        let beside = recording::Beside {
            sizes: vec![RowSizes {
                op: Op::Read,
                sizes,
                ..row_sizes()
            }],
            requests: vec![Requests {
                pid: 7,
                start_time: 1,
                comm: "server".into(),
                op: Op::AioRead,
                ways: Ways {
                    submitted: seq + 1,
                    worker: seq,
                    ..Ways::default()
                },
            }],
        };
        writer.append_with(&interval, &beside).unwrap();
    }
    Recording::open(&path).unwrap()
}

/// However one comes to an interval, the same numbers are on screen there.
#[test]
fn a_replay_shows_the_same_from_wherever_one_comes() {
    let directory = tempfile::tempdir().unwrap();
    let mut player = Player::new(recorded(directory.path(), 50)).unwrap();
    assert_eq!(player.intervals(), 50);
    let mut straight = Vec::new();
    for index in 0..50 {
        player.go_to(index).unwrap();
        let moment = player.moment().unwrap();
        // The sum of the megabytes until now, and those of the interval alone.
        let sum: u64 = (0..=index as u64).map(|seq| (seq + 1) << 20).sum();
        assert_eq!(moment.total.moved, sum, "interval {index}");
        assert_eq!(moment.last.totals.moved, (index as u64 + 1) << 20);
        assert_eq!(moment.stacks.tree(None, &moment.names).total, sum);
        assert_eq!(moment.at, Duration::from_secs(index as u64 + 1));
        let operations = (index as u64 + 1) * (index as u64 + 2) / 2;
        let path = moment.paths.get(0).unwrap();
        let sizes = moment.sizes(&path).unwrap();
        assert_eq!(sizes.counts[Sizes::place(1 << 20)], operations);
        let ways = moment.requests[0].ways.unwrap();
        assert_eq!(ways.submitted, operations);
        assert_eq!(moment.requests[0].in_flight, index as u64 + 1);
        straight.push(moment);
    }
    for index in [49, 0, 31, 30, 17, 48, 3, 2, 1, 40, 49] {
        player.go_to(index).unwrap();
        let moment = player.moment().unwrap();
        let expected = &straight[index];
        assert_eq!(moment.total, expected.total, "interval {index}");
        assert_eq!(moment.last, expected.last, "interval {index}");
        assert_eq!(moment.history, expected.history, "interval {index}");
        assert_eq!(moment.sizes, expected.sizes, "interval {index}");
        assert_eq!(moment.requests[0].ways, expected.requests[0].ways);
        assert_eq!(moment.processes[0].step, expected.processes[0].step);
        assert_eq!(moment.processes[0].spark, expected.processes[0].spark);
        assert_eq!(player.status().position, index);
        assert_eq!(
            player.status().started_at,
            format!("2026-11-22T15:00:{index:02}.000000Z")
        );
    }
    player.go_to(1000).unwrap();
    assert_eq!(player.status().position, 49);
}

#[test]
fn a_replay_is_steered_by_keys() {
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (100, 30));
    // Without a recording these keys mean nothing.
    assert_eq!(press(&mut state, KeyCode::Char(']')), []);
    update(&mut state, Message::Replay(Status::default()));
    let control = |state: &mut State, key: char| {
        let effects = press(state, KeyCode::Char(key));
        match effects.as_slice() {
            [Effect::Replay(control)] => *control,
            _ => panic!("{key}: {effects:?}"),
        }
    };
    assert_eq!(control(&mut state, ' '), Control::Pause);
    assert!(!state.frozen);
    assert_eq!(control(&mut state, '['), Control::Step(-1));
    assert_eq!(control(&mut state, ']'), Control::Step(1));
    assert_eq!(control(&mut state, '{'), Control::Step(-10));
    assert_eq!(control(&mut state, '}'), Control::Step(10));
    assert_eq!(control(&mut state, '<'), Control::Slower);
    assert_eq!(control(&mut state, '>'), Control::Faster);
    for char in ":50%".chars() {
        press(&mut state, KeyCode::Char(char));
    }
    let wanted = Control::Seek(When::Percent(50));
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Replay(wanted)]);
}

#[test]
fn the_tree_of_stacks_folds() {
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (100, 30));
    press(&mut state, KeyCode::Char('6'));
    let open = state.order.len();
    let before = export::text(&drawn(&state));
    assert!(before.contains("copy_to_iter_[k]"), "{before}");
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.order.len(), 1, "the root is closed");
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.order.len(), open);
    press(&mut state, KeyCode::Char('z'));
    assert!(state.order.len() > open, "the light nodes are open too");
    press(&mut state, KeyCode::Char('f'));
    let flames = export::text(&drawn(&state));
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
    let before = drawn(&state);
    mouse(&mut state, MouseEventKind::ScrollDown, (5, 5));
    assert_ne!(drawn(&state), before);
    mouse(&mut state, MouseEventKind::ScrollUp, (5, 5));
    assert_eq!(drawn(&state), before);
}

#[test]
fn exports_are_whole() {
    let mut state = state(&normal(), Theme::new(Name::Dark, false), (100, 30));
    press(&mut state, KeyCode::Char('e'));
    let effects = press(&mut state, KeyCode::Char('c'));
    assert_eq!(effects, [Effect::Save(Format::Csv)]);
    assert_eq!(export::content(&state, Format::Csv).lines().count(), 4);
    let svg = export::content(&state, Format::Svg);
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("zctrace"));
    // Dark letters need light paper.
    state.theme = Theme::new(Name::Light, false);
    let light = export::content(&state, Format::Svg);
    assert!(svg.contains("#16181d") && !light.contains("#16181d") && light.contains("#ffffff"));
}

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

    #[test]
    fn no_text_upsets_the_filter(text: String) {
        let _ = super::state::filter::Filter::parse(&text, View::Paths.columns());
    }
}
