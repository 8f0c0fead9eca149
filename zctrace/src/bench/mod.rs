//! `zctrace bench`: workloads whose truth is known, compared with the ledger of the tracer.

pub mod advice;
pub mod chart;
pub mod document;
pub mod series;

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike as _,
};

pub use document::{Document, Entry, Spread, Status};

use crate::{
    ledger::{Coverage, Process, Totals, ratio},
    target::{self, View},
    tracer::{self, Config, Session},
    workload::{
        Arena, Strictness,
        stage::{
            runner::{self, Running},
            shared::Shared,
        },
        technique::{FAR_ENDS, Figure, Parameters, Setting, Workload},
        truth::{
            report::{self, Outcome},
            verify::{self, differences},
        },
    },
};

/// The tracer, which watches this process's children.
pub struct Tracer {
    session: Session,
    view: View,
    /// What was lost until the last reading.
    lost: u64,
    /// How well it must know.
    pub strictness: Strictness,
}

impl Tracer {
    /// Attaches the probes, `without` some.
    ///
    /// # Errors
    ///
    /// When nothing can be measured.
    pub fn start(without: &[String]) -> Result<Self, crate::run::Error> {
        let view = View::detect()?;
        if !view.knows_machine_ids() {
            return Err(target::Error::PidNamespace.into());
        }
        let config = Config {
            // The one thread there is; its children follow.
            tasks: vec![view.own_pid()],
            without: without.to_vec(),
            ..Config::default()
        };
        let session = crate::run::attach(&config)?;
        let strictness = verify::strictness(session.backend(), session.coverage());
        Ok(Self {
            session,
            view,
            lost: 0,
            strictness,
        })
    }

    /// Which probes take part.
    #[must_use]
    pub const fn coverage(&self) -> &Coverage {
        self.session.coverage()
    }

    /// `functions`, `tracepoints` or `mixed`.
    #[must_use]
    pub const fn backend(&self) -> &str {
        self.session.backend()
    }

    fn read(&mut self) -> Result<Vec<Process>, tracer::Error> {
        let reading = self.session.read()?;
        self.lost = reading.loss.lost();
        let mut processes = reading.processes;
        for process in &mut processes {
            process.pid = self.view.to_user(process.pid);
        }
        // Of a number that was used twice, the younger process.
        processes.sort_by_key(|process| std::cmp::Reverse(process.start_time));
        Ok(processes)
    }
}

/// How a workload is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How much it does.
    pub parameters: Parameters,
    /// How many do a part of it at once.
    pub threads: usize,
    /// Begin again until this time is over.
    pub duration: Option<Duration>,
}

/// How often a workload is run at most until nothing was lost in the meantime.
const TRIES: usize = 3;

/// Runs a workload, once or for a time.
#[must_use]
pub fn measure(
    arena: &Arena,
    mut tracer: Option<&mut Tracer>,
    workload: Workload,
    options: &Options,
) -> Entry {
    let begin = Instant::now();
    let mut sum: Option<Entry> = None;
    loop {
        let entry = without_loss(arena, tracer.as_deref_mut(), workload, options)
            .unwrap_or_else(|error| failed(workload, &error));
        let ended = !matches!(entry.status, Status::Ok | Status::Unverified);
        let entry = match sum.take() {
            Some(before) if !ended => before.and(entry),
            _ => entry,
        };
        let more = options
            .duration
            .is_some_and(|duration| begin.elapsed() < duration);
        if ended || !more || runner::is_interrupted() {
            return entry;
        }
        sum = Some(entry);
    }
}

/// Runs a workload once; again where it differs and the kernel skipped runs of probes in the meantime, which
/// is not the fault of either.
fn without_loss(
    arena: &Arena,
    mut tracer: Option<&mut Tracer>,
    workload: Workload,
    options: &Options,
) -> Result<Entry> {
    let lost = |tracer: &Option<&mut Tracer>| tracer.as_ref().map_or(0, |tracer| tracer.lost);
    for _ in 1..TRIES {
        let before = lost(&tracer);
        let entry = once(arena, tracer.as_deref_mut(), workload, options)?;
        if entry.status != Status::Differs || lost(&tracer) == before || runner::is_interrupted() {
            return Ok(entry);
        }
    }
    once(arena, tracer, workload, options)
}

fn failed(workload: Workload, error: &anyhow::Error) -> Entry {
    let outcome = runner::failed(&workload.name(), workload.variant.tag, error);
    let status = match outcome.status {
        // Not measured to its end: that is not a difference.
        _ if runner::is_interrupted() => Status::Skipped,
        report::Status::Skipped => Status::Skipped,
        report::Status::Ok | report::Status::Failed => Status::Differs,
    };
    Entry {
        status,
        reason: outcome.reason,
        ..Entry::new(workload.name())
    }
}

/// The parts that `threads` do at once.
fn parts(parameters: Parameters, threads: usize) -> impl Iterator<Item = Parameters> {
    let (share, rest) = (
        parameters.bytes / threads as u64,
        parameters.bytes % threads as u64,
    );
    (0..threads as u64).map(move |index| Parameters {
        bytes: share + u64::from(index < rest),
        ..parameters
    })
}

fn once(
    arena: &Arena,
    tracer: Option<&mut Tracer>,
    workload: Workload,
    options: &Options,
) -> Result<Entry> {
    let mut ready = Vec::new();
    for parameters in parts(options.parameters, options.threads) {
        let shared = Shared::new()?;
        let setting = Setting {
            arena,
            shared,
            parameters,
        };
        ready.push((shared, (workload.variant.prepare)(&setting)?));
    }
    let before = cpu_time()?;
    let (name, tag) = (workload.name(), workload.variant.tag);
    let mut running = Vec::new();
    let mut entry = Entry::new(name.clone());
    let mut figures = Vec::new();
    for (shared, ready) in ready {
        entry.bytes += ready.payload;
        running.push((shared, Running::start(&name, tag, shared, ready.prepared)?));
        figures.extend(ready.figures);
    }
    let mut outcomes = Vec::new();
    let (mut begin, mut end) = (u64::MAX, 0_u64);
    for (shared, running) in running {
        outcomes.push(running.wait()?);
        entry.own_cpu_seconds += Duration::from_nanos(shared.spent()).as_secs_f64();
        let span = shared.span();
        begin = begin.min(span.0);
        end = end.max(span.1);
    }
    let nanoseconds = end
        .checked_sub(begin)
        .ok_or_else(|| anyhow!("it ended before it began"))?;
    entry.seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
    entry.cpu_seconds = (cpu_time()? - before).max(0.0);
    for figure in figures.into_iter().flat_map(|figures| figures()) {
        let Figure { name, value } = figure;
        // Of several threads, the first: each says the same about its own part.
        entry.figures.entry(name.to_owned()).or_insert(value);
    }
    let traced = tracer.is_some();
    if let Some(tracer) = tracer {
        let processes = tracer.read()?;
        judge(&mut entry, &outcomes, &processes, tracer.strictness);
    }
    entry.compute();
    if traced {
        entry.verify();
    }
    Ok(entry)
}

/// Holds what was measured against the truth.
fn judge(entry: &mut Entry, outcomes: &[Outcome], processes: &[Process], strictness: Strictness) {
    let mut measured = Totals::default();
    for outcome in outcomes {
        entry
            .differences
            .extend(differences(outcome, processes, strictness));
        for row in &outcome.expected.rows {
            if !is_far_end(&row.process) {
                entry.expected.add(&row.totals);
            }
        }
        for member in &outcome.processes {
            let process = processes.iter().find(|process| process.pid == member.pid);
            let Some(process) = process.filter(|_| !is_far_end(&member.process)) else {
                continue;
            };
            let copied = process.total.copies();
            entry.add_copying(process.copy_cpu_seconds.map(|seconds| (seconds, copied)));
            let expected = outcome.expected.of_process(&member.process);
            for path in &process.paths {
                let named = expected
                    .iter()
                    .any(|row| row.op == path.op && row.object == path.object);
                // The program itself is faulted in as well.
                if named || !path.op.is_fault() {
                    measured.add(&path.totals);
                }
            }
        }
    }
    entry.measured = measured;
    if !entry.differences.is_empty() {
        entry.status = Status::Differs;
    }
}

fn is_far_end(role: &str) -> bool {
    FAR_ENDS.contains(&role)
}

/// Seconds of processor time of all children that have ended.
fn cpu_time() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a benchmark")]
    Ok(microseconds as f64 / 1e6)
}

/// Copies for every byte that a workload carries.
fn per_byte(totals: &Totals, bytes: u64) -> Option<f64> {
    ratio(totals.copies(), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_the_bytes() {
        let parameters = Parameters {
            bytes: 10,
            ..Parameters::default()
        };
        let shares: Vec<_> = parts(parameters, 4).map(|part| part.bytes).collect();
        assert_eq!(shares, [3, 3, 2, 2]);
        assert_eq!(parts(parameters, 1).map(|part| part.bytes).sum::<u64>(), 10);
    }
}
