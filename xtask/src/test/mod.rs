//! `cargo xtask test`: every test there is, in layers, with one summary.

use std::{
    cmp::Reverse,
    fmt, fs,
    io::{self, Write as _},
    num::NonZeroUsize,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
    vec,
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use nix::libc;

use crate::{
    arch::Arch,
    job::Job,
    paths,
    setup::{self, Purpose},
    vm::Series,
};

mod again;
mod artifacts;
mod changed;
mod elsewhere;
mod guests;
mod host;
mod kubernetes;
mod lint;
mod matrix;
mod package;
mod tally;
mod unused;

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
    /// The architecture of the vm layer. Another one than this machine's is emulated. Only the vm layer runs
    /// then, and the package layer if it is named.
    #[arg(long, value_enum, default_value_t = Arch::NATIVE)]
    arch: Arch,
    /// Also run the vm layer's tests on emulated machines of the other architectures: docs/CONTRIBUTING.md says how
    /// long that takes.
    #[arg(long, conflicts_with_all = ["arch", "kernels"])]
    all_architectures: bool,
    /// Run only tests whose name contains this (layers unit, cli, running and vm).
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Run only the layers that can break by what was changed since this revision.
    #[arg(long, value_name = "REVISION", num_args = 0..=1, default_missing_value = "origin/main")]
    changed: Option<String>,
}

/// Tests that take this long are named.
const SLOW: Duration = Duration::from_secs(20);

impl Options {
    /// Whether a layer runs for another architecture than this machine's: the package only if it is named, because the
    /// release takes long to build.
    fn is_elsewhere(&self, layer: Layer) -> bool {
        match layer {
            Layer::Vm => true,
            Layer::Package => self.layers.contains(&layer),
            _ => false,
        }
    }

    /// The architectures of the vm layer, this machine's first.
    fn architectures(&self) -> Vec<Arch> {
        let others = Arch::value_variants()
            .iter()
            .copied()
            .filter(|arch| self.all_architectures && *arch != self.arch);
        std::iter::once(self.arch).chain(others).collect()
    }

    /// The layers to run, in their order.
    fn layers(&self) -> Result<Vec<Layer>> {
        let changed = match &self.changed {
            Some(revision) => Some(changed::layers(revision)?),
            None => None,
        };
        let is_wanted = |layer: &Layer| {
            (self.arch.is_native() || self.is_elsewhere(*layer))
                && (self.layers.is_empty() || self.layers.contains(layer))
                && changed.as_ref().is_none_or(|layers| layers.contains(layer))
        };
        Ok(LAYERS.into_iter().filter(is_wanted).collect())
    }
}

/// What kind of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
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
    /// The Debian package, the rpm package and the crate, installed and used.
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
    /// Whether it keeps all processors busy, so that nothing runs beside it.
    fn is_alone(self) -> bool {
        matches!(self, Self::Lint | Self::Unit | Self::Cli)
    }

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

/// What runs beside others, and becomes lines of the summary.
type Task<'a> = Box<dyn FnOnce() -> Result<Vec<Row>> + Send + 'a>;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let begin = Instant::now();
    let layers = options.layers()?;
    let has_vm = layers.contains(&Layer::Vm);
    let (alone, beside): (Vec<_>, Vec<_>) = layers.into_iter().partition(|layer| layer.is_alone());
    let mut rows = Vec::new();
    for layer in alone {
        println!("== {layer} ({} s so far)", begin.elapsed().as_secs());
        rows.extend(run_layer(layer, options));
    }
    if !beside.is_empty() {
        let names: Vec<_> = beside.iter().map(Layer::to_string).collect();
        let so_far = begin.elapsed().as_secs();
        println!("== {} ({so_far} s so far)", names.join(", "));
        rows.extend(run_beside(&beside, options));
    }
    let left_out = if has_vm && options.kernels.is_empty() {
        matrix::left_out(&options.architectures())
    } else {
        Vec::new()
    };
    let total = summarize(&rows, &left_out, begin.elapsed());
    let failed = !total.failed.is_empty() || total.unsteady.len() > again::MOST_UNSTEADY;
    Ok(ExitCode::from(u8::from(failed)))
}

/// A layer that cannot even begin has failed; the others run all the same.
fn run_layer(layer: Layer, options: &Options) -> Vec<Row> {
    let begin = Instant::now();
    let rows = setup::ensure(layer.needs()).and_then(|()| {
        let filter = options.filter.as_deref();
        let one = |kernel: String, tally| {
            vec![Row {
                layer,
                kernel,
                tally,
                took: begin.elapsed(),
            }]
        };
        Ok(match layer {
            Layer::Lint => one(String::new(), lint::run()?),
            Layer::Unit => one(String::new(), host::unit(filter)?),
            Layer::Cli => one(String::new(), host::cli(filter)?),
            Layer::Running => one(running_release(), host::running(filter)?),
            Layer::Package => one(String::new(), package::run(options.arch)),
            Layer::Vm => unreachable!("a task for each kernel"),
        })
    });
    rows.unwrap_or_else(|error| vec![not_begun(layer, &error, begin)])
}

fn not_begun(layer: Layer, error: &anyhow::Error, begin: Instant) -> Row {
    eprintln!("{layer}: {error:#}");
    Row {
        layer,
        kernel: String::new(),
        tally: Tally::failed(format!("{error:#}")),
        took: begin.elapsed(),
    }
}

/// Runs layers beside each other, as many as there are processors: much of their time they wait,
/// guests for grace periods and tests for each other. The package layer, which mostly compiles, takes what they leave.
fn run_beside(layers: &[Layer], options: &Options) -> Vec<Row> {
    let begin = Instant::now();
    let mut rows = Vec::new();
    let mut tasks: Vec<(Layer, Task<'_>)> = Vec::new();
    let mut patient: Vec<(Layer, Task<'_>)> = Vec::new();
    // The longest first. What is installed and built is so once, before they begin.
    for layer in [Layer::Vm, Layer::Running, Layer::Package] {
        if !layers.contains(&layer) {
            continue;
        }
        let architectures = match layer {
            Layer::Vm => options.architectures(),
            _ => vec![options.arch],
        };
        for arch in architectures {
            if let Err(error) = setup::ensure_for(layer.needs(), arch) {
                rows.push(not_begun(layer, &error, begin));
            } else if layer == Layer::Vm {
                let guests = guests::tasks(arch, &options.kernels, options.filter.as_deref());
                tasks.extend(guests.into_iter().map(|task| (layer, task)));
            } else {
                let task: Task<'_> = Box::new(move || Ok(run_layer(layer, options)));
                let list = match layer {
                    Layer::Package => &mut patient,
                    _ => &mut tasks,
                };
                list.push((layer, task));
            }
        }
    }
    let rows = Mutex::new(rows);
    let [tasks, patient] = [tasks, patient].map(|tasks| Mutex::new(tasks.into_iter()));
    let work = |tasks: &Mutex<vec::IntoIter<(Layer, Task<'_>)>>| {
        let take = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((layer, task)) = take() {
            let made = task().unwrap_or_else(|error| vec![not_begun(layer, &error, begin)]);
            rows.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(made);
        }
    };
    let lanes = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| work(&tasks));
        }
        scope.spawn(|| {
            yield_to_others();
            work(&patient);
        });
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|row| LAYERS.iter().position(|layer| *layer == row.layer));
    rows
}

/// Lets what this thread starts have a third of the time that others get where both want it.
fn yield_to_others() {
    const NICE: libc::c_int = 5;
    // SAFETY: it takes numbers only; 0 is this thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        eprintln!("cannot yield to others: {}", io::Error::last_os_error());
    }
}

fn running_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Prints what came of the layers, and gives their sum.
fn summarize(rows: &[Row], left_out: &[String], took: Duration) -> Tally {
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
            unsteady: _,
            took: _,
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
    for line in left_out {
        println!("left out: {line}");
    }
    for row in rows {
        for line in &row.tally.unsteady {
            println!(
                "UNSTEADY: {}: failed, and passed when it ran once more alone",
                in_layer(row, line)
            );
        }
        for line in &row.tally.failed {
            println!("FAILED: {}", in_layer(row, line));
        }
    }
    slowest(rows);
    println!("total time {} s", took.as_secs());
    println!(
        "{} passed, {} failed, {} unsteady (at most {} may be), {} skipped",
        total.passed,
        total.failed.len(),
        total.unsteady.len(),
        again::MOST_UNSTEADY,
        total.skipped.len()
    );
    total
}

/// Where the time went: the tests that took most of it, where tests run one by one.
fn slowest(rows: &[Row]) {
    let mut tests: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            row.tally
                .took
                .iter()
                .map(move |(name, took)| (row, name, took))
        })
        .filter(|(.., took)| **took >= SLOW)
        .collect();
    tests.sort_by_key(|(.., took)| Reverse(**took));
    for (row, name, took) in tests.into_iter().take(15) {
        println!(
            "slow: {:>5.0} s {}",
            took.as_secs_f64(),
            in_layer(row, name)
        );
    }
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
