//! `cargo xtask bench tui`: how quick the dashboard is, and what it costs.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Spread, measured_as_root};
use crate::{
    dashboard::Top,
    job::{Job, is_root},
};

/// Measure the dashboard in a pseudo-terminal of 200x50.
///
/// With made-up processes and rows that all change every second: the time from a key to the frame
/// that answers it, the time of a frame, the memory. With the probes attached and nothing to show:
/// the processor time, as a part of one core.
#[derive(Args)]
pub(crate) struct Options {
    /// Made-up processes.
    #[arg(long, default_value_t = 10_000)]
    processes: u32,
    /// Made-up rows.
    #[arg(long, default_value_t = 100_000)]
    rows: u32,
    /// Keys to press.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Seconds to be idle.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,
    /// Print a JSON document (schema zctrace.bench.tui/1).
    #[arg(long)]
    json: bool,
    /// The zctrace to measure, instead of building one.
    #[arg(long, hide = true)]
    zctrace: Option<PathBuf>,
}

/// Every view, up and down, sorting, a filter, flames: what a person does.
const KEYS: &[&str] = &[
    "j", "j", "G", "g", "2", "j", "S", "3", "j", "4", "5", "G", "k", "6", "f", "f", "7", "8", "1",
    "\x04", "\x15", "s", "j", "\r", "/", "w", "o", "r", "k", "\r", "n", "n", "\x1b", "\t", "?",
    "\x1b", "1", "\r", "j", "\x1b",
];

/// Time between two keys: not a divisor of the refresh, so that keys come at any time of it.
const PACE: Duration = Duration::from_millis(53);

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    machine: Machine,
    processes: u32,
    rows: u32,
    /// Milliseconds from a key to the frame that answers it.
    key_ms: Quantiles,
    /// Milliseconds of a frame.
    frame_ms: Quantiles,
    /// The most memory that was resident, in MiB.
    memory_mib: f64,
    /// Of that, what was there before anything was shown: the program and the made-up document.
    source_mib: f64,
    /// Processor time with nothing to show, in percent of a core.
    idle_percent: Vec<Idle>,
}

#[derive(Serialize)]
struct Machine {
    kernel: String,
    processor: String,
    processors: usize,
}

#[derive(Serialize)]
struct Quantiles {
    count: usize,
    median: f64,
    p99: f64,
    most: f64,
}

#[derive(Serialize)]
struct Idle {
    target: &'static str,
    percent: Spread,
}

/// What zctrace tells of itself.
#[derive(Deserialize)]
struct Timings {
    frames: Vec<u64>,
    keys: Vec<u64>,
    source_kib: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Some(zctrace) = &options.zctrace else {
        let numbers = [
            ("--processes", options.processes.to_string()),
            ("--rows", options.rows.to_string()),
            ("--keys", options.keys.to_string()),
            ("--idle", options.idle.to_string()),
        ];
        let mut arguments = vec!["tui"];
        for (name, number) in &numbers {
            arguments.extend([*name, number]);
        }
        return measured_as_root(&arguments, options.json);
    };
    ensure!(is_root(), "attaching needs root");
    let (timings, memory_mib) = busy(zctrace, options)?;
    let seconds = Duration::from_secs(options.idle);
    let own = std::process::id().to_string();
    let document = Document {
        schema: "zctrace.bench.tui/1",
        machine: machine(),
        processes: options.processes,
        rows: options.rows,
        source_mib: mib(timings.source_kib),
        key_ms: Quantiles::of(timings.keys)?,
        frame_ms: Quantiles::of(timings.frames)?,
        memory_mib,
        idle_percent: vec![
            Idle {
                target: "one process that waits",
                percent: idle(zctrace, &["-p", &own, "--no-follow"], seconds)?,
            },
            Idle {
                target: "the whole machine",
                percent: idle(zctrace, &[], seconds)?,
            },
        ],
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print(&document);
    }
    Ok(ExitCode::SUCCESS)
}

/// Presses keys while everything changes.
fn busy(zctrace: &Path, options: &Options) -> Result<(Timings, f64)> {
    let (processes, rows) = (options.processes.to_string(), options.rows.to_string());
    let arguments = ["--synthetic", &processes, &rows];
    let mut top = Top::start(zctrace, &arguments, Stdio::piped())?;
    // The timings come at the end, more of them than a pipe holds.
    let mut stderr = top.child.stderr.take().context("its errors")?;
    let told = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    thread::sleep(Duration::from_secs(3));
    for key in KEYS.iter().cycle().take(options.keys as usize) {
        top.press(key)?;
        thread::sleep(PACE);
    }
    let memory = memory(top.child.id())?;
    // Nothing may be open over the view, in whose text a q would end up.
    top.press("\x1b")?;
    thread::sleep(Duration::from_millis(300));
    top.press("q")?;
    let status = top.child.wait()?;
    let text = told.join().ok().context("its errors")??;
    ensure!(status.success(), "zctrace: {status}: {text}");
    Ok((serde_json::from_str(&text)?, memory))
}

/// The most memory that was resident.
fn memory(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let most = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|text| text.trim().strip_suffix(" kB"))
        .context("no VmHWM")?;
    Ok(mib(most.trim().parse()?))
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Processor time while nothing happens, a figure for each quarter of the time.
fn idle(zctrace: &Path, arguments: &[&str], time: Duration) -> Result<Spread> {
    let mut top = Top::start(zctrace, arguments, Stdio::inherit())?;
    // Attaching is not idling.
    thread::sleep(Duration::from_secs(4));
    let mut parts = Vec::new();
    for _ in 0..4 {
        let (begin, before) = (Instant::now(), spent(top.child.id())?);
        thread::sleep(time / 4);
        let spent = spent(top.child.id())? - before;
        parts.push(spent / begin.elapsed().as_secs_f64() * 100.0);
    }
    top.press("q")?;
    let status = top.child.wait()?;
    ensure!(status.success(), "zctrace: {status}");
    Ok(Spread::of(parts))
}

/// Seconds on a processor since the start, all threads.
fn spent(pid: u32) -> Result<f64> {
    let mut nanoseconds = 0_u64;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // The first number is the time on a processor, to the nanosecond.
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = text.split(' ').next().context("no schedstat")?;
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

fn machine() -> Machine {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned());
    Machine {
        kernel: Job::new("uname").arg("-r").read().unwrap_or_default(),
        processor,
        processors: thread::available_parallelism().map_or(1, Into::into),
    }
}

impl Quantiles {
    /// Of microseconds.
    fn of(mut micros: Vec<u64>) -> Result<Self> {
        ensure!(!micros.is_empty(), "nothing was timed");
        micros.sort_unstable();
        let at = |part: usize| {
            let micros = micros[(micros.len() - 1) * part / 100];
            Duration::from_micros(micros).as_secs_f64() * 1e3
        };
        Ok(Self {
            count: micros.len(),
            median: at(50),
            p99: at(99),
            most: at(100),
        })
    }
}

fn print(document: &Document) {
    let Machine {
        kernel,
        processor,
        processors,
    } = &document.machine;
    println!("{processors} x {processor}, Linux {kernel}");
    println!(
        "{} processes with {} rows, all changing every second, 200x50\n",
        document.processes, document.rows
    );
    println!(
        "{:<28}{:>10}{:>10}{:>10}{:>8}",
        "", "median", "p99", "most", "count"
    );
    for (name, of) in [
        ("key to frame, ms", &document.key_ms),
        ("frame, ms", &document.frame_ms),
    ] {
        println!(
            "{name:<28}{:>10.2}{:>10.2}{:>10.2}{:>8}",
            of.median, of.p99, of.most, of.count
        );
    }
    println!(
        "{:<28}{:>10.1}, of which {:.1} for the program and the made-up document",
        "memory, MiB", document.memory_mib, document.source_mib
    );
    for Idle { target, percent } in &document.idle_percent {
        println!(
            "idle, {target}: {:.2}% of a core ({:.2} to {:.2})",
            percent.median, percent.min, percent.max
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_milliseconds() {
        let quantiles = Quantiles::of((1..=101).map(|n| n * 1000).collect()).unwrap();
        assert_eq!(quantiles.count, 101);
        assert_eq!(
            (quantiles.median, quantiles.p99, quantiles.most),
            (51.0, 100.0, 101.0)
        );
        let error = Quantiles::of(Vec::new()).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "nothing was timed");
    }
}
