//! The documents of the ledger, as `stat --json` prints them.

use serde::{Deserialize, Serialize};
use zctrace_common::{Class, Counters, Evidence, Op, Place};

use super::{Container, Coverage, CpuTime, Errnos, Loss, Named, Notified, Stacks};
use crate::{
    object::Object,
    text::{columns::cut, escape::printable},
};

/// The `schema` of a [`Snapshot`].
pub const SCHEMA: &str = "zctrace.stat/1";

/// Bytes by how they moved, and the copies that no moved byte is explained by.
///
/// All fields but `ops`, `errors` and `copies_per_byte` are bytes. Conservation: `moved` is the sum
/// of the nine classes from `copied_to_user` to `unexplained`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Completed operations.
    pub ops: u64,
    /// Operations that ended in an error.
    pub errors: u64,
    /// What the operations reported as done.
    pub moved: u64,
    /// Copied by a CPU from kernel to user memory.
    pub copied_to_user: u64,
    /// Copied by a CPU from user to kernel memory.
    pub copied_from_user: u64,
    /// Copied by a CPU within kernel memory.
    pub copied_in_kernel: u64,
    /// Passed by page reference.
    pub spliced: u64,
    /// The page cache was bypassed.
    pub direct: u64,
    /// Extents shared by the filesystem.
    pub cloned: u64,
    /// Made visible through a page table.
    pub mapped: u64,
    /// Generated or dropped.
    pub synthetic: u64,
    /// No probe saw how.
    pub unexplained: u64,
    /// Passed by reference, copied by the kernel later.
    pub deferred: u64,
    /// A further CPU copy within one operation.
    pub recopied: u64,
    /// Copied but not delivered.
    pub wasted: u64,
    /// Copied by copy-on-write.
    pub cow: u64,
    /// Read and rewritten by a transform.
    pub encrypted: u64,
    /// Entered the page cache while the operations ran, read ahead by them or not. Absent where nothing was seen to.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub filled: u64,
    /// Of the copies those in calls that are no operation: what was seen there is a part of what was copied. It is no
    /// counter, but follows from the operation of a row. Absent where there are none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub seen_in_part: u64,
    /// [`Totals::copies`] over `moved`; `None` when nothing moved.
    pub copies_per_byte: Option<f64>,
    /// How some of the bytes moved was not seen, or some of the copies were, so more may have been copied than
    /// `copies_per_byte` says. Absent where it is not so.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub copies_per_byte_is_lower_bound: bool,
}

impl Totals {
    /// How many [`Totals::numbers`] there are.
    pub const NUMBERS: usize = 19;

    /// The nine classes by name, in the order of the documents.
    #[must_use]
    pub const fn classes(&self) -> [(&'static str, u64); 9] {
        [
            ("copied_to_user", self.copied_to_user),
            ("copied_from_user", self.copied_from_user),
            ("copied_in_kernel", self.copied_in_kernel),
            ("spliced", self.spliced),
            ("direct", self.direct),
            ("cloned", self.cloned),
            ("mapped", self.mapped),
            ("synthetic", self.synthetic),
            ("unexplained", self.unexplained),
        ]
    }

    /// The fields beside the classes by name: bytes that explain nothing that moved.
    #[must_use]
    pub const fn extras(&self) -> [(&'static str, u64); 5] {
        [
            ("deferred", self.deferred),
            ("recopied", self.recopied),
            ("wasted", self.wasted),
            ("cow", self.cow),
            ("encrypted", self.encrypted),
        ]
    }

    /// Every number of bytes by name: `moved`, the classes, the extras.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, u64); 15] {
        let mut fields = [("moved", self.moved); 15];
        fields[1..10].copy_from_slice(&self.classes());
        fields[10..].copy_from_slice(&self.extras());
        fields
    }

    /// The sum of the nine classes; equal to `moved`.
    #[must_use]
    pub fn explained_and_unexplained(&self) -> u64 {
        sum(self.classes().map(|(_, bytes)| bytes))
    }

    /// Bytes that a CPU copied, however often.
    #[must_use]
    pub fn copies(&self) -> u64 {
        sum([
            self.copied_to_user,
            self.copied_from_user,
            self.copied_in_kernel,
            self.deferred,
            self.recopied,
            self.wasted,
            self.cow,
        ])
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { ops, errors, .. } = self;
        *ops == 0
            && *errors == 0
            && self.moved == 0
            && self.explained_and_unexplained() == 0
            && self.extras().iter().all(|(_, bytes)| *bytes == 0)
            && self.filled == 0
    }

    /// Whether nothing was counted except what entered the page cache: no operation ended, and nothing was copied.
    #[must_use]
    pub fn is_only_filled(&self) -> bool {
        let rest = Self { filled: 0, ..*self };
        self.filled != 0 && rest.is_empty()
    }

    /// Adds `other` and recomputes `copies_per_byte`.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, u64::saturating_add);
    }

    /// Takes `other` away, field by field, and recomputes `copies_per_byte`.
    pub fn subtract(&mut self, other: &Self) {
        self.zip(other, u64::saturating_sub);
    }

    fn zip(&mut self, other: &Self, f: impl Fn(u64, u64) -> u64) {
        let (mine, theirs) = (self.numbers(), other.numbers());
        *self = Self::of_numbers(std::array::from_fn(|place| f(mine[place], theirs[place])));
    }

    /// Every number but the ratio, in the order of the fields.
    #[must_use]
    pub const fn numbers(&self) -> [u64; Self::NUMBERS] {
        // Destructured whole, so that a new field cannot be forgotten.
        let Self {
            ops,
            errors,
            moved,
            copied_to_user,
            copied_from_user,
            copied_in_kernel,
            spliced,
            direct,
            cloned,
            mapped,
            synthetic,
            unexplained,
            deferred,
            recopied,
            wasted,
            cow,
            encrypted,
            filled,
            seen_in_part,
            copies_per_byte: _,
            copies_per_byte_is_lower_bound: _,
        } = *self;
        [
            ops,
            errors,
            moved,
            copied_to_user,
            copied_from_user,
            copied_in_kernel,
            spliced,
            direct,
            cloned,
            mapped,
            synthetic,
            unexplained,
            deferred,
            recopied,
            wasted,
            cow,
            encrypted,
            filled,
            seen_in_part,
        ]
    }

    /// Works out what follows from the numbers.
    pub(super) fn divide(&mut self) {
        let figure = self.per_byte();
        self.copies_per_byte = figure.ratio();
        self.copies_per_byte_is_lower_bound = figure.is_lower_bound();
    }

    /// The totals with these [`Totals::numbers`].
    #[must_use]
    pub fn of_numbers(numbers: [u64; Self::NUMBERS]) -> Self {
        let [
            ops,
            errors,
            moved,
            copied_to_user,
            copied_from_user,
            copied_in_kernel,
            spliced,
            direct,
            cloned,
            mapped,
            synthetic,
            unexplained,
            deferred,
            recopied,
            wasted,
            cow,
            encrypted,
            filled,
            seen_in_part,
        ] = numbers;
        let mut totals = Self {
            ops,
            errors,
            moved,
            copied_to_user,
            copied_from_user,
            copied_in_kernel,
            spliced,
            direct,
            cloned,
            mapped,
            synthetic,
            unexplained,
            deferred,
            recopied,
            wasted,
            cow,
            encrypted,
            filled,
            seen_in_part,
            copies_per_byte: None,
            copies_per_byte_is_lower_bound: false,
        };
        totals.divide();
        totals
    }
}

impl From<&Counters> for Totals {
    fn from(counters: &Counters) -> Self {
        let class = |class: Class| counters.class[class as usize];
        let mut totals = Self {
            ops: counters.ops,
            errors: counters.errors,
            moved: counters.moved,
            copied_to_user: class(Class::CopiedToUser),
            copied_from_user: class(Class::CopiedFromUser),
            copied_in_kernel: class(Class::CopiedInKernel),
            spliced: class(Class::Spliced),
            direct: class(Class::Direct),
            cloned: class(Class::Cloned),
            mapped: class(Class::Mapped),
            synthetic: class(Class::Synthetic),
            unexplained: class(Class::Unexplained),
            deferred: counters.deferred,
            recopied: counters.recopied,
            wasted: counters.wasted,
            cow: counters.cow,
            encrypted: counters.encrypted,
            filled: counters.filled,
            seen_in_part: 0,
            copies_per_byte: None,
            copies_per_byte_is_lower_bound: false,
        };
        totals.divide();
        totals
    }
}

/// A sum that stays at its bound, so that a damaged counter cannot end the program.
fn sum<const N: usize>(values: [u64; N]) -> u64 {
    values.into_iter().fold(0, u64::saturating_add)
}

/// `part / whole`, or `None` when `whole` is 0.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for people; 2^53 bytes are exact"
)]
#[must_use]
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

/// One data path of a process: its key is (op, object, evidence) and the `--by` dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Name of the operation, for example `sendfile`.
    pub op: Named<Op>,
    /// What it worked on, for example `file:ext4->tcp`.
    pub object: Object,
    /// `measured` or `inferred`.
    pub evidence: Named<Evidence>,
    /// The value of the `--by` dimension, absent without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// How its operations failed; absent where none did.
    #[serde(skip_serializing_if = "Errnos::is_empty", default)]
    pub errnos: Errnos,
    /// How long its zero-copy sends waited for their notification; absent where none was seen.
    #[serde(skip_serializing_if = "Notified::is_empty", default)]
    pub notified: Notified,
    /// Its numbers.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Path {
    /// Adds the numbers of another row.
    pub fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.errnos.add(&other.errnos);
        self.notified.add(&other.notified);
    }

    /// Whether it can lend pages until a notification.
    #[must_use]
    pub fn waits_for_notifications(&self) -> bool {
        let sends = [Op::SendZerocopy, Op::UringSendZc, Op::UringSendmsgZc];
        sends.iter().any(|op| self.op == *op)
    }

    /// Whether it has zero-copy sends whose notifications cannot be seen, because only its calls are.
    #[must_use]
    pub fn is_without_notifications(&self) -> bool {
        self.waits_for_notifications()
            && self.evidence == Evidence::Inferred
            && self.notified.is_empty()
            && self.totals.ops > self.totals.errors
    }
}

/// What an application asked for at a path, and what was seen there: the path's numbers by claim.
///
/// A path's totals are the sum of its portions with and without claims; those without are not
/// listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// Name of the operation.
    pub op: Named<Op>,
    /// What it worked on.
    pub object: Object,
    /// `measured` or `inferred`.
    pub evidence: Named<Evidence>,
    /// Names of what was asked for and seen ([`zctrace_common::Mark`]).
    pub claims: Vec<String>,
    /// A network device that the bytes met: the one that cannot gather pages, or the one where they
    /// were copied later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    /// Zero-copy notifications that said that the kernel copied. They coalesce: a lower bound of the
    /// sends, and no count of bytes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub notifications: u64,
    /// Its numbers.
    #[serde(flatten)]
    pub totals: Totals,
}

/// How the name in [`Claimed::claims`] begins that says what on the route may copy.
pub const MAY_COPY: &str = "may copy: ";

impl Claimed {
    /// What on the route may copy, if that is known.
    #[must_use]
    pub fn obstacle(&self) -> Option<&str> {
        let mut names = self.claims.iter();
        names.find_map(|name| name.strip_prefix(MAY_COPY))
    }

    /// Whether it is a portion of the same path with the same claims.
    #[must_use]
    pub fn has_key_of(&self, other: &Self) -> bool {
        (&self.op, &self.object, &self.evidence, &self.claims)
            == (&other.op, &other.object, &other.evidence, &other.claims)
    }

    /// Whether `other` is where it goes on once its evidence is lost.
    pub(super) fn went_on_as(&self, other: &Self) -> bool {
        (&self.op, &self.object, &self.claims) == (&other.op, &other.object, &other.claims)
            && other.evidence == Evidence::Inferred
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_one(number: &u64) -> bool {
    *number == 1
}

const fn one() -> u64 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Time that processors spent copying in a system call of which the ledger has no bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotFollowed {
    /// Name of the call.
    pub call: String,
    /// Seconds, from samples.
    pub copy_cpu_seconds: f64,
}

/// A process: (pid, start time).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id as the user sees it.
    pub pid: u32,
    /// Start time in clock ticks since boot, as field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// Command name.
    pub comm: String,
    /// How many processes this is the sum of; absent where it is one. Several have the process id 0.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub processes: u64,
    /// It has ended, and the next reading has it in the row with this number. Not part of the
    /// document.
    #[serde(skip)]
    pub ended_into: Option<u64>,
    /// Path of the cgroup (v2) below the mount.
    pub cgroup: String,
    /// The container that the cgroup belongs to; absent where it is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub container: Option<Container>,
    /// The sum of the paths.
    pub total: Totals,
    /// Bytes moved to inet and vsock sockets.
    pub sent: u64,
    /// Bytes moved from inet and vsock sockets.
    pub received: u64,
    /// Copies over `sent`.
    pub copies_per_sent_byte: Option<f64>,
    /// Copies over `received`.
    pub copies_per_received_byte: Option<f64>,
    /// How some of the process's bytes moved was not seen, so `copies_per_sent_byte` may be higher.
    /// Absent where it is not so.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub copies_per_sent_byte_is_lower_bound: bool,
    /// The same of `copies_per_received_byte`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub copies_per_received_byte_is_lower_bound: bool,
    /// Bytes that can still be copied: lent to packets and not released, or not acknowledged on sockets to
    /// which it sent by reference.
    pub pending: u64,
    /// Operations open when tracing ended.
    pub in_flight: u64,
    /// Seconds that processors spent in the kernel's copy routines for it, from samples; absent
    /// where none could be taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub copy_cpu_seconds: Option<f64>,
    /// Where its processor time went, from samples; absent where none could be taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_seconds: Option<CpuTime>,
    /// That part of [`Process::copy_cpu_seconds`] which lies in system calls of which the ledger has no bytes. Absent where there is
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_followed: Vec<NotFollowed>,
    /// Its data paths, most moved first.
    pub paths: Vec<Path>,
    /// What was asked for at these paths, and what was seen.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub claims: Vec<Claimed>,
}

/// Work that no operation is known to have caused: of a kernel thread, or copies at a [`Place`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unattributed {
    /// Name of the thread, or of the place.
    pub thread: String,
    /// Its numbers.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Unattributed {
    /// Whether these are further copies of what ordinary sends had copied into packets.
    pub(crate) fn is_sent_again(&self) -> bool {
        self.thread == Place::SentAgain.name()
    }
}

/// What zctrace itself cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overhead {
    /// Runs of its programs for the target.
    pub bpf_runs: u64,
    /// Nanoseconds in its programs; `None` unless the kernel was asked to measure.
    pub bpf_ns: Option<u64>,
}

/// How a traced command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// How the target was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A command that zctrace started.
    Command,
    /// `--pid`.
    Pid,
    /// `--comm`.
    Comm,
    /// `--cgroup`.
    Cgroup,
    /// `--port`.
    Port,
    /// The whole machine.
    System,
}

/// What was traced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// How it was named.
    pub kind: TargetKind,
    /// The name.
    pub value: String,
}

impl Target {
    /// What was traced, for people.
    #[must_use]
    pub fn words(&self) -> String {
        /// A command can be a whole script.
        const WIDTH: usize = 100;
        let value = cut(&printable(&self.value), WIDTH);
        match self.kind {
            TargetKind::Command => format!("`{value}`"),
            TargetKind::Pid if value.contains(',') => format!("processes {value}"),
            TargetKind::Pid => format!("process {value}"),
            TargetKind::Comm => format!("processes named {value}"),
            TargetKind::Cgroup => format!("cgroup {value}"),
            TargetKind::Port if value.contains(',') => {
                format!("processes listening on ports {value}")
            }
            TargetKind::Port => format!("processes listening on port {value}"),
            TargetKind::System => "the whole machine".into(),
        }
    }
}

/// The whole document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// Number of the interval, with `--interval` only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seq: Option<u64>,
    /// Release of the kernel.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// `functions`, `tracepoints` or `mixed`.
    pub backend: String,
    /// What was traced.
    pub target: Target,
    /// How the traced command ended; `None` without one.
    pub exit_status: Option<ExitStatus>,
    /// Start in UTC, RFC 3339.
    pub started_at: String,
    /// Length in nanoseconds.
    pub duration_ns: u64,
    /// The sum of the processes.
    pub total: Totals,
    /// The processes, most moved first.
    pub processes: Vec<Process>,
    /// Work in kernel threads.
    pub unattributed: Vec<Unattributed>,
    /// Which probes took part.
    pub coverage: Coverage,
    /// What was lost.
    pub loss: Loss,
    /// What it cost.
    pub overhead: Overhead,
    /// Sampled stacks: not part of the document.
    #[serde(skip)]
    pub stacks: Stacks,
}
