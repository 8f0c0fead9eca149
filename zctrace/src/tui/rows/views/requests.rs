//! The view of requests to io_uring and Linux AIO.

use super::counted::{counted, evidence, named, ways};
use crate::{
    ledger::Ways,
    tui::{
        moment::{AsyncRow, Moment, Whose},
        rows::{Column, RowId, Rows, Value, id_of},
    },
};

/// Its columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::text(
        "evidence",
        "E",
        1,
        1,
        "~ some bytes are inferred from the call, blank where all are measured",
    )
    .identity(),
    Column::text("process", "PROCESS", 10, 26, "command name and process id").identity(),
    Column::text("op", "OPCODE", 12, 20, "the operation").identity(),
    Column::number("submitted", "SUBMIT", 7, "requests issued since the base").rank(2),
    Column::number("completed", "DONE", 7, "requests completed since the base").rank(1),
    Column::number("in-flight", "OPEN", 6, "requests that have not completed").rank(2),
    Column::number("inline", "INLINE", 7, "completed, issued while submitting"),
    Column::number(
        "worker",
        "WORKER",
        7,
        "completed, issued by a worker thread",
    ),
    Column::number(
        "sqpoll",
        "SQPOLL",
        7,
        "completed, issued by the thread that polls the submission queue",
    ),
    Column::number(
        "task-work",
        "TASKWORK",
        8,
        "completed, issued again by task work after a wait",
    ),
    Column::number(
        "per-submission",
        "BATCH",
        6,
        "requests that the process submitted at a time, on average: of all operations",
    )
    .rank(3),
    Column::number(
        "per-wait",
        "WAKE",
        6,
        "operations that completed for each time that the process waited for completions",
    )
    .rank(3),
    Column::bytes("moved/s", "MOVED/s", "bytes moved per second").rank(2),
    Column::number("copies/byte", "COPY/B", 6, "copies per moved byte").rank(1),
    Column::drawing("how", "HOW", 12, 40, "how the bytes moved, class by class").rank(3),
    Column::text("object", "OBJECT", 9, 30, "what they worked on").rank(4),
    Column::bytes("moved", "MOVED", "bytes moved since the base"),
    Column::number("ops/s", "CQE/s", 7, "completions per second").on_demand(),
    Column::number("ops", "CQES", 7, "completions since the base").on_demand(),
    Column::number("errors", "ERRORS", 7, "failed ones").on_demand(),
    Column::bytes("copied", "COPIED", "bytes that a CPU copied").on_demand(),
    Column::bytes("unexplained", "UNEXPL", "no probe saw how").on_demand(),
];

pub(super) struct Requests<'a> {
    moment: &'a Moment,
    rows: Vec<&'a AsyncRow>,
}

impl<'a> Requests<'a> {
    /// Those of a process or a command, or all.
    pub(super) fn of(moment: &'a Moment, whose: Option<Whose>) -> Self {
        let wanted = |row: &&AsyncRow| match whose {
            None => true,
            Some(Whose::Process(id)) => row.id == id,
            Some(Whose::Command(comm)) => row.comm == comm,
        };
        Self {
            moment,
            rows: moment.requests.iter().filter(wanted).collect(),
        }
    }

    /// The rows of the same process that are of io_uring, if this one is: each has how all of them were batched.
    fn of_ring(&self, row: &AsyncRow) -> impl Iterator<Item = (&'a AsyncRow, Ways)> + use<'a> {
        let is_one = row.ways.is_some_and(|ways| ways.batches() != [0; 3]);
        let (rows, id) = (self.moment.requests.iter(), row.id);
        let rows = rows.filter(move |other| is_one && other.id == id);
        rows.filter_map(|other| Some((other, other.ways?)))
            .filter(|(_, ways)| ways.batches() != [0; 3])
    }

    /// A row that came later than others has less.
    fn batches(&self, row: &AsyncRow) -> Option<Ways> {
        self.of_ring(row)
            .map(|(_, ways)| ways)
            .max_by_key(|ways| ways.taken)
    }

    fn per_wait(&self, row: &AsyncRow) -> Option<f64> {
        let operations = self.of_ring(row).map(|(other, _)| other.totals.ops);
        let operations = operations.fold(0, u64::saturating_add);
        self.batches(row)?.per_wait(operations)
    }
}

fn figure(number: Option<f64>) -> Value<'static> {
    number.map_or(Value::None, Value::Figure)
}

impl Rows for Requests<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> RowId {
        id_of((self.rows[row].id, self.rows[row].op))
    }

    fn is_alarming(&self, row: usize) -> bool {
        self.rows[row].totals.unexplained != 0
    }

    fn topics(&self, row: usize) -> Vec<String> {
        let row = self.rows[row];
        let mut topics = vec![self.moment.name(row.op).to_owned()];
        topics.extend(ways(&row.totals));
        if row.inferred {
            topics.push("inferred".to_owned());
        }
        topics
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let (moment, row) = (self.moment, self.rows[row]);
        let ways = row.ways.as_ref();
        match COLUMNS[column].name {
            "evidence" => evidence(row.inferred),
            "process" => Value::Text(named(moment, row.comm, row.id).into()),
            "op" => Value::text(moment.name(row.op)),
            "submitted" => ways.map_or(Value::None, |ways| Value::Count(ways.submitted)),
            "completed" => ways.map_or(Value::None, |ways| Value::Count(ways.completed())),
            "in-flight" => ways.map_or(Value::None, |_| Value::Count(row.in_flight)),
            "inline" => ways.map_or(Value::None, |ways| Value::Count(ways.inline)),
            "worker" => ways.map_or(Value::None, |ways| Value::Count(ways.worker)),
            "sqpoll" => ways.map_or(Value::None, |ways| Value::Count(ways.sq_poll)),
            "task-work" => ways.map_or(Value::None, |ways| Value::Count(ways.task_work)),
            "per-submission" => figure(self.batches(row).and_then(Ways::per_submission)),
            "per-wait" => figure(self.per_wait(row)),
            "object" => Value::text(moment.name(row.objects)),
            name => counted(name, &row.totals, &row.step, moment),
        }
    }
}
