//! The view of probes.

use std::time::Duration;

use super::counted::unknown;
use crate::{
    kernel::doctor::ProbeStatus,
    tui::{
        moment::{Moment, sides::ProbeRow},
        rows::{Column, RowId, Rows, Tone, Value, id_of},
    },
};

/// Its columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::text("probe", "PROBE", 14, 40, "its name in the catalog").identity(),
    Column::text("family", "FAMILY", 9, 9, "the paths it serves").rank(4),
    Column::text(
        "state",
        "STATE",
        10,
        10,
        "attached, refused, silent, or not needed",
    )
    .rank(1),
    Column::text("kind", "KIND", 9, 9, "how it is attached"),
    Column::number(
        "runs/s",
        "RUNS/s",
        7,
        "runs per second, where the kernel counts them",
    )
    .rank(3),
    Column::number("time", "TIME", 8, "time in it since it was attached"),
    Column::number("missed", "MISSED", 6, "runs that the kernel skipped"),
    Column::text("reason", "WHY NOT", 10, 60, "why it does not take part").rank(2),
    Column::number("runs", "RUNS", 7, "runs since it was attached").on_demand(),
    Column::text("lost", "LOST WITHOUT IT", 12, 60, "what is lost without it").on_demand(),
];

pub(super) struct Probes<'a> {
    pub(super) moment: &'a Moment,
    pub(super) probes: &'a [ProbeRow],
}

impl Rows for Probes<'_> {
    fn len(&self) -> usize {
        self.probes.len()
    }

    fn id(&self, row: usize) -> RowId {
        id_of(&self.probes[row].name)
    }

    fn is_alarming(&self, row: usize) -> bool {
        self.probes[row].state == ProbeStatus::Silent || self.probes[row].missed != 0
    }

    fn topics(&self, row: usize) -> Vec<String> {
        vec![self.probes[row].name.to_string()]
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let probe = &self.probes[row];
        match COLUMNS[column].name {
            "probe" => Value::text(&probe.name),
            "family" => Value::text(probe.family),
            "state" => state(probe.state),
            "kind" => Value::text(probe.kind),
            "runs/s" => probe.runs.map_or(Value::None, |_| {
                Value::PerSecond(self.moment.per_second(probe.runs_step))
            }),
            "runs" => probe.runs.map_or(Value::None, Value::Count),
            "time" => probe
                .ns
                .filter(|ns| *ns != 0)
                .map_or(Value::None, |ns| Value::Time(Duration::from_nanos(ns))),
            "missed" => Value::Count(probe.missed),
            "reason" => Value::text(&probe.reason),
            "lost" => Value::text(&probe.lost),
            name => unknown(name),
        }
    }
}

fn state(state: ProbeStatus) -> Value<'static> {
    let tone = match state {
        ProbeStatus::Attached => Tone::Good,
        ProbeStatus::Refused => Tone::Warning,
        ProbeStatus::Silent => Tone::Alarm,
        ProbeStatus::NotNeeded => Tone::Plain,
    };
    Value::Word(state.name(), tone)
}
