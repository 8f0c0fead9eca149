//! `cargo xtask demo`: zctrace at its main job, on traffic whose truth is known.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    arch::Arch,
    binaries,
    job::{Job, is_root},
    paths,
    setup::{self, Purpose},
    vm::{self, Extra, Guest, Outcome, Series},
};

/// Build zctrace and show it at work.
///
/// Installs what is missing first. Uses sudo if not root: only root may load BPF programs.
#[derive(Args)]
pub(crate) struct Options {
    /// Show it in a virtual machine with another kernel, without root.
    #[arg(long, value_parser = Series::parse)]
    kernel: Option<Series>,
}

/// The traced command: one file served and copied in every way there is.
const TRAFFIC: [&str; 2] = ["traffic", "demo"];

/// The demonstration takes a few seconds; a guest emulates its processor.
const LIMIT: Duration = Duration::from_mins(5);

const WHAT: &str = "
A program now serves and copies the same data in the ways Linux offers, and zctrace traces it.
The program's own account comes first: what it did, and so what must have happened. Then comes
the ledger, which zctrace counts in the kernel, knowing nothing of that account.
";

const HOW_TO_READ: &str = "
How to read it
  MOVED     what the calls themselves reported as done; HOW says in which ways, and adds up to it
  COPIES/B  how often a CPU copied each of those bytes: look at the network lines, where the
            same file is sent at 2 copies a byte with read and write, and at 0 with sendfile
  ~         concluded from the call, where this kernel lets no probe watch the copy itself
";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match options.kernel {
        None => on_this_kernel(),
        Some(series) => in_a_guest(series),
    }
}

fn on_this_kernel() -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Demo])?;
    let zctrace = binaries::zctrace()?;
    let shown = relative(&zctrace);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("\nzctrace on Linux {}{WHAT}", release.trim());
    let sudo = if is_root() { "" } else { "sudo " };
    println!("$ {sudo}{shown} stat -- {shown} {}\n", TRAFFIC.join(" "));
    let ended = Job::new(&zctrace)
        .args(["stat", "--"])
        .arg(&zctrace)
        .args(TRAFFIC)
        .current_dir(paths::root())
        .root()
        .limit(LIMIT)
        .shown()?;
    if !ended.status.success() {
        println!("\nWhat this kernel and these privileges allow: {sudo}{shown} doctor");
        println!("The same in a virtual machine, without root: cargo xtask demo --kernel 6.12");
        bail!("the demonstration failed: {}", ended.status);
    }
    println!("{HOW_TO_READ}");
    println!("What to try next");
    for (command, what) in [
        ("top", "the same, live, for the whole machine"),
        ("stat --port 8080 --duration 10s", "a running server"),
        (
            "check --max-copies-per-byte 0 -- COMMAND",
            "a verdict, for a script",
        ),
        ("doctor", "what this kernel lets zctrace see"),
    ] {
        println!("  {:<66} {what}", format!("{sudo}{shown} {command}"));
    }
    println!(
        "  {:<66} on another kernel, without root",
        "cargo xtask demo --kernel 6.1"
    );
    Ok(ExitCode::SUCCESS)
}

fn in_a_guest(series: Series) -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Vm])?;
    let zctrace = binaries::static_zctrace(Arch::NATIVE)?;
    let kernel = match vm::fetch(series, Arch::NATIVE, false) {
        Ok(kernel) => kernel,
        Err(error) => {
            eprintln!("SKIPPED: Linux {series} cannot be had: {error:#}");
            return Ok(ExitCode::from(vm::SKIPPED));
        }
    };
    println!(
        "\nzctrace on Linux {}, in a virtual machine{WHAT}",
        kernel.release
    );
    println!("# zctrace stat -- zctrace {}\n", TRAFFIC.join(" "));
    let mut command: Vec<String> = ["zctrace", "stat", "--", "zctrace"]
        .map(str::to_owned)
        .to_vec();
    command.extend(TRAFFIC.map(str::to_owned));
    let guest = Guest {
        extras: vec![Extra {
            source: zctrace,
            destination: PathBuf::from("/usr/bin/zctrace"),
        }],
        timeout: LIMIT,
        command,
        ..Guest::default()
    };
    match guest.run(&kernel, vm::pass_on)? {
        Outcome::Exited { status: 0, .. } => {
            println!("{HOW_TO_READ}");
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Exited { status, .. } => bail!("the demonstration failed with status {status}"),
        Outcome::TimedOut { why, console } => bail!("the guest {why}\n{console}"),
        Outcome::Died { console } => bail!("the guest died\n{console}"),
    }
}

/// A path as one would type it here.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}
