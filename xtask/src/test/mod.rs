//! `cargo xtask test`: every test there is, in layers, with one summary.

use std::{
    fmt, fs,
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::{
    job::Job,
    paths,
    setup::{self, Purpose},
    vm::Series,
};

mod artifacts;
mod guests;
mod host;
mod lint;
mod package;
mod tally;

use tally::{Reader, Tally};

/// Run the tests: all layers, or those named.
///
/// Installs first what a layer needs. The last line is the sum; the status is 1 if anything failed.
#[derive(Args)]
pub(crate) struct Options {
    /// The layers to run; all of them without any.
    #[arg(value_enum)]
    layers: Vec<Layer>,
    /// The kernels of the vm layer; all of them without any.
    #[arg(long = "kernel", value_name = "KERNEL", value_parser = Series::parse)]
    kernels: Vec<Series>,
    /// Run only tests whose name contains this (layers unit, cli, running and vm).
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

/// What kind of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layer {
    /// Formatting, clippy, documentation, licences.
    Lint,
    /// The libraries' and binaries' own tests, and the examples in their documentation.
    Unit,
    /// The command line, as a user types it, and the documents.
    Cli,
    /// What needs root, on the running kernel.
    Running,
    /// What needs root, on other kernels.
    Vm,
    /// The Debian package and the crate, installed and used.
    Package,
}

const LAYERS: [Layer; 6] = [
    Layer::Lint,
    Layer::Unit,
    Layer::Cli,
    Layer::Running,
    Layer::Vm,
    Layer::Package,
];

impl Layer {
    fn needs(self) -> &'static [Purpose] {
        match self {
            Self::Lint | Self::Unit => &[Purpose::Build],
            Self::Cli => &[Purpose::Build, Purpose::Show],
            Self::Running => &[Purpose::Build, Purpose::Test],
            Self::Vm => &[Purpose::Build, Purpose::Test, Purpose::Vm],
            Self::Package => &[Purpose::Build, Purpose::Package],
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Cli => "cli",
            Self::Running => "running",
            Self::Vm => "vm",
            Self::Package => "package",
        })
    }
}

/// One line of the summary.
struct Row {
    layer: Layer,
    kernel: String,
    tally: Tally,
    took: Duration,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let begin = Instant::now();
    let mut rows = Vec::new();
    for layer in LAYERS {
        if options.layers.is_empty() || options.layers.contains(&layer) {
            println!("== {layer} ({} s so far)", begin.elapsed().as_secs());
            rows.extend(run_layer(layer, options));
        }
    }
    summarize(&rows, begin.elapsed());
    let failed = rows.iter().any(|row| !row.tally.failed.is_empty());
    Ok(ExitCode::from(u8::from(failed)))
}

/// A layer that cannot even begin has failed; the others run all the same.
fn run_layer(layer: Layer, options: &Options) -> Vec<Row> {
    let begin = Instant::now();
    let row = |kernel: String, tally| Row {
        layer,
        kernel,
        tally,
        took: begin.elapsed(),
    };
    let rows = setup::ensure(layer.needs()).and_then(|()| {
        let filter = options.filter.as_deref();
        let one = |tally| vec![row(String::new(), tally)];
        Ok(match layer {
            Layer::Lint => one(lint::run()?),
            Layer::Unit => one(host::unit(filter)?),
            Layer::Cli => one(host::cli(filter)?),
            Layer::Running => vec![row(running_release(), host::running(filter)?)],
            Layer::Vm => guests::run(&options.kernels, filter)?,
            Layer::Package => one(package::run()),
        })
    });
    rows.unwrap_or_else(|error| {
        eprintln!("{layer}: {error:#}");
        vec![row(String::new(), Tally::failed(format!("{error:#}")))]
    })
}

fn running_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn summarize(rows: &[Row], took: Duration) {
    println!(
        "\n{:<8} {:<28} {:>6} {:>6} {:>7} {:>9}",
        "layer", "kernel", "passed", "failed", "skipped", "seconds"
    );
    let mut total = Tally::default();
    for row in rows {
        let Tally {
            passed,
            failed,
            skipped,
        } = &row.tally;
        println!(
            "{:<8} {:<28} {passed:>6} {:>6} {:>7} {:>9.1}",
            row.layer,
            row.kernel,
            failed.len(),
            skipped.len(),
            row.took.as_secs_f64()
        );
        total.add(row.tally.clone());
    }
    for row in rows {
        for line in &row.tally.skipped {
            println!("skipped: {}", in_layer(row, line));
        }
    }
    for row in rows {
        for line in &row.tally.failed {
            println!("FAILED: {}", in_layer(row, line));
        }
    }
    println!("total time {} s", took.as_secs());
    println!(
        "{} passed, {} failed, {} skipped",
        total.passed,
        total.failed.len(),
        total.skipped.len()
    );
}

fn in_layer(row: &Row, line: &str) -> String {
    if row.kernel.is_empty() {
        format!("{}: {line}", row.layer)
    } else {
        format!("{} on {}: {line}", row.layer, row.kernel)
    }
}

/// Where the whole output of a layer is kept.
fn log(name: &str) -> Result<fs::File> {
    let dir = paths::target().join("xtask-test");
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let path = dir.join(format!("{name}.log"));
    fs::File::create(&path).with_context(|| format!("making {}", path.display()))
}

/// Runs a job that runs tests with libtest, showing what matters as it comes.
fn run_tests(name: &str, job: &Job) -> Result<Tally> {
    let mut log = log(name)?;
    let mut reader = Reader::default();
    let ended = job.lines(|line| {
        // A full disk must not fail a test.
        writeln!(log, "{line}").ok();
        if reader.line(line) {
            println!("{line}");
        }
    })?;
    let how = if ended.timed_out {
        Some(format!("gave up after {} s", ended.took.as_secs()))
    } else {
        (!ended.status.success()).then(|| ended.status.to_string())
    };
    Ok(reader.finish(how))
}
