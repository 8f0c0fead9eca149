//! The document of `zctrace bench --json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::per_byte;
use crate::{
    ledger::{Coverage, Totals},
    workload::technique::Parameters,
};

/// The `schema` of a [`Document`].
pub const SCHEMA: &str = "zctrace.bench/1";

/// What workloads did, beside what they were expected to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// Release of the running kernel.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// `functions`, `tracepoints` or `mixed`.
    pub backend: String,
    /// How much was done.
    pub parameters: Settings,
    /// The workloads; of several runs of one, the last.
    pub workloads: Vec<Entry>,
    /// With `--sweep`: every point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// With `--compare`: the workloads side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// With `--untraced`: what tracing cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Vec<Cost>>,
    /// Which probes took part.
    pub coverage: Coverage,
}

/// How much was done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Bytes of a workload.
    pub bytes: u64,
    /// Bytes of a call.
    pub buffer: u64,
    /// Bytes of the file or memory that is used again and again.
    pub file: u64,
    /// Connections of a server.
    pub connections: u64,
    /// How many worked at once.
    pub threads: u64,
    /// The modified part.
    pub fraction: f64,
}

impl Settings {
    /// The settings of a run.
    #[must_use]
    pub fn new(parameters: &Parameters, threads: usize) -> Self {
        let Parameters {
            bytes,
            buffer,
            file,
            connections,
            fraction,
        } = *parameters;
        Self {
            bytes,
            buffer: buffer as u64,
            file,
            connections: connections as u64,
            threads: threads as u64,
            fraction,
        }
    }
}

/// How a workload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The ledger shows what must be.
    Ok,
    /// The rows that this kernel can show are as they must be, but how the bytes went was not measured.
    Unverified,
    /// It does not.
    Differs,
    /// It cannot be done here.
    Skipped,
}

/// One workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, with the variant: `fbufs:pipe`.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// Why it was skipped, or how it went wrong.
    pub reason: Option<String>,
    /// What is not as it must be, a sentence each.
    pub differences: Vec<String>,
    /// The truth about its own processes, without the far ends of connections.
    pub expected: Totals,
    /// What the ledger has of them.
    pub measured: Totals,
    /// Bytes that were carried from beginning to end.
    pub bytes: u64,
    /// How long that took.
    pub seconds: f64,
    /// Throughput; null when nothing was carried.
    pub bytes_per_second: Option<f64>,
    /// Processor time of all processes, preparation and far ends included.
    pub cpu_seconds: f64,
    /// Processor time of the first process alone, and of its work only. Not part of the document.
    #[serde(skip)]
    pub own_cpu_seconds: f64,
    /// Seconds in the kernel's copy routines, from samples, and the bytes that were copied. Not part of the document.
    #[serde(skip)]
    pub copying: Option<(f64, u64)>,
    /// That for every GiB carried; null when nothing was.
    pub cpu_seconds_per_gib: Option<f64>,
    /// Expected copies for every byte carried; null when nothing was.
    pub expected_copies_per_carried_byte: Option<f64>,
    /// Measured copies for every byte carried; null when nothing was, and where operations or copies
    /// on write are expected and none is seen.
    pub measured_copies_per_carried_byte: Option<f64>,
    /// Numbers that only this workload has.
    pub figures: BTreeMap<String, f64>,
}

impl Entry {
    /// One that has done nothing yet.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self {
            name,
            status: Status::Ok,
            reason: None,
            differences: Vec::new(),
            expected: Totals::default(),
            measured: Totals::default(),
            bytes: 0,
            seconds: 0.0,
            bytes_per_second: None,
            cpu_seconds: 0.0,
            own_cpu_seconds: 0.0,
            copying: None,
            cpu_seconds_per_gib: None,
            expected_copies_per_carried_byte: None,
            measured_copies_per_carried_byte: None,
            figures: BTreeMap::new(),
        }
    }

    /// Computes the ratios.
    #[expect(clippy::cast_precision_loss, reason = "ratios for people")]
    pub fn compute(&mut self) {
        let bytes = self.bytes as f64;
        let some = self.bytes > 0;
        self.bytes_per_second = (some && self.seconds > 0.0).then(|| bytes / self.seconds);
        self.cpu_seconds_per_gib =
            some.then(|| self.cpu_seconds / (bytes / f64::from(1_u32 << 30)));
        self.expected_copies_per_carried_byte = per_byte(&self.expected, self.bytes);
        // Where no probe sees page faults, copies behind the operations, any of these, or how any byte
        // moved, no number is better than one that lacks their copies.
        let missed = |of: fn(&Totals) -> u64| of(&self.expected) > 0 && of(&self.measured) == 0;
        let unseen = missed(|totals| totals.moved)
            || missed(|totals| totals.cow)
            || missed(|totals| totals.deferred)
            || missed(|totals| totals.recopied)
            || (self.measured.moved > 0 && self.measured.unexplained == self.measured.moved);
        self.measured_copies_per_carried_byte =
            per_byte(&self.measured, self.bytes).filter(|_| !unseen);
    }

    /// Processor time of the first process for every GiB carried; `None` when nothing was.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "ratios for people")]
    pub fn own_cpu_seconds_per_gib(&self) -> Option<f64> {
        (self.bytes > 0)
            .then(|| self.own_cpu_seconds / (self.bytes as f64 / f64::from(1_u32 << 30)))
    }

    /// Adds samples of copying, and the bytes that were copied meanwhile.
    pub(super) fn add_copying(&mut self, more: Option<(f64, u64)>) {
        if let Some((seconds, bytes)) = more {
            let (sum, copied) = self.copying.get_or_insert((0.0, 0));
            *sum += seconds;
            *copied = copied.saturating_add(bytes);
        }
    }

    /// Takes the `ok` back where the tracer saw nothing that could have been wrong.
    pub(super) fn verify(&mut self) {
        let unseen = self.bytes > 0 && self.measured_copies_per_carried_byte.is_none();
        if self.status == Status::Ok && unseen {
            self.status = Status::Unverified;
        }
    }

    /// This run and another one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.expected.add(&other.expected);
        self.measured.add(&other.measured);
        self.bytes += other.bytes;
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
        self.own_cpu_seconds += other.own_cpu_seconds;
        self.add_copying(other.copying);
        self.figures = other.figures;
        if other.status == Status::Unverified {
            self.status = Status::Unverified;
        }
        self.compute();
        self
    }
}

/// Several measurements of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of `values`; `None` if there are none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }
}

/// Every point of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// What was swept: `buffer` or `fraction`.
    pub over: String,
    /// How often each point was measured.
    pub runs: u32,
    /// A line for each workload.
    pub lines: Vec<Line>,
    /// Where the throughputs of two workloads are the same.
    pub crossovers: Vec<Crossover>,
}

/// One workload at every point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its points, those that could be measured.
    pub points: Vec<Point>,
}

/// One workload at one point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The swept value.
    pub value: f64,
    /// Throughput.
    pub bytes_per_second: Spread,
    /// Measured copies for every byte carried.
    pub copies_per_carried_byte: Option<f64>,
}

/// Where one workload overtakes another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// The faster one below.
    pub below: String,
    /// The faster one above.
    pub above: String,
    /// At which value, between two points.
    pub value: f64,
    /// The runs on one side of it, or on both, cannot be distinguished: it may be nothing but noise.
    #[serde(default)]
    pub uncertain: bool,
}

/// Workloads for one job side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// How often each ran, by turns.
    pub runs: u32,
    /// The fastest first.
    pub contestants: Vec<Contestant>,
    /// What follows.
    pub advice: String,
}

/// One of the workloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contestant {
    /// Its name.
    pub name: String,
    /// Throughput.
    pub bytes_per_second: Spread,
    /// Throughput as a part of the fastest one's, run by run.
    pub of_fastest: Spread,
    /// Processor time for every GiB.
    pub cpu_seconds_per_gib: Spread,
    /// Measured copies for every byte carried.
    pub copies_per_carried_byte: Option<f64>,
}

/// What tracing cost one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Its name.
    pub name: String,
    /// How often each ran, by turns.
    pub runs: u32,
    /// Throughput with the tracer.
    pub traced: Spread,
    /// Throughput without.
    pub untraced: Spread,
    /// Untraced time as a part of traced time, run by run: 1 means no cost.
    pub ratio: Spread,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_added_up() {
        let mut one = Entry::new("x".into());
        one.bytes = 1 << 30;
        one.seconds = 2.0;
        one.cpu_seconds = 1.0;
        one.compute();
        let both = one.clone().and(one);
        assert_eq!(both.bytes, 2 << 30);
        assert_eq!(both.bytes_per_second, Some(f64::from(1_u32 << 29)));
        assert_eq!(both.cpu_seconds_per_gib, Some(1.0));
        assert_eq!(both.measured_copies_per_carried_byte, Some(0.0));
        let fields: [fn(&mut Totals) -> &mut u64; 4] = [
            |totals| &mut totals.moved,
            |totals| &mut totals.cow,
            |totals| &mut totals.deferred,
            |totals| &mut totals.recopied,
        ];
        for field in fields {
            let mut unseen = both.clone();
            *field(&mut unseen.expected) = 4096;
            unseen.compute();
            assert_eq!(unseen.measured_copies_per_carried_byte, None);
        }
        let mut unexplained = both;
        unexplained.measured.moved = 4096;
        unexplained.measured.unexplained = 4096;
        unexplained.compute();
        assert_eq!(unexplained.measured_copies_per_carried_byte, None);
        unexplained.verify();
        assert_eq!(unexplained.status, Status::Unverified);
        let mut nothing = Entry::new("y".into());
        nothing.seconds = 1.0;
        nothing.compute();
        assert_eq!(nothing.bytes_per_second, None);
    }

    #[test]
    fn a_spread_has_a_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0, 10.0]).expect("values");
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 10.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
