//! The eight views: the columns of each, and where its rows come from.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use zctrace_common::{Op, Promise};

use super::{Column, NoRows, RowId, Rows, Sort, Value, id_of};
use crate::{
    bench::{Entry, Status},
    catalog::{Family, sight},
    claims::Verdict,
    ledger::{CpuTime, Named, Totals, ratio, refusals},
    text::escape::printable,
    tui::moment::{
        AsyncRow, Moment, PathRow, ProcessId, ProcessRow, Step, Sym, Whose,
        packed::Packed,
        sides::{Part, ProbeRow, ProbeState},
        tree::{Kind, Tree},
        without_copy, zero_copy_share,
    },
    workload::technique::Workload,
};

/// A view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the titles say it")]
pub enum View {
    Overview,
    Paths,
    Memory,
    Asynchronous,
    Claims,
    Stacks,
    Workloads,
    Probes,
}

impl View {
    /// Every view, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Overview,
        Self::Paths,
        Self::Memory,
        Self::Asynchronous,
        Self::Claims,
        Self::Stacks,
        Self::Workloads,
        Self::Probes,
    ];

    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Its name, and a short one for narrow terminals.
    #[must_use]
    pub const fn titles(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "Over"),
            Self::Paths => ("Paths", "Path"),
            Self::Memory => ("Memory", "Mem"),
            Self::Asynchronous => ("Async", "Asyn"),
            Self::Claims => ("Claims", "Clai"),
            Self::Stacks => ("Stacks", "Stac"),
            Self::Workloads => ("Workloads", "Work"),
            Self::Probes => ("Probes", "Prob"),
        }
    }

    /// Its columns.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Overview => PROCESSES,
            Self::Paths | Self::Memory | Self::Claims => PATHS,
            Self::Asynchronous => REQUESTS,
            Self::Stacks => STACKS,
            Self::Workloads => WORKLOADS,
            Self::Probes => PROBES,
        }
    }

    /// How it is sorted at first.
    #[must_use]
    pub fn sort(self) -> Sort {
        let name = match self {
            Self::Overview => "copied/s",
            Self::Probes => "runs/s",
            Self::Workloads | Self::Stacks => "",
            Self::Memory => "cow",
            _ => "moved",
        };
        Sort {
            column: self.columns().iter().position(|column| column.name == name),
            descending: true,
        }
    }

    /// Whether a column is shown at first: the views of paths each show what matters there.
    #[must_use]
    pub fn shows(self, column: &Column) -> bool {
        let only: &[&str] = match self {
            Self::Memory => &[
                "evidence", "process", "op", "object", "ops/s", "ops", "moved/s", "mapped", "cow",
            ],
            Self::Claims => &[
                "evidence",
                "process",
                "op",
                "object",
                "asked",
                "moved",
                "zero-copy",
                "copied",
                "verdict",
                "reason",
            ],
            _ => return column.shown,
        };
        only.contains(&column.name)
    }

    /// What it shows that can be out of sight, as the beginning of a sentence.
    const fn techniques(self) -> &'static [(&'static str, Family, &'static str)] {
        match self {
            Self::Memory => &[
                (sight::FAULTS, Family::Fault, "Page faults are"),
                (sight::COPY_ON_WRITE, Family::Fault, "Copies on write are"),
            ],
            Self::Asynchronous => &[
                (sight::IO_URING, Family::Uring, "io_uring is"),
                (sight::AIO, Family::Aio, "Linux AIO is"),
            ],
            _ => &[],
        }
    }

    /// Which of it is out of sight, and why.
    pub fn unseen(self, moment: &Moment) -> impl Iterator<Item = (String, &str)> {
        let techniques = self.techniques().iter();
        techniques.filter_map(|(technique, family, what)| {
            let why = moment.unseen(technique, *family)?;
            Some((format!("{what} not seen here"), why))
        })
    }

    /// What to say where there are no rows. What is out of sight is not called nothing.
    #[must_use]
    pub fn empty(self, moment: &Moment) -> String {
        let unseen: Vec<_> = self.unseen(moment).collect();
        if let Some((_, why)) = unseen.first() {
            let rest = if unseen.len() == self.techniques().len() {
                ""
            } else if self == Self::Asynchronous {
                " No other request was submitted."
            } else {
                " No page fault of a mapped file, and no write that may have copied a page."
            };
            let what: Vec<_> = unseen.iter().map(|(what, _)| what.as_str()).collect();
            return format!("{}: {}.{rest}", what.join(", "), printable(why));
        }
        match (self, &moment.sides.stacks) {
            (Self::Overview | Self::Paths, _) => "No I/O of the target has completed yet.",
            (Self::Memory, _) => "No fault has brought in file data or copied a page.",
            (Self::Asynchronous, _) => "No io_uring or AIO request was submitted.",
            (Self::Claims, _) => {
                "Nothing that claims to be zero-copy was used: no sendfile, splice, MSG_ZEROCOPY, O_DIRECT, reflink."
            }
            (Self::Stacks, Part::Missing(why)) => why,
            (Self::Stacks, Part::Here(_)) => {
                "No sample yet: nothing of the target has copied enough."
            }
            (Self::Workloads, _) => "No technique.",
            (Self::Probes, _) => "This source does not say which probes are attached.",
        }
        .to_owned()
    }

    /// Its rows.
    #[must_use]
    pub fn rows<'a>(self, moment: &'a Moment, scope: &Scope<'_>) -> Box<dyn Rows + 'a> {
        let whose = scope.whose;
        let paths = |keep: &dyn Fn(usize) -> bool| -> Box<dyn Rows + 'a> {
            let places: Vec<_> = match whose {
                None => (0..moment.paths.len()).collect(),
                Some(Whose::Process(id)) => moment
                    .process(id)
                    .map_or(0..0, ProcessRow::places)
                    .collect(),
                Some(Whose::Command(comm)) => moment
                    .processes
                    .iter()
                    .filter(|process| process.comm == comm)
                    .flat_map(ProcessRow::places)
                    .collect(),
            };
            let mut places: Vec<_> = places.into_iter().filter(|at| keep(*at)).collect();
            if self == Self::Memory {
                // Rows without bytes are equal to the order by bytes that is chosen for this view.
                places.sort_by_key(|at| {
                    let path = moment.paths.get(*at);
                    Reverse(path.map_or(0, |path| path.totals.ops))
                });
            }
            Box::new(Paths {
                moment,
                rows: &moment.paths,
                places,
            })
        };
        match self {
            Self::Overview if scope.grouped => Box::new(Processes {
                moment,
                rows: &moment.commands,
                grouped: true,
            }),
            Self::Overview => Box::new(Processes {
                moment,
                rows: &moment.processes,
                grouped: false,
            }),
            Self::Paths => match whose {
                None => Box::new(Paths {
                    moment,
                    rows: &moment.merged,
                    places: (0..moment.merged.len()).collect(),
                }),
                Some(Whose::Command(comm)) => Box::new(Paths {
                    moment,
                    rows: &moment.by_command,
                    places: moment
                        .command(comm)
                        .map_or(0..0, ProcessRow::places)
                        .collect(),
                }),
                Some(Whose::Process(_)) => paths(&|_| true),
            },
            Self::Memory => paths(&|at| moment.names.op(moment.paths.op(at)).is_fault()),
            Self::Asynchronous => {
                let wanted = |row: &&AsyncRow| match whose {
                    None => true,
                    Some(Whose::Process(id)) => row.id == id,
                    Some(Whose::Command(comm)) => row.comm == comm,
                };
                Box::new(Requests {
                    moment,
                    rows: moment.requests.iter().filter(wanted).collect(),
                })
            }
            Self::Claims => paths(&|at| moment.paths.is_judged(at)),
            Self::Stacks => Box::new(Stacks::new(moment, scope)),
            Self::Workloads => Box::new(Techniques {
                rows: Workload::by_job(),
                results: scope.results.clone(),
            }),
            Self::Probes => match &moment.sides.probes {
                Part::Here(probes) => Box::new(Probes { moment, probes }),
                Part::Missing(_) => Box::new(NoRows),
            },
        }
    }
}

/// What the rows of a view depend on beside the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Only of this process or command.
    pub whose: Option<Whose>,
    /// Processes of one command are one row.
    pub grouped: bool,
    /// What was measured of each technique.
    pub results: &'a BTreeMap<String, Entry>,
    /// Nodes of the tree that the user has opened or closed.
    pub folds: &'a HashMap<RowId, bool>,
    /// Every node is open.
    pub unfolded: bool,
}

/// Whether a row is of a technique that promises to do without copies.
#[must_use]
pub fn promises(op: &Named<Op>, path: &PathRow) -> bool {
    op.is(|op| op.promise() != Promise::Plain)
        || path.asked.0 != 0
        || path.totals.direct != 0
        || path.totals.spliced != 0
        || path.totals.deferred != 0
}

/// The ways in which bytes moved, the most first.
fn ways(totals: &Totals) -> Vec<String> {
    let mut ways: Vec<_> = totals
        .classes()
        .into_iter()
        .chain(totals.extras())
        .collect();
    ways.retain(|(_, bytes)| *bytes != 0);
    ways.sort_by_key(|(_, bytes)| Reverse(*bytes));
    ways.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// The columns that every view of the ledger has, by their names.
fn counted(name: &str, totals: &Totals, step: &Step, moment: &Moment) -> Value<'static> {
    match name {
        "moved" => Value::Bytes(totals.moved),
        "moved/s" => Value::BytesPerSecond(moment.per_second(step.moved)),
        "copied" => Value::Bytes(totals.copies()),
        "copied/s" => Value::BytesPerSecond(moment.per_second(step.copied)),
        "copies/byte" => Value::PerByte(totals.per_byte()),
        "how" => Value::Ways(Box::new(*totals)),
        "ops" => Value::Count(totals.ops),
        "ops/s" => Value::PerSecond(moment.per_second(step.ops)),
        "errors" => Value::Count(totals.errors),
        "filled" => Value::Bytes(totals.filled),
        _ => totals
            .classes()
            .into_iter()
            .chain(totals.extras())
            .find(|(class, _)| *class == name)
            .map_or(Value::None, |(_, bytes)| Value::Bytes(bytes)),
    }
}

/// A process by its name and number; what has ended has none.
#[must_use]
pub fn named(moment: &Moment, comm: Sym, id: ProcessId) -> String {
    match id.pid {
        0 => format!("{} [ended]", moment.name(comm)),
        pid => format!("{} [{pid}]", moment.name(comm)),
    }
}

const PROCESSES: &[Column] = &[
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
    Column::bytes("filled", "FILLED", "entered the page cache meanwhile").on_demand(),
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

struct Processes<'a> {
    moment: &'a Moment,
    rows: &'a [ProcessRow],
    grouped: bool,
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
        match PROCESSES[column].name {
            "pid" => match (process.alive, process.id.pid) {
                (0, _) => Value::text("ended"),
                (1, pid @ 1..) => Value::Number(pid),
                (alive, _) => Value::Text(format!("x{alive}").into()),
            },
            "processes" => Value::Count(process.alive),
            "ended" => Value::Count(process.ended),
            "comm" => Value::text(moment.name(process.comm)),
            "zero-copy" => Value::Percent(zero_copy_share(totals)),
            "path" => process
                .busiest
                .and_then(|path| moment.paths.get(path as usize))
                .map_or(Value::None, |path| {
                    Value::Text(Cow::Owned(format!(
                        "{} {}",
                        moment.name(path.op),
                        moment.name(path.object)
                    )))
                }),
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

const PATHS: &[Column] = &[
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
    Column::bytes("filled", "FILLED", "entered the page cache meanwhile").on_demand(),
];

struct Paths<'a> {
    moment: &'a Moment,
    rows: &'a Packed,
    /// Those of the view.
    places: Vec<usize>,
}

impl Paths<'_> {
    fn path(&self, row: usize) -> PathRow {
        self.rows.get(self.places[row]).unwrap_or_default()
    }
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
        match PATHS[column].name {
            "evidence" => Value::text(if path.inferred { "~" } else { "" }),
            "process" => match moment.processes.get(path.process as usize) {
                Some(process) => Value::Text(named(moment, process.comm, process.id).into()),
                None => Value::text("all"),
            },
            "op" => Value::text(moment.name(path.op)),
            "object" => Value::text(moment.name(path.object)),
            "asked" => Value::text(moment.name(path.asked)),
            "by" => Value::text(moment.name(path.by)),
            "errnos" => moment.errnos(&path).map_or(Value::None, |errnos| {
                errnos
                    .words()
                    .map_or(Value::None, |words| Value::Text(words.into()))
            }),
            "means" => moment.errnos(&path).map_or(Value::None, |errnos| {
                let (op, object) = (moment.names.op(path.op), moment.name(path.object));
                let words = refusals::words_of(op.known(), &object.into(), errnos);
                Value::Text(words.join("; ").into())
            }),
            "sizes" => moment.sizes(&path).map_or(Value::None, Value::Sizes),
            "zero-copy" => Value::Bytes(without_copy(totals)),
            "verdict" => moment
                .verdict(&path)
                .map_or(Value::None, |verdict| Value::text(verdict.verdict.word())),
            "reason" => moment
                .verdict(&path)
                .map_or(Value::None, |verdict| Value::text(&verdict.reason)),
            "code" => moment
                .verdict(&path)
                .map_or(Value::None, |verdict| Value::text(&verdict.code)),
            name => counted(name, totals, &path.step, moment),
        }
    }
}

const REQUESTS: &[Column] = &[
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

struct Requests<'a> {
    moment: &'a Moment,
    rows: Vec<&'a AsyncRow>,
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
        match REQUESTS[column].name {
            "evidence" => Value::text(if row.inferred { "~" } else { "" }),
            "process" => Value::Text(named(moment, row.comm, row.id).into()),
            "op" => Value::text(moment.name(row.op)),
            "submitted" => ways.map_or(Value::None, |ways| Value::Count(ways.submitted)),
            "completed" => ways.map_or(Value::None, |ways| Value::Count(ways.completed())),
            "in-flight" => ways.map_or(Value::None, |_| Value::Count(row.in_flight)),
            "inline" => ways.map_or(Value::None, |ways| Value::Count(ways.inline)),
            "worker" => ways.map_or(Value::None, |ways| Value::Count(ways.worker)),
            "sqpoll" => ways.map_or(Value::None, |ways| Value::Count(ways.sq_poll)),
            "task-work" => ways.map_or(Value::None, |ways| Value::Count(ways.task_work)),
            "object" => Value::text(moment.name(row.objects)),
            name => counted(name, &row.totals, &row.step, moment),
        }
    }
}

const STACKS: &[Column] = &[
    Column::bytes("bytes", "BYTES", "sampled bytes, copied here and below").rank(1),
    Column::number("share", "SHARE", 6, "of all sampled bytes").rank(1),
    Column::text(
        "function",
        "FUNCTION",
        20,
        400,
        "the function, further in than its caller",
    )
    .identity(),
    Column::text("kind", "KIND", 7, 7, "process, user, kernel, class or note").on_demand(),
    Column::number("depth", "DEPTH", 5, "how many callers it has").on_demand(),
];

struct Stacks {
    tree: Arc<Tree>,
    /// The nodes on screen, and what their mark says: open, closed, or nothing below.
    shown: Vec<(usize, Option<bool>)>,
}

impl Stacks {
    fn new(moment: &Moment, scope: &Scope<'_>) -> Self {
        let tree = moment.stacks.tree(scope.whose, &moment.names);
        let mut shown = Vec::new();
        let mut index = 0;
        while let Some(node) = tree.nodes.get(index) {
            let open = scope.unfolded
                || scope
                    .folds
                    .get(&node.id)
                    .copied()
                    .unwrap_or_else(|| tree.is_weighty(node));
            shown.push((index, (node.size > 1).then_some(open)));
            index += if open { 1 } else { node.size };
        }
        Self { tree, shown }
    }
}

impl Rows for Stacks {
    fn len(&self) -> usize {
        self.shown.len()
    }

    fn id(&self, row: usize) -> RowId {
        self.tree.nodes[self.shown[row].0].id
    }

    fn topics(&self, row: usize) -> Vec<String> {
        let node = &self.tree.nodes[self.shown[row].0];
        vec![node.name.as_ref().to_owned()]
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let (node, open) = self.shown[row];
        let node = &self.tree.nodes[node];
        match STACKS[column].name {
            "bytes" => Value::Bytes(node.bytes),
            "share" => Value::Percent(ratio(node.bytes, self.tree.total).map(|part| part * 100.0)),
            "function" => {
                let mark = match open {
                    Some(true) => "- ",
                    Some(false) => "+ ",
                    None => "  ",
                };
                let inward = usize::from(node.indent) * 2;
                Value::Text(Cow::Owned(format!("{:inward$}{mark}{}", "", node.name)))
            }
            "kind" => Value::text(match node.kind {
                Kind::Process => "process",
                Kind::User => "user",
                Kind::Kernel => "kernel",
                Kind::Class => "class",
                Kind::Note => "note",
            }),
            "depth" => Value::Count(node.depth.into()),
            _ => Value::None,
        }
    }
}

const WORKLOADS: &[Column] = &[
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

struct Techniques {
    rows: Vec<Workload>,
    results: BTreeMap<String, Entry>,
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
        match WORKLOADS[column].name {
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
            "result" => result.map_or(Value::None, |entry| {
                Value::text(match entry.status {
                    Status::Ok => "as expected",
                    Status::Unverified => "unverified",
                    Status::Differs => "differs",
                    Status::Skipped => "skipped",
                })
            }),
            _ => Value::Text(workload.summary().into()),
        }
    }
}

const PROBES: &[Column] = &[
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

struct Probes<'a> {
    moment: &'a Moment,
    probes: &'a [ProbeRow],
}

impl Rows for Probes<'_> {
    fn len(&self) -> usize {
        self.probes.len()
    }

    fn id(&self, row: usize) -> RowId {
        id_of(&self.probes[row].name)
    }

    fn is_alarming(&self, row: usize) -> bool {
        matches!(self.probes[row].state, ProbeState::Silent) || self.probes[row].missed != 0
    }

    fn topics(&self, row: usize) -> Vec<String> {
        vec![self.probes[row].name.to_string()]
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let probe = &self.probes[row];
        match PROBES[column].name {
            "probe" => Value::text(&probe.name),
            "family" => Value::text(probe.family),
            "state" => Value::text(probe.state.name()),
            "kind" => Value::text(probe.kind),
            "runs/s" if probe.runs.is_some() => {
                Value::PerSecond(self.moment.per_second(probe.runs_step))
            }
            "runs" => probe.runs.map_or(Value::None, Value::Count),
            "time" => probe
                .ns
                .filter(|ns| *ns != 0)
                .map_or(Value::None, |ns| Value::Time(Duration::from_nanos(ns))),
            "missed" => Value::Count(probe.missed),
            "reason" => Value::text(&probe.reason),
            "lost" => Value::text(&probe.lost),
            _ => Value::None,
        }
    }
}
