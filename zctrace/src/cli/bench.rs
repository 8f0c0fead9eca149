//! `zctrace bench`: workloads whose truth is known, held against the ledger.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::args::{duration, exit::INTERRUPTED, failure::Failure, files, size};
use crate::{
    bench::{
        self, Document, Entry, Options, Status, Tracer, chart,
        document::{SCHEMA, Settings},
        series::{self, Over},
    },
    kernel,
    report::{benched, json},
    text::sink::Sink,
    workload::{
        Arena,
        scene::arena::Sizes,
        stage::runner,
        technique::{Parameters, Workload},
    },
};

const EXAMPLES: &str = "\
Examples:
  zctrace bench sendfile read-write          two ways to serve a file
  zctrace bench --compare sendfile splice    side by side, with advice
  zctrace bench --sweep cow --svg cow.svg    when is copying up front cheaper?
  zctrace bench --all --json                 everything, as a document

Each workload runs in processes of its own under the tracer. EXPECTED is what follows from the
technique's definition: copies for every byte it carries, without those at the far ends of
connections. `zctrace explain NAME` tells what happens in the kernel. Needs root; what a workload
makes is gone afterwards. Exit status: 0 everything as expected or skipped, 1 a workload differs,
2 usage error, 3 could not measure, 130 interrupted.";

/// Arguments of `bench`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct BenchArgs {
    /// Workloads, all variants of each; `fbufs:pipe` is one variant
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "list"])]
    names: Vec<String>,

    /// Every workload
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// List the workloads
    #[arg(long, conflicts_with_all = ["names", "all"])]
    list: bool,

    #[command(flatten)]
    much: MuchArgs,

    #[command(flatten)]
    series: SeriesArgs,

    /// Leave a probe out; the rows that rest on it differ. May be given several times
    #[arg(long, value_name = "PROBE", help_heading = "Output")]
    without_probe: Vec<String>,

    /// Write JSON
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Write to a file instead
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

/// How much is done.
#[derive(Args, Debug)]
#[command(next_help_heading = "Workload")]
struct MuchArgs {
    /// Bytes to carry
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size::size)]
    bytes: u64,

    /// Bytes per call
    #[arg(long, value_name = "SIZE", default_value = "64K", value_parser = size::buffer)]
    buffer: u64,

    /// Maximum bytes of a file or region of memory, which is then used repeatedly
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size::buffer)]
    file: u64,

    /// Connections of a server
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,

    /// How many workers share the work, each in its own processes
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,

    /// The part of the data that is modified, if the workload modifies any
    #[arg(long, value_name = "PART", default_value = "0.1", value_parser = size::fraction)]
    fraction: f64,

    /// Repeat until this time is over
    #[arg(long, value_name = "TIME", value_parser = duration::duration)]
    duration: Option<Duration>,
}

/// Several runs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Series")]
struct SeriesArgs {
    /// Try buffer sizes from 1 KiB to 16 MiB, or modified parts from 0 to 100% (default: depends on the workload)
    #[arg(long, value_name = "OVER", num_args = 0..=1, require_equals = true, group = "kind")]
    sweep: Option<Option<SweptArg>>,

    /// Write a chart of the sweep
    #[arg(long, value_name = "FILE", requires = "sweep")]
    svg: Option<PathBuf>,

    /// Compare workloads for the same job, in alternation
    #[arg(long, group = "kind", conflicts_with = "all")]
    compare: bool,

    /// Alternate with runs without the tracer, to show what it costs
    #[arg(long, group = "kind")]
    untraced: bool,

    /// How many runs of each (default: 3 in a sweep, otherwise 5)
    #[arg(long, value_name = "N", requires = "kind",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: Option<u32>,
}

/// What to sweep over.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SweptArg {
    Buffer,
    Fraction,
}

/// Runs `bench`; the result is the exit code.
pub(crate) fn run(args: &BenchArgs) -> Result<u8, Failure> {
    if args.list {
        return list(args.json, sink(args)?);
    }
    let workloads = chosen(args)?;
    files::distinct(&[
        ("--output", args.output.as_ref()),
        ("--svg", args.series.svg.as_ref()),
    ])?;
    let mut sink = sink(args)?;
    let svg = args
        .series
        .svg
        .as_deref()
        .map(|path| Sink::file(path, false))
        .transpose()?;
    let options = options(&args.much);
    let tracer = Tracer::start(&args.without_probe)?;
    runner::catch_interrupts().map_err(Failure::no_workloads)?;
    let arena = Arena::new(Sizes::default()).map_err(Failure::no_workloads)?;
    let document = measured(args, &workloads, &options, &arena, tracer)?;
    drop(arena);
    if let (Some(mut svg), Some(sweep)) = (svg, &document.sweep) {
        svg.write(|out| out.write_all(chart::svg(sweep).as_bytes()))?;
        svg.finish()?;
    }
    let surface = sink.surface();
    sink.write(|out| {
        if args.json {
            json::document(&document, out)
        } else {
            out.write_all(benched::report(&document, surface).as_bytes())
        }
    })?;
    sink.finish()?;
    let differs = |entry: &Entry| entry.status == Status::Differs;
    Ok(if runner::is_interrupted() {
        INTERRUPTED
    } else {
        u8::from(document.workloads.iter().any(differs))
    })
}

fn options(much: &MuchArgs) -> Options {
    Options {
        parameters: Parameters {
            bytes: much.bytes,
            // Bounded by their parsers.
            buffer: much.buffer as usize,
            file: much.file,
            connections: much.connections as usize,
            fraction: much.fraction,
        },
        threads: much.threads as usize,
        duration: much.duration,
    }
}

fn chosen(args: &BenchArgs) -> Result<Vec<Workload>, Failure> {
    if args.all {
        return Ok(Workload::all().collect());
    }
    let mut chosen = Vec::new();
    for name in &args.names {
        let found = Workload::find(name);
        if found.is_empty() {
            return Err(unknown(name));
        }
        chosen.extend(found);
    }
    let modifies = |workload: &&Workload| workload.technique.modifies;
    if matches!(args.series.sweep, Some(Some(SweptArg::Fraction)))
        && let Some(other) = chosen.iter().find(|workload| !modifies(workload))
    {
        return Err(Failure::usage(
            format!("{} modifies nothing", other.name()),
            "sweep over --sweep=buffer instead",
        ));
    }
    if args.series.compare {
        if chosen.len() < 2 {
            return Err(Failure::usage(
                "nothing to compare with",
                "name two workloads, or one with several variants",
            ));
        }
        let job = chosen[0].technique.job;
        if let Some(other) = chosen.iter().find(|other| other.technique.job != job) {
            return Err(Failure::usage(
                format!(
                    "{} is for {}, but {} is for {}",
                    chosen[0].name(),
                    job.name(),
                    other.name(),
                    other.technique.job.name()
                ),
                "compare workloads for the same job: `zctrace bench --list` shows the jobs",
            ));
        }
    }
    Ok(chosen)
}

fn unknown(name: &str) -> Failure {
    let names: Vec<_> = Workload::all().map(|workload| workload.name()).collect();
    let alike = names
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)))
        .filter(|best| strsim::jaro_winkler(name, best) > 0.75);
    let remedy = alike.map_or_else(
        || "`zctrace bench --list` names them all".to_owned(),
        |best| format!("did you mean {best}?"),
    );
    Failure::usage(format!("no workload is called {name:?}"), remedy)
}

fn sink(args: &BenchArgs) -> Result<Sink, Failure> {
    Ok(match &args.output {
        Some(path) => Sink::file(path, false)?,
        None => Sink::stdout(),
    })
}

fn list(as_json: bool, mut sink: Sink) -> Result<u8, Failure> {
    let workloads: Vec<_> = Workload::all().collect();
    sink.write(|out| {
        if as_json {
            let workloads: Vec<_> = workloads
                .iter()
                .map(|workload| {
                    serde_json::json!({
                        "name": workload.name(),
                        "summary": workload.summary(),
                        "job": workload.technique.job.name(),
                    })
                })
                .collect();
            let document =
                serde_json::json!({"schema": "zctrace.bench-list/1", "workloads": workloads});
            return json::document(&document, out);
        }
        let widest = workloads.iter().map(|one| one.name().len()).max();
        let width = widest.unwrap_or(0);
        let mut job = None;
        for workload in Workload::by_job() {
            if job.replace(workload.technique.job) != Some(workload.technique.job) {
                writeln!(out, "for {}:", workload.technique.job.name())?;
            }
            writeln!(out, "  {:width$}  {}", workload.name(), workload.summary())?;
        }
        Ok(())
    })?;
    sink.finish()?;
    Ok(0)
}

/// Shows the running workload, if standard error is a terminal.
fn progress(number: usize, total: usize, name: &str) {
    if stderr().is_terminal() {
        // To the beginning of the line, and away with what was there.
        let _ = write!(stderr(), "\r\x1b[K{number}/{total} {name}");
    }
}

fn no_progress() {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}

fn measured(
    args: &BenchArgs,
    workloads: &[Workload],
    options: &Options,
    arena: &Arena,
    mut tracer: Tracer,
) -> Result<Document, Failure> {
    let mut document = Document {
        schema: SCHEMA.to_owned(),
        kernel: kernel::release(),
        arch: std::env::consts::ARCH.to_owned(),
        backend: tracer.backend().to_owned(),
        parameters: Settings::new(&options.parameters, options.threads),
        workloads: Vec::new(),
        sweep: None,
        comparison: None,
        tracing: None,
        coverage: tracer.coverage().clone(),
    };
    let series = &args.series;
    if let Some(over) = series.sweep {
        let over = over.map_or_else(|| usual(workloads), Into::into);
        let runs = series.runs.unwrap_or(3);
        let swept = series::sweep(
            arena,
            &mut tracer,
            workloads,
            options,
            (over, runs),
            &mut progress,
        );
        document.workloads = swept.entries;
        document.sweep = Some(swept.result);
    } else if series.compare {
        let runs = series.runs.unwrap_or(5);
        let compared = series::compare(arena, &mut tracer, workloads, options, runs, &mut progress);
        document.workloads = compared.entries;
        document.comparison = compared.result;
    } else if series.untraced {
        let runs = series.runs.unwrap_or(5);
        // Not attached while it is not to be.
        drop(tracer);
        let attach = || Tracer::start(&args.without_probe);
        let costs = series::untraced(arena, attach, workloads, options, runs, &mut progress)?;
        document.workloads = costs.entries;
        document.tracing = Some(costs.result);
    } else {
        for (index, workload) in workloads.iter().enumerate() {
            if runner::is_interrupted() {
                break;
            }
            progress(index + 1, workloads.len(), &workload.name());
            let entry = bench::measure(arena, Some(&mut tracer), *workload, options);
            document.workloads.push(entry);
        }
    }
    no_progress();
    Ok(document)
}

/// The modified part if all modify something.
fn usual(workloads: &[Workload]) -> Over {
    if workloads.iter().all(|workload| workload.technique.modifies) {
        Over::Fraction
    } else {
        Over::Buffer
    }
}

impl From<SweptArg> for Over {
    fn from(arg: SweptArg) -> Self {
        match arg {
            SweptArg::Buffer => Self::Buffer,
            SweptArg::Fraction => Self::Fraction,
        }
    }
}
