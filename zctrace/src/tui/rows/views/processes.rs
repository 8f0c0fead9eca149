//! The view of processes, or of the commands that they run.

use std::time::Duration;

use super::counted::{counted, ways};
use crate::{
    ledger::CpuTime,
    tui::{
        moment::{Moment, ProcessRow, zero_copy_share},
        rows::{Column, RowId, Rows, Value, id_of},
    },
};

/// Its columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::number(
        "pid",
        "PID",
        7,
        "process id; x4 for four processes of one name, ended where none is left",
    )
    .identity(),
    Column::text("comm", "COMMAND", 9, 15, "command name").identity(),
    Column::bytes("moved/s", "MOVED/s", "bytes moved per second").rank(2),
    Column::bytes(
        "copied/s",
        "COPIED/s",
        "bytes that a CPU copied, per second",
    )
    .rank(1),
    Column::number(
        "copies/byte",
        "COPY/B",
        6,
        "copies per moved byte since the base",
    )
    .rank(1),
    Column::number(
        "zero-copy",
        "ZC%",
        5,
        "share of the moved bytes that went without a copy",
    )
    .rank(4),
    Column::text(
        "path",
        "BUSIEST PATH",
        14,
        40,
        "the data path that moves most",
    )
    .rank(3),
    Column::drawing(
        "activity",
        "ACTIVITY",
        16,
        16,
        "bytes moved in the last steps",
    )
    .rank(6),
    Column::bytes("moved", "MOVED", "bytes moved since the base").rank(5),
    Column::bytes("copied", "COPIED", "bytes that a CPU copied since the base").rank(5),
    Column::number("ops/s", "OPS/s", 7, "operations per second").on_demand(),
    Column::number("errors", "ERRORS", 7, "failed operations").on_demand(),
    Column::number("processes", "ALIVE", 6, "processes that run").on_demand(),
    Column::number("ended", "ENDED", 7, "processes that have ended").on_demand(),
    Column::bytes("sent", "SENT", "bytes moved to the network").on_demand(),
    Column::bytes("received", "RECEIVED", "bytes moved from the network").on_demand(),
    Column::number(
        "copy-cpu",
        "COPY CPU",
        8,
        "processor time in the kernel's copy routines, from samples",
    )
    .rank(7),
    Column::number(
        "user-copy",
        "USERCPY",
        7,
        "share of its processor time copying memory in user space, from samples",
    )
    .on_demand(),
    Column::number(
        "ciphers",
        "CIPHERS",
        7,
        "share of its processor time in TLS and other ciphers, from samples",
    )
    .on_demand(),
    Column::number(
        "compression",
        "COMPR",
        7,
        "share of its processor time compressing, from samples",
    )
    .on_demand(),
    Column::number(
        "cpu-not-known",
        "CPU?",
        7,
        "share of its processor time in user code without a name",
    )
    .on_demand(),
    Column::bytes(
        "pending",
        "PENDING",
        "sent by reference, may still be copied",
    )
    .on_demand(),
    Column::number("in-flight", "OPEN", 5, "operations under way").on_demand(),
    Column::bytes("unexplained", "UNEXPL", "bytes that no probe saw").on_demand(),
    Column::bytes("cow", "COW", "copied by copy-on-write").on_demand(),
    Column::bytes(
        "filled",
        "FILLED",
        "read into the page cache during the operation",
    )
    .on_demand(),
    Column::text("cgroup", "CGROUP", 10, 40, "control group").on_demand(),
    Column::text(
        "container",
        "CONTAINER",
        10,
        40,
        "container: namespace/pod/name, or its id",
    )
    .on_demand(),
];

/// A part of a process's processor time.
fn share(process: &ProcessRow, part: fn(&CpuTime) -> f64) -> Value<'static> {
    let time = process.cpu.as_ref();
    Value::Percent(time.and_then(|time| time.share(part(time))))
}

pub(super) struct Processes<'a> {
    pub(super) moment: &'a Moment,
    pub(super) rows: &'a [ProcessRow],
    /// A row is a command.
    pub(super) grouped: bool,
}

impl Rows for Processes<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> RowId {
        if self.grouped {
            id_of(("command", self.rows[row].comm))
        } else {
            id_of(self.rows[row].id)
        }
    }

    fn is_alarming(&self, row: usize) -> bool {
        self.rows[row].totals.unexplained != 0
    }

    fn is_over(&self, row: usize) -> bool {
        self.rows[row].is_over()
    }

    fn topics(&self, row: usize) -> Vec<String> {
        let process = &self.rows[row];
        let busiest = process
            .busiest
            .and_then(|path| self.moment.paths.get(path as usize));
        let name = |sym| self.moment.name(sym).to_owned();
        let mut topics: Vec<_> = busiest.iter().map(|path| name(path.op)).collect();
        topics.extend(ways(&process.totals));
        topics.extend(busiest.iter().map(|path| name(path.object)));
        topics
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let moment = self.moment;
        let process: &ProcessRow = &self.rows[row];
        let totals = &process.totals;
        match COLUMNS[column].name {
            "pid" => match (process.alive, process.id.pid) {
                (0, _) => Value::text("ended"),
                (1, pid @ 1..) => Value::Number(pid),
                (alive, _) => Value::Text(format!("x{alive}").into()),
            },
            "processes" => Value::Count(process.alive),
            "ended" => Value::Count(process.ended),
            "comm" => Value::text(moment.name(process.comm)),
            "zero-copy" => Value::Percent(zero_copy_share(totals)),
            "path" => busiest(moment, process),
            "activity" => Value::Spark(&process.spark),
            "sent" => Value::Bytes(process.sent),
            "received" => Value::Bytes(process.received),
            "copy-cpu" => process.copy_cpu.map_or(Value::None, |seconds| {
                Duration::try_from_secs_f64(seconds).map_or(Value::None, Value::Time)
            }),
            "user-copy" => share(process, |time| time.user_copying),
            "ciphers" => share(process, |time| time.user_ciphers),
            "compression" => share(process, |time| time.user_compression),
            "cpu-not-known" => share(process, |time| time.user_not_known),
            "pending" => Value::Bytes(process.pending),
            "in-flight" => Value::Count(process.in_flight),
            "cgroup" => Value::text(moment.name(process.cgroup)),
            "container" => Value::text(moment.name(process.container)),
            "copies/byte" => Value::PerByte(totals.per_carried_byte()),
            name => counted(name, totals, &process.step, moment),
        }
    }
}

/// The data path that moves most.
fn busiest(moment: &Moment, process: &ProcessRow) -> Value<'static> {
    let path = process.busiest;
    let path = path.and_then(|path| moment.paths.get(path as usize));
    path.map_or(Value::None, |path| {
        let (op, object) = (moment.name(path.op), moment.name(path.object));
        Value::Text(format!("{op} {object}").into())
    })
}
