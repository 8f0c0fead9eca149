//! How long zctrace takes to attach its probes and to detach them, and what that takes of the processors and
//! of memory.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeVal,
        utsname::uname,
    },
    unistd::{SysconfVar, sysconf},
};
use serde_json::{Value, json};

use crate::{bpf, tracer};

/// Time attaching and detaching.
#[derive(Args)]
pub(crate) struct Options {
    /// zctrace.
    #[arg(long)]
    zctrace: PathBuf,
    /// How many times each variant runs.
    #[arg(long)]
    runs: u32,
}

/// What is timed: each against the other, run by run.
const VARIANTS: [(&str, &[&str]); 2] = [("all", &[]), ("no-faults", &["--no-faults"])];

/// Measures, and prints a document.
pub(crate) fn run(options: &Options) -> Result<()> {
    let before = loaded()?;
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        for (name, arguments) in VARIANTS {
            runs.push(once(options, name, arguments)?);
        }
    }
    let uname = uname()?;
    let document = json!({
        "kernel": uname.release().to_string_lossy(),
        "runs": runs,
        "left": left_over(&before)?,
    });
    println!("{document}");
    Ok(())
}

/// Starts zctrace, waits until it is attached, and ends it.
fn once(options: &Options, name: &str, arguments: &[&str]) -> Result<Value> {
    let directory = tempfile::tempdir()?;
    let me = std::process::id().to_string();
    let target = ["-p", &me];
    let ended_before = Cpu::of_children()?;
    let begin = Instant::now();
    let mut tracer = tracer::zctrace(
        &options.zctrace,
        directory.path(),
        &[&target, arguments].concat(),
    )?;
    let attach = begin.elapsed();
    let pid = tracer.child.id();
    let (attaching, peak) = (Cpu::of_process(pid)?, peak_rss(pid)?);
    let begin = Instant::now();
    tracer.stop()?;
    let detach = begin.elapsed();
    let detaching = Cpu::of_children()?.since(ended_before).since(attaching);
    let report = tracer.report()?;
    Ok(json!({
        "variant": name,
        "backend": report["backend"],
        "probes": report["coverage"]["attached"].as_array().map(Vec::len),
        "attach_seconds": attach.as_secs_f64(),
        "attach_cpu_seconds": attaching.all,
        "attach_kernel_seconds": attaching.kernel,
        "attach_peak_rss_bytes": peak,
        "detach_seconds": detach.as_secs_f64(),
        "detach_cpu_seconds": detaching.all,
        "detach_kernel_seconds": detaching.kernel,
    }))
}

/// Processor time in seconds.
#[derive(Clone, Copy)]
struct Cpu {
    all: f64,
    /// What of it was spent in the kernel.
    kernel: f64,
}

impl Cpu {
    /// That of all children that have ended.
    fn of_children() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        let kernel = seconds(usage.system_time());
        Ok(Self {
            all: seconds(usage.user_time()) + kernel,
            kernel,
        })
    }

    /// That of a process, as proc_pid_stat(5) has it.
    fn of_process(pid: u32) -> Result<Self> {
        let stat =
            fs::read_to_string(format!("/proc/{pid}/stat")).context("asking for its time")?;
        // The name before may have spaces.
        let (_, fields) = stat.rsplit_once(')').context("its name")?;
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
        let mut next = || ticks.next().context("its time")?.context("its time");
        let (user, kernel) = (f64::from(next()?), f64::from(next()?));
        let second = ticks_per_second()?;
        Ok(Self {
            all: (user + kernel) / second,
            kernel: kernel / second,
        })
    }

    /// What was added. The two sources round differently.
    fn since(self, before: Self) -> Self {
        Self {
            all: (self.all - before.all).max(0.0),
            kernel: (self.kernel - before.kernel).max(0.0),
        }
    }
}

fn ticks_per_second() -> Result<f64> {
    let ticks = sysconf(SysconfVar::CLK_TCK)?.context("no clock")?;
    Ok(ticks as f64)
}

/// The most memory that was resident, in bytes.
fn peak_rss(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
        .context("its memory")?;
    Ok(kilobytes.trim().parse::<u64>()? << 10)
}

/// The ids of all BPF programs and links.
fn loaded() -> Result<BTreeSet<(&'static str, u32)>> {
    let mut ids = BTreeSet::new();
    for (kind, command) in [
        ("program", bpf::PROG_GET_NEXT_ID),
        ("link", bpf::LINK_GET_NEXT_ID),
    ] {
        let mut id = 0;
        while let Some(next) = bpf::next(command, id)? {
            id = next;
            ids.insert((kind, id));
        }
    }
    Ok(ids)
}

/// What is new. The kernel frees programs after a grace period.
fn left_over(before: &BTreeSet<(&'static str, u32)>) -> Result<Vec<String>> {
    let mut left = BTreeSet::new();
    for _ in 0..100 {
        left = loaded()?.difference(before).copied().collect();
        if left.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let shown = left.iter().map(|(kind, id)| format!("{kind} {id}"));
    Ok(shown.collect())
}
