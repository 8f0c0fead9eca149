//! Fuzzing what zctrace reads from others, guided by coverage.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    arch::Arch,
    job::{Job, Tail},
    paths,
};

/// What rustc adds for libFuzzer, which the stable one can as well: counters of edges, and of what is compared.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg=fuzzing";

/// Named to cargo, so that the build scripts of dependencies are compiled without [`FLAGS`].
const TARGET: &str = Arch::NATIVE.target();

/// For the build, which optimizes everything that zctrace uses.
const BUILD_LIMIT: Duration = Duration::from_mins(20);

/// Fuzz the readers of recordings, policies, settings, filters and BPF maps, guided by coverage.
///
/// What it finds stays in fuzz/artifacts; what covers something new joins the corpus, which the unit tests read too.
#[derive(Args)]
pub(crate) struct Options {
    /// How long, all targets together, with as many at a time as there are processors
    #[arg(long, default_value_t = 1)]
    minutes: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let total = Duration::from_secs(options.minutes.saturating_mul(60));
    let findings = findings(&targets()?, total, Kind::Thorough)?;
    for finding in &findings {
        println!("{finding}");
    }
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}

/// How thoroughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Optimized, which takes twice as long to build and tries ten times as much. Inputs that reach new code become
    /// files of the tree.
    Thorough,
    /// As soon as possible, and nothing is kept.
    Short,
}

/// Runs these targets, all of them together for so long; a line for each that found something.
pub(crate) fn findings(targets: &[String], total: Duration, kind: Kind) -> Result<Vec<String>> {
    let programs = build(kind)?;
    let lanes = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let rounds = targets.len().div_ceil(lanes).max(1);
    let seconds = (total.as_secs() / rounds as u64).max(1);
    let left = Mutex::new(targets.iter());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(target) = next else { break };
                    if let Err(error) = fuzz(target, &programs, seconds, kind) {
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.push(format!("{target}: {error:#}"));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort();
    Ok(found)
}

fn home() -> PathBuf {
    paths::root().join("fuzz")
}

/// Builds every target; where they are.
fn build(kind: Kind) -> Result<PathBuf> {
    let (profile, directory) = match kind {
        Kind::Thorough => ("release", "release"),
        Kind::Short => ("dev", "debug"),
    };
    let target = paths::target().join("fuzz");
    // The versions that zctrace is built with.
    fs::copy(paths::root().join("Cargo.lock"), home().join("Cargo.lock"))
        .context("copying Cargo.lock")?;
    Job::new("cargo")
        .args(["build", "--quiet", "--bins", "--profile", profile])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", FLAGS)
        // No reader needs the programs.
        .env("AYA_BUILD_SKIP", "1")
        .current_dir(&home())
        .limit(BUILD_LIMIT)
        .step("fuzz: building the targets")?;
    Ok(target.join(TARGET).join(directory))
}

fn fuzz(target: &str, programs: &Path, seconds: u64, kind: Kind) -> Result<()> {
    let kept = home().join("corpus").join(target);
    let found = home().join("artifacts").join(target);
    fs::create_dir_all(&found).context("making fuzz/artifacts")?;
    // New inputs go to the first directory, and what is only read follows.
    let new = tempfile::tempdir().context("making a directory")?;
    let directories = match kind {
        Kind::Thorough => vec![kept],
        Kind::Short => vec![new.path().to_owned(), kept],
    };
    let mut last = Tail::default();
    let ended = Job::new(programs.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        // What a reader may take, and the fuzzer itself.
        .args(["-rss_limit_mb=1024", "-timeout=10", "-max_len=65536"])
        .arg("-print_final_stats=1")
        .args(directories)
        .limit(Duration::from_secs(seconds) + Duration::from_mins(5))
        .lines(|line| last.push(line))?;
    let units = last
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!(
        "fuzz: {target}: {} inputs in {:.0} s",
        units.unwrap_or("unknown").trim(),
        ended.took.as_secs_f64()
    );
    if ended.status.success() {
        return Ok(());
    }
    for line in last.lines() {
        println!("    {line}");
    }
    bail!(
        "{}; what it found is in fuzz/artifacts/{target}",
        ended.status
    )
}

/// Every target: a file for each.
pub(crate) fn targets() -> Result<Vec<String>> {
    let directory = home().join("fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&directory).context("reading fuzz/fuzz_targets")? {
        let path = entry?.path();
        targets.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    targets.sort();
    Ok(targets)
}
