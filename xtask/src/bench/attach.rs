//! `cargo xtask bench attach`: how long attaching and detaching take, and that nothing is left.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;

use super::Spread;
use crate::{
    binaries,
    job::{Job, is_root},
    paths,
    setup::{self, Purpose},
};

/// Time attaching and detaching on the running kernel.
///
/// Starts zctrace again and again, by turns with and without the fault probes, and checks that no
/// BPF program or link is left when it has ended.
#[derive(Args)]
pub(crate) struct Options {
    /// How many times each variant runs.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print a JSON document (schema zctrace.bench.attach/1).
    #[arg(long)]
    json: bool,
    /// The zctrace to time, instead of building one.
    #[arg(long, hide = true)]
    zctrace: Option<PathBuf>,
}

/// What is timed: each against the other, run by run.
const VARIANTS: [(&str, &[&str]); 2] = [("all", &[]), ("no-faults", &["--no-faults"])];

/// How long one start or one end may take.
const LIMIT: Duration = Duration::from_mins(1);

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    kernel: String,
    runs: u32,
    variants: Vec<Variant>,
    /// BPF programs and links that appeared and did not go away.
    left: Vec<String>,
}

#[derive(Serialize)]
struct Variant {
    name: &'static str,
    attach_seconds: Spread,
    detach_seconds: Spread,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Some(zctrace) = &options.zctrace else {
        return as_root(options);
    };
    ensure!(is_root(), "attaching needs root");
    let before = loaded();
    let mut times = VARIANTS.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..options.runs {
        for ((_, arguments), (attach, detach)) in VARIANTS.iter().zip(&mut times) {
            let (attached, detached) = one(zctrace, arguments)?;
            attach.push(attached);
            detach.push(detached);
        }
    }
    let left = left_over(&before);
    let kernel = Job::new("uname").arg("-r").read().unwrap_or_default();
    let variants = VARIANTS
        .iter()
        .zip(times)
        .map(|((name, _), (attach, detach))| Variant {
            name,
            attach_seconds: Spread::of(attach),
            detach_seconds: Spread::of(detach),
        })
        .collect();
    let document = Document {
        schema: "zctrace.bench.attach/1",
        kernel,
        runs: options.runs,
        variants,
        left,
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print(&document);
    }
    Ok(ExitCode::from(u8::from(!document.left.is_empty())))
}

/// Builds as the user, and measures as root.
fn as_root(options: &Options) -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Bench])?;
    let zctrace = binaries::zctrace()?;
    let mut job = Job::new(env::current_exe()?)
        .args(["bench", "attach", "--runs", &options.runs.to_string()])
        .arg("--zctrace")
        .arg(zctrace)
        .root();
    if options.json {
        job = job.arg("--json");
    }
    let ended = job.shown()?;
    Ok(ExitCode::from(
        ended
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
    ))
}

/// Starts zctrace, waits until it is attached, ends it; how long both took.
fn one(zctrace: &Path, arguments: &[&str]) -> Result<(f64, f64)> {
    let directory = tempfile::tempdir()?;
    let begin = Instant::now();
    let mut child = Command::new(zctrace)
        .arg("stat")
        .args(["-p", &std::process::id().to_string()])
        .args(arguments)
        .args(["--json", "--ready-fd", "1", "-o"])
        .arg(directory.path().join("report"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running zctrace")?;
    let stdout = child.stdout.take().context("its output")?;
    let mut line = String::new();
    let told = BufReader::new(stdout).read_line(&mut line)?;
    let attached = begin.elapsed();
    if told == 0 {
        let mut why = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut why)?;
        }
        bail!("zctrace: {}: {}", child.wait()?, why.trim());
    }
    let begin = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    wait(&mut child)?;
    Ok((attached.as_secs_f64(), begin.elapsed().as_secs_f64()))
}

fn wait(child: &mut Child) -> Result<()> {
    let begin = Instant::now();
    while child.try_wait()?.is_none() {
        if begin.elapsed() > LIMIT {
            child.kill()?;
            bail!("zctrace did not end within {} s", LIMIT.as_secs());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The ids of all BPF programs and links.
fn loaded() -> BTreeSet<String> {
    let Some(bpftool) = paths::find_program("bpftool") else {
        return BTreeSet::new();
    };
    let mut ids = BTreeSet::new();
    for kind in ["prog", "link"] {
        let listed = Job::new(&bpftool).args([kind, "list", "--json"]).read();
        let entries: Vec<serde_json::Value> = listed
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        ids.extend(entries.iter().filter_map(|entry| {
            let name = entry["name"].as_str().unwrap_or_default();
            Some(format!("{kind} {} {name}", entry["id"].as_u64()?))
        }));
    }
    ids
}

/// What is new; the kernel frees programs after a grace period.
fn left_over(before: &BTreeSet<String>) -> Vec<String> {
    let mut left = Vec::new();
    for _ in 0..20 {
        left = loaded().difference(before).cloned().collect();
        if left.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    left
}

fn print(document: &Document) {
    println!(
        "seconds on Linux {}, {} runs each\n",
        document.kernel, document.runs
    );
    println!(
        "{:<12}{:>26}{:>26}",
        "", "start to attached", "signal to ended"
    );
    println!(
        "{:<12}{:>10}{:>8}{:>8}{:>10}{:>8}{:>8}",
        "probes", "median", "min", "max", "median", "min", "max"
    );
    for variant in &document.variants {
        print!("{:<12}", variant.name);
        for spread in [&variant.attach_seconds, &variant.detach_seconds] {
            print!(
                "{:>10.3}{:>8.3}{:>8.3}",
                spread.median, spread.min, spread.max
            );
        }
        println!();
    }
    if paths::find_program("bpftool").is_none() {
        println!("\nwhat is left was not looked for: there is no bpftool");
    } else if document.left.is_empty() {
        println!("\nno BPF program or link is left");
    } else {
        println!("\nLEFT: {}", document.left.join(", "));
    }
}
