//! `zctrace hunt`: random operations under both backends. Hidden: for the tests.

use std::{
    fmt,
    io::{Write, stdout},
    process::ExitCode,
};

use anyhow::Result;

use crate::hunt::{
    self, Found, Hunt, Plan, Report,
    operation::{THINGS, Thing},
};

/// Does random operations that both backends watch, and fails if one contradicts the other.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The seed of the random numbers. The seed that a hunt printed repeats the hunt.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Operations; rounded up to whole processes.
    #[arg(long, value_name = "N", default_value_t = 512)]
    ops: u64,

    /// Only the process with this number.
    #[arg(long, value_name = "N")]
    process: Option<u64>,

    /// Only the operation with this number of each process.
    #[arg(long, value_name = "N")]
    operation: Option<usize>,
}

/// Hunts, and prints what was found.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(1, |since| since.as_nanos() as u64 % 1_000_000_007)
    });
    let mut out = stdout().lock();
    // Before anything can go wrong.
    writeln!(out, "seed {seed}")?;
    out.flush()?;
    let (first, end) = match args.process {
        Some(number) => (number, number + 1),
        None => (0, args.ops.div_ceil(hunt::ROUND as u64)),
    };
    let mut hunt = Hunt::new()?;
    let there = hunt.things();
    let missing = THINGS.iter().filter(|thing| !there.contains(thing));
    for thing in missing {
        writeln!(out, "not here: {thing:?}")?;
    }
    let mut all = Sum {
        backend: hunt.backend().to_owned(),
        ..Sum::default()
    };
    for first in (first..end).step_by(AT_ONCE as usize) {
        let plan = Plan {
            seed,
            first,
            count: AT_ONCE.min(end - first),
            only: args.operation,
        };
        let report = hunt.run(&plan)?;
        print(&mut out, &plan, hunt.things(), &report)?;
        all.add(&report);
        writeln!(out, "{all}")?;
        out.flush()?;
    }
    hunt.end();
    Ok(if all.contradictions == 0 && all.stuck == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Processes between two readings: their rows must have room. What was found so far is printed then.
const AT_ONCE: u64 = 64;

/// What all parts of a hunt came to.
#[derive(Default)]
struct Sum {
    backend: String,
    compared: usize,
    contradictions: usize,
    stuck: usize,
    lost: usize,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.compared += report.compared;
        let found = report.contradictions.values();
        self.contradictions += found.map(|found| found.times).sum::<usize>();
        self.stuck += report.stuck.len();
        self.lost += report.lost;
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} against tracepoints: {} operations compared, {} contradictions, {} did not end, {} \
             processes lost",
            self.backend, self.compared, self.contradictions, self.stuck, self.lost,
        )
    }
}

fn print(out: &mut impl Write, plan: &Plan, things: &[Thing], report: &Report) -> Result<()> {
    for found in report.more.values() {
        writeln!(out, "more than functions: {}", Shown(found))?;
    }
    for (number, step, operation) in &report.stuck {
        writeln!(
            out,
            "does not end: process {number}, operation {step}: {operation:?}"
        )?;
    }
    let mut shown = Vec::new();
    for found in report.contradictions.values() {
        writeln!(out, "CONTRADICTION: {}", Shown(found))?;
        if !shown.contains(&found.number) {
            for (step, operation) in plan.operations(found.number, things) {
                writeln!(out, "    {step}: {operation:?}")?;
            }
            shown.push(found.number);
        }
    }
    Ok(())
}

struct Shown<'a>(&'a Found);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found {
            times,
            number,
            example,
        } = self.0;
        write!(f, "{example} (process {number}; {times} in all)")
    }
}
