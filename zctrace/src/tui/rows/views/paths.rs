//! The views of data paths: all of them, those of memory, and those that claim to do without copies.

use std::cmp::Reverse;

use zctrace_common::{Op, Promise};

use super::counted::{counted, evidence, named, ways};
use crate::{
    claims::Verdict,
    ledger::{Errnos, Named, refusals},
    tui::{
        moment::{Moment, PathRow, ProcessRow, RowVerdict, Whose, packed::Packed, without_copy},
        rows::{Column, RowId, Rows, Tone, Value, id_of},
    },
};

/// Their columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::text(
        "evidence",
        "E",
        1,
        1,
        "~ inferred from the call, blank where measured",
    )
    .identity(),
    Column::text("process", "PROCESS", 10, 26, "command name and process id")
        .identity()
        .on_demand(),
    Column::text("op", "OPERATION", 10, 20, "the operation").identity(),
    Column::text("object", "OBJECT", 9, 40, "what it worked on").identity(),
    Column::text(
        "verdict",
        "VERDICT",
        12,
        12,
        "what `zctrace check --max-copies-per-byte 0.02` says about the row so far",
    )
    .rank(1)
    .on_demand(),
    Column::text(
        "asked",
        "ASKED FOR",
        9,
        24,
        "what the application asked for, and what was seen there",
    )
    .rank(7)
    .on_demand(),
    Column::bytes("moved/s", "MOVED/s", "bytes moved per second").rank(3),
    Column::bytes("moved", "MOVED", "bytes moved since the base").rank(2),
    Column::number("copies/byte", "COPY/B", 6, "copies per moved byte").rank(1),
    Column::drawing("how", "HOW", 12, 60, "how the bytes moved, class by class").rank(3),
    Column::number("ops/s", "OPS/s", 7, "operations per second").rank(7),
    Column::number("ops", "OPS", 7, "operations since the base").rank(7),
    Column::drawing(
        "sizes",
        "0 SIZES >16M",
        13,
        13,
        "operations that moved nothing, less than 16 bytes, 64, 256, 1K and so on, 16M or more",
    )
    .rank(8),
    Column::number("errors", "ERRORS", 7, "failed operations").on_demand(),
    Column::text(
        "errnos",
        "FAILED",
        6,
        24,
        "what operations failed with since the base",
    )
    .rank(4),
    Column::text(
        "means",
        "WHICH MEANS",
        18,
        90,
        "what it means for this call",
    )
    .on_demand(),
    Column::bytes("zero-copy", "ZERO-COPY", "bytes that moved without a copy")
        .rank(6)
        .on_demand(),
    Column::number(
        "notified",
        "NOTIFIED",
        8,
        "median time from a zero-copy send to its notification",
    )
    .rank(8)
    .on_demand(),
    Column::bytes("copied", "COPIED", "bytes that a CPU copied")
        .rank(4)
        .on_demand(),
    Column::text(
        "reason",
        "WHY",
        18,
        90,
        "the most important reason of the verdict",
    )
    .rank(4)
    .on_demand(),
    Column::text("code", "CODE", 12, 24, "its name, for `zctrace explain`").on_demand(),
    Column::text("by", "BY", 8, 30, "the dimension of --by")
        .identity()
        .on_demand(),
    Column::bytes("copied_to_user", "TO USER", "copied to user memory").on_demand(),
    Column::bytes("copied_from_user", "FROM USER", "copied from user memory").on_demand(),
    Column::bytes("copied_in_kernel", "IN KERNEL", "copied within the kernel").on_demand(),
    Column::bytes("spliced", "SPLICED", "passed by reference").on_demand(),
    Column::bytes("direct", "DIRECT", "past the page cache").on_demand(),
    Column::bytes("cloned", "CLONED", "extents shared").on_demand(),
    Column::bytes("mapped", "MAPPED", "made visible through a page table")
        .rank(2)
        .on_demand(),
    Column::bytes("synthetic", "SYNTHETIC", "generated or dropped").on_demand(),
    Column::bytes("unexplained", "UNEXPL", "no probe saw how").on_demand(),
    Column::bytes("deferred", "DEFERRED", "copied later").on_demand(),
    Column::bytes("recopied", "RECOPIED", "copied again").on_demand(),
    Column::bytes("wasted", "WASTED", "copied and not delivered").on_demand(),
    Column::bytes("cow", "COW", "copied by copy-on-write")
        .rank(2)
        .on_demand(),
    Column::bytes("encrypted", "ENCRYPTED", "rewritten by a transform").on_demand(),
    Column::bytes(
        "filled",
        "FILLED",
        "read into the page cache during the operation",
    )
    .on_demand(),
];

/// Whether a row is of a technique that promises to do without copies.
#[must_use]
pub fn promises(op: &Named<Op>, path: &PathRow) -> bool {
    op.is(|op| op.promise() != Promise::Plain)
        || path.asked.0 != 0
        || path.totals.direct != 0
        || path.totals.spliced != 0
        || path.totals.deferred != 0
}

pub(super) struct Paths<'a> {
    moment: &'a Moment,
    rows: &'a Packed,
    /// Those of the view.
    places: Vec<usize>,
}

impl<'a> Paths<'a> {
    /// The rows of a process or a command; without one those of all processes taken together.
    pub(super) fn of(moment: &'a Moment, whose: Option<Whose>) -> Self {
        let command = |comm| moment.command(comm).map_or(0..0, ProcessRow::places);
        let (rows, places) = match whose {
            None => (&moment.merged, 0..moment.merged.len()),
            Some(Whose::Command(comm)) => (&moment.by_command, command(comm)),
            Some(Whose::Process(_)) => return Self::kept(moment, whose, |_| true),
        };
        Self {
            moment,
            rows,
            places: places.collect(),
        }
    }

    /// Some rows of a process or a command, process by process; without one, of all processes.
    pub(super) fn kept(
        moment: &'a Moment,
        whose: Option<Whose>,
        keep: impl Fn(usize) -> bool,
    ) -> Self {
        let mut places: Vec<usize> = match whose {
            None => (0..moment.paths.len()).collect(),
            Some(Whose::Process(id)) => {
                let process = moment.process(id);
                process.map_or(0..0, ProcessRow::places).collect()
            }
            Some(Whose::Command(comm)) => {
                let processes = moment.processes.iter();
                let processes = processes.filter(|process| process.comm == comm);
                processes.flat_map(ProcessRow::places).collect()
            }
        };
        places.retain(|at| keep(*at));
        Self {
            moment,
            rows: &moment.paths,
            places,
        }
    }

    /// The same rows, those with the most operations first.
    pub(super) fn by_operations(mut self) -> Self {
        self.places.sort_by_key(|at| {
            let path = self.rows.get(*at);
            Reverse(path.map_or(0, |path| path.totals.ops))
        });
        self
    }

    fn path(&self, row: usize) -> PathRow {
        self.rows.get(self.places[row]).unwrap_or_default()
    }

    /// What its operations failed with.
    fn failed(&self, path: &PathRow) -> Value<'a> {
        let words = self.moment.errnos(path).and_then(Errnos::words);
        words.map_or(Value::None, |words| Value::Text(words.into()))
    }

    /// What these errors mean for this call.
    fn meaning(&self, path: &PathRow) -> Value<'a> {
        self.moment.errnos(path).map_or(Value::None, |errnos| {
            let names = &self.moment.names;
            let (op, object) = (names.op(path.op), self.moment.name(path.object));
            let words = refusals::words_of(op.known(), &object.into(), errnos);
            Value::Text(words.join("; ").into())
        })
    }

    /// A part of the verdict on a row, where there is one.
    fn judged(&self, path: &PathRow, part: impl Fn(&'a RowVerdict) -> Value<'a>) -> Value<'a> {
        self.moment.verdict(path).map_or(Value::None, part)
    }
}

fn verdict_word(verdict: Verdict) -> Value<'static> {
    let tone = match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Inconclusive => Tone::Warning,
        Verdict::Fail => Tone::Alarm,
    };
    Value::Word(verdict.word(), tone)
}

impl Rows for Paths<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn id(&self, row: usize) -> RowId {
        let path = self.path(row);
        let process = self.moment.processes.get(path.process as usize);
        id_of((process.map(|process| process.id), path.key()))
    }

    fn is_alarming(&self, row: usize) -> bool {
        let path = self.path(row);
        path.totals.unexplained != 0
            || self
                .moment
                .verdict(&path)
                .is_some_and(|verdict| verdict.verdict == Verdict::Fail)
    }

    fn topics(&self, row: usize) -> Vec<String> {
        let (moment, path) = (self.moment, self.path(row));
        let verdict = moment.verdict(&path).map(|verdict| verdict.code.clone());
        let mut topics: Vec<_> = verdict.into_iter().collect();
        topics.push(moment.name(path.op).to_owned());
        topics.extend(ways(&path.totals));
        topics.push(moment.name(path.object).to_owned());
        if path.inferred {
            topics.push("inferred".to_owned());
        }
        let failed = moment.errnos(&path).into_iter();
        topics.extend(failed.flat_map(|errnos| errnos.iter().map(|(errno, _)| errno.to_string())));
        topics
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let (moment, path) = (self.moment, self.path(row));
        let totals = &path.totals;
        match COLUMNS[column].name {
            "evidence" => evidence(path.inferred),
            "process" => match moment.processes.get(path.process as usize) {
                Some(process) => Value::Text(named(moment, process.comm, process.id).into()),
                None => Value::text("all"),
            },
            "op" => Value::text(moment.name(path.op)),
            "object" => Value::text(moment.name(path.object)),
            "asked" => Value::text(moment.name(path.asked)),
            "by" => Value::text(moment.name(path.by)),
            "errnos" => self.failed(&path),
            "means" => self.meaning(&path),
            "sizes" => moment.sizes(&path).map_or(Value::None, Value::Sizes),
            "notified" => {
                let notified = moment.notified(&path);
                let median = notified.and_then(|notified| notified.within(500));
                median.map_or(Value::None, Value::Time)
            }
            "zero-copy" => Value::Bytes(without_copy(totals)),
            "verdict" => self.judged(&path, |verdict| verdict_word(verdict.verdict)),
            "reason" => self.judged(&path, |verdict| Value::text(&verdict.reason)),
            "code" => self.judged(&path, |verdict| Value::text(&verdict.code)),
            name => counted(name, totals, &path.step, moment),
        }
    }
}
