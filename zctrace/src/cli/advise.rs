//! `zctrace advise`: what another technique would save a running target.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use super::args::{
    damage, duration, exit::INTERRUPTED, failure::Failure, files, target::TargetArgs,
};
use crate::{
    advise::{Document, Observed, SCHEMA, find},
    bench::Tracer,
    kernel,
    ledger::Snapshot,
    recording::Recording,
    report::{advised, json},
    run::{self, Plan},
    text::sink::Sink,
    workload::{Arena, scene::arena::Sizes, stage::runner},
};

const EXAMPLES: &str = "\
Examples:
  zctrace advise --port 8080               the server on a port
  zctrace advise -p 1234 --duration 1m     a process, for a minute
  zctrace advise --from io.zct             a recording of this machine

It watches the target, finds the paths with the most copying, and runs both techniques here at the
target's sizes, which keeps a processor busy for half a minute for each. What the other one saves is
an interval: the target's own copying time and the spread of the runs are in it. Needs root. Exit
status: 0 done, 2 usage error, 3 could not measure, 130 interrupted.";

/// Arguments of `advise`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AdviseArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Advise about a recording instead of measuring
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "max_rows", "max_threads", "no_follow", "duration"])]
    from: Option<PathBuf>,

    /// Watch the target for this long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::duration,
          help_heading = "Measurement")]
    duration: Duration,

    /// How often both techniques are run
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(2..=100),
          help_heading = "Measurement")]
    runs: u32,

    /// Write JSON
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Write to a file instead
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

/// Runs `advise`; the result is the exit code.
pub(crate) fn run(args: &AdviseArgs) -> Result<u8, Failure> {
    files::distinct(&[
        ("--from", args.from.as_ref()),
        ("--output", args.output.as_ref()),
    ])?;
    let mut sink = match &args.output {
        Some(path) => Sink::file(path, false)?,
        None if args.target.is_command() => Sink::stderr(),
        None => Sink::stdout(),
    };
    let snapshot = match &args.from {
        Some(path) => {
            let mut recording = Recording::open(path)?;
            let whole = recording.whole()?.snapshot();
            damage::warn_of(&recording);
            whole
        }
        None => observed(args)?,
    };
    let mut document = Document {
        schema: SCHEMA.to_owned(),
        kernel: kernel::release(),
        backend: snapshot.backend.clone(),
        target: snapshot.target.clone(),
        duration_ns: snapshot.duration_ns,
        runs: args.runs,
        advice: Vec::new(),
    };
    if !find::candidates(&snapshot).is_empty() {
        runner::catch_interrupts().map_err(Failure::no_workloads)?;
        let arena = Arena::new(Sizes::default()).map_err(Failure::no_workloads)?;
        let observed = Observed::look(&snapshot, &arena, || Tracer::start(&[]))?;
        document.advice = observed.weigh(&arena, args.runs, |name, run| {
            if stderr().is_terminal() {
                let _ = write!(stderr(), "\r\x1b[K{name} {}/{}", run + 1, args.runs);
            }
        });
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
    sink.write(|out| {
        if args.json {
            json::document(&document, out)
        } else {
            out.write_all(advised::report(&document).as_bytes())
        }
    })?;
    sink.finish()?;
    Ok(if runner::is_interrupted() {
        INTERRUPTED
    } else {
        0
    })
}

/// What the target did.
fn observed(args: &AdviseArgs) -> Result<Snapshot, Failure> {
    let plan = Plan {
        user: args.target.account()?,
        follow: !args.target.no_follow,
        duration: Some(args.duration),
        max_rows: args.target.max_rows,
        max_threads: args.target.max_threads,
        ..Plan::of(args.target.subject()?)
    };
    let (outcome, session) = run::observe(plan, run::attach, &mut |_, _| Ok(()))?;
    run::detach(session);
    Ok(outcome.snapshot)
}
