//! A recording on screen.

use std::{path::Path as FilePath, time::Duration};

use crossterm::event::KeyCode;
use zctrace_common::{Op, Sizes};

use super::{normal, press, row_sizes, state};
use crate::{
    ledger::{Process, Requests, RowSizes, Stack, Totals, Ways, samples},
    recording::{self, Recording, Rotation, Writer},
    tui::{
        source::replay::Player,
        state::{
            Effect, Message, State,
            position::{Control, Status, When},
            update,
        },
        theme::{Name, Theme},
    },
};

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
