//! The view of techniques, which are measured on demand.

use std::{collections::BTreeMap, time::Duration};

use super::counted::unknown;
use crate::{
    bench::{Entry, Status},
    tui::rows::{Column, RowId, Rows, Tone, Value, id_of},
    workload::technique::Workload,
};

/// Its columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::text(
        "name",
        "TECHNIQUE",
        14,
        26,
        "its name, as `zctrace bench` and `zctrace explain` take it",
    )
    .identity(),
    Column::text("job", "FOR", 24, 30, "what it is for: others do the same").rank(1),
    Column::number(
        "expected",
        "EXPECT",
        6,
        "copies that it must do for each byte carried, once it was measured",
    )
    .rank(1),
    Column::number(
        "copies/byte",
        "COPY/B",
        6,
        "copies that were measured for each byte carried",
    )
    .rank(1),
    Column::bytes("carried/s", "BYTES/s", "bytes that it carried in a second").rank(2),
    Column::number(
        "cpu",
        "CPU/GiB",
        8,
        "processor time of all its processes for each GiB carried",
    )
    .rank(2),
    Column::text(
        "result",
        "RESULT",
        10,
        11,
        "whether it was measured as expected",
    )
    .rank(4),
    Column::text("summary", "WHAT IT DOES", 20, 90, "what it does").rank(3),
];

pub(super) struct Techniques {
    pub(super) rows: Vec<Workload>,
    /// What was measured of each.
    pub(super) results: BTreeMap<String, Entry>,
}

impl Rows for Techniques {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> RowId {
        id_of(self.rows[row].name())
    }

    fn topics(&self, row: usize) -> Vec<String> {
        vec![self.rows[row].name()]
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let workload = &self.rows[row];
        let result = self.results.get(&workload.name());
        let figure = |of: fn(&Entry) -> Option<f64>| {
            let figure = result.and_then(of);
            figure.map_or(Value::None, Value::Figure)
        };
        match COLUMNS[column].name {
            "name" => Value::Text(workload.name().into()),
            "job" => Value::text(workload.technique.job.name()),
            "expected" => figure(|entry| entry.expected_copies_per_carried_byte),
            "copies/byte" => match result {
                // Nothing was seen of what was carried.
                Some(entry)
                    if entry.bytes != 0 && entry.measured_copies_per_carried_byte.is_none() =>
                {
                    Value::text("?")
                }
                _ => figure(|entry| entry.measured_copies_per_carried_byte),
            },
            "carried/s" => result
                .and_then(|entry| entry.bytes_per_second)
                .map_or(Value::None, Value::BytesPerSecond),
            "cpu" => result
                .and_then(|entry| Duration::try_from_secs_f64(entry.cpu_seconds_per_gib?).ok())
                .map_or(Value::None, Value::Time),
            "result" => result.map_or(Value::None, |entry| status(entry.status)),
            "summary" => Value::Text(workload.summary().into()),
            name => unknown(name),
        }
    }
}

/// Whether a technique was measured as expected.
const fn status(status: Status) -> Value<'static> {
    match status {
        Status::Ok => Value::Word("as expected", Tone::Good),
        Status::Unverified => Value::Word("unverified", Tone::Plain),
        Status::Differs => Value::Word("differs", Tone::Alarm),
        Status::Skipped => Value::Word("skipped", Tone::Plain),
    }
}
