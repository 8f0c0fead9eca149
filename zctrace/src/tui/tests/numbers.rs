//! What is shown are the numbers of the document, and the names that others use.

use std::{sync::Arc, time::Duration};

use crossterm::event::KeyCode;

use super::{SIZES, moments, normal, part, press, shown, sides, state};
use crate::{
    bench::Entry,
    explain,
    ledger::{Refused, Snapshot, Totals, samples},
    tui::{
        moment::{builder::Builder, sides::Part},
        rows::{Holds, Value, views::View},
        state::{Effect, Message, State, format::Format, keys::Keymap, update},
        theme::{Name, Theme},
        view::export,
    },
    workload::technique::Workload,
};

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

/// A value of every column of every view, and of the kind that the column is for.
#[test]
fn every_column_has_a_value() {
    let mut state = state(&normal(), Theme::new(Name::Terminal, false), (120, 40));
    let moment = state.shown.clone().unwrap();
    for workload in Workload::by_job() {
        let entry = Entry::new(workload.name());
        state.results.insert(workload.name(), entry);
    }
    for view in View::ALL {
        let rows = view.rows(&moment, &state.scope());
        assert!(!rows.is_empty(), "{view:?}");
        for (index, column) in view.columns().iter().enumerate() {
            for row in 0..rows.len() {
                // One that the view does not know fails here.
                let value = rows.value(row, index);
                let fits = match column.holds {
                    Holds::Text => matches!(value, Value::Text(_) | Value::Word(..)),
                    Holds::Bytes => matches!(value, Value::Bytes(_) | Value::BytesPerSecond(_)),
                    Holds::Drawing => {
                        matches!(value, Value::Ways(_) | Value::Sizes(_) | Value::Spark(_))
                    }
                    // A mark can be in place of a number.
                    Holds::Number => !matches!(value, Value::Bytes(_) | Value::BytesPerSecond(_)),
                };
                assert!(
                    fits || value == Value::None,
                    "{view:?} {}: {value:?}",
                    column.name
                );
            }
        }
    }
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
    let screen_of = |snapshot: &Snapshot, key| {
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
        shown(&state)
    };
    let memory = screen_of(&snapshot, '3');
    assert!(
        memory.contains(
            "Page faults are not seen here, Copies on write are not seen here: not permitted."
        ),
        "{memory}"
    );
    let requests = screen_of(&snapshot, '4');
    let expected = "Linux AIO is not seen here: not permitted. No other request was submitted.";
    assert!(requests.contains(expected), "{requests}");
    let attached = ["file_fault_exit", "wp_page_exit", "aio_write"].map(ToString::to_string);
    snapshot.coverage.attached.extend(attached);
    assert!(screen_of(&snapshot, '3').contains("No fault has brought in"));
    assert!(screen_of(&snapshot, '4').contains("No io_uring or AIO request"));
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
    assert!(shown(&state).contains("wait for the first numbers"));
}
