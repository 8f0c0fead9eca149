//! `cargo xtask vm`: runs a command, or a shell, on other kernels.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{arch::Arch, binaries};

pub(crate) mod guest;
pub(crate) mod initramfs;
mod kernel;
pub(crate) mod userland;

pub(crate) use guest::{DISKS, Guest, MAPPED_DISK, Outcome, Stream, pass_on, program};
pub(crate) use initramfs::Extra;
pub(crate) use kernel::{Kernel, Series, fetch};
use userland::Userland;

/// The status when a kernel could not be had; automake's for a skipped test.
pub(crate) const SKIPPED: u8 = 77;
/// The status of a guest that ran out of time, as timeout(1) has it.
const TIMED_OUT: u8 = 124;
/// The status of a guest that went down by itself.
const DIED: u8 = 125;

/// Run a command, or a shell, in a virtual machine with another kernel.
///
/// The kernels are Debian's cloud kernels, downloaded once into target/vm-cache (or
/// ZCTRACE_VM_CACHE). No root and no disk image is needed. The guest has busybox, the static
/// zctrace where one was built (--build builds it), mkfs.ext4, mkfs.xfs, mkfs.btrfs, losetup, mount
/// and ip, scratch disks /dev/vda to /dev/vdd and /dev/nvme0n1, and whatever --file adds.
///
/// The status is the command's; 124 when time ran out, 125 when the guest went down, 77 when the
/// kernel could not be had.
#[derive(Args)]
pub(crate) struct Options {
    /// The kernel: 5.10, 6.1, 6.12, 6.18, 7.0, 7.2, 7.3, 6.12-16k (arm64: pages of 16 KiB), or all those of the tests.
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// The architecture.
    #[arg(long, value_enum, default_value_t = Arch::NATIVE)]
    arch: Arch,
    /// Processors of the guest.
    #[arg(long, default_value_t = 2)]
    smp: u32,
    /// Memory of the guest.
    #[arg(long, default_value = "4G")]
    memory: String,
    /// One processor on which a nanosecond is an instruction, for exact costs.
    #[arg(long)]
    icount: bool,
    /// Size of each of the scratch disks /dev/vda to /dev/vdd.
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    disk: String,
    /// Add a file, directory or program with its libraries (to /usr/bin if it is a program and DST is not given).
    #[arg(long = "file", value_name = "SRC[:DST]")]
    files: Vec<String>,
    /// Set a variable for the command.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Add a word to the kernel's command line.
    #[arg(long, value_name = "WORD")]
    append: Vec<String>,
    /// Copy what the command leaves in /out here.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// Download the kernel again, to get its newest update.
    #[arg(long)]
    refresh: bool,
    /// Build the static zctrace (release profile) first.
    #[arg(long)]
    build: bool,
    /// Only download what is missing.
    #[arg(long)]
    fetch_only: bool,
    /// What to run; nothing: a shell.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let series = match options.kernel.as_str() {
        "all" => Series::tested(options.arch).to_vec(),
        name => vec![Series::parse(name).map_err(anyhow::Error::msg)?],
    };
    if series.len() > 1 && options.command.is_empty() && !options.fetch_only {
        bail!("a shell needs one kernel, not all");
    }
    if options.build {
        binaries::static_zctrace(options.arch)?;
    }
    let guest = guest(options)?;
    let mut results = Vec::new();
    for series in series {
        let begin = Instant::now();
        let (status, verdict) = run_one(series, options, &guest)?;
        if !options.command.is_empty() {
            let seconds = begin.elapsed().as_secs_f64();
            eprintln!("vm: {series}: {verdict} ({seconds:.1} s)");
        }
        results.push((series, status, verdict));
    }
    if results.len() > 1 && !options.command.is_empty() {
        eprintln!("\nkernel   result");
        for (series, _, verdict) in &results {
            eprintln!("{:<8} {verdict}", series.name);
        }
    }
    Ok(ExitCode::from(combined(
        results.iter().map(|(_, status, _)| *status),
    )))
}

/// A failure counts before a skip, and a skip before success.
fn combined(statuses: impl Iterator<Item = u8> + Clone) -> u8 {
    let failed = |status: &u8| !matches!(*status, 0 | SKIPPED);
    statuses
        .clone()
        .find(failed)
        .or_else(|| statuses.clone().find(|status| *status != 0))
        .unwrap_or(0)
}

fn run_one(series: Series, options: &Options, guest: &Guest) -> Result<(u8, String)> {
    let kernel = match fetch(series, options.arch, options.refresh) {
        Ok(kernel) => kernel,
        Err(error) => return Ok((SKIPPED, format!("SKIPPED: cannot be had: {error:#}"))),
    };
    if options.fetch_only {
        eprintln!(
            "vm: {series}: {} ({} of {})",
            kernel.release, kernel.package, kernel.suite
        );
        return Ok((0, kernel.release));
    }
    let release = &kernel.release;
    Ok(match guest.run(&kernel, pass_on)? {
        Outcome::Exited { status, warnings } => {
            for warning in warnings {
                eprintln!("vm: {series}: the kernel says: {warning}");
            }
            (status, format!("{release}: exit status {status}"))
        }
        Outcome::TimedOut { why, console } => {
            eprintln!("{console}");
            (TIMED_OUT, format!("{release}: TIMED OUT: {why}"))
        }
        Outcome::Died { console } => {
            eprintln!("{console}");
            (
                DIED,
                format!("{release}: the guest DIED; its last words are above"),
            )
        }
    })
}

fn guest(options: &Options) -> Result<Guest> {
    let mut extras: Vec<Extra> = binaries::built_static_zctrace(options.arch)
        .map(|source| Extra {
            source,
            destination: PathBuf::from("/usr/bin/zctrace"),
        })
        .into_iter()
        .collect();
    let userland = Userland::of(options.arch)?;
    for file in &options.files {
        extras.push(extra(file, &userland)?);
    }
    let defaults = Guest::default();
    let mut variables = defaults.variables;
    for variable in &options.variables {
        let (name, value) = variable
            .split_once('=')
            .with_context(|| format!("{variable} is not NAME=VALUE"))?;
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(Guest {
        arch: options.arch,
        processors: options.smp,
        memory: options.memory.clone(),
        icount: options.icount,
        disk: options.disk.clone(),
        extras,
        variables,
        append: options.append.clone(),
        timeout: Duration::from_secs(options.timeout),
        silence: None,
        out: options.out.clone(),
        command: options.command.clone(),
    })
}

/// `SRC[:DST]`; a SRC without a slash is looked up in PATH.
fn extra(file: &str, userland: &Userland) -> Result<Extra> {
    let (source, destination) = match file.split_once(':') {
        Some((source, destination)) => (source, Some(PathBuf::from(destination))),
        None => (file, None),
    };
    let mut path = PathBuf::from(source);
    if !source.contains('/') && !path.exists() {
        path = userland
            .find(source)
            .with_context(|| format!("no program {source} here"))?;
    }
    let name = path
        .file_name()
        .with_context(|| format!("{source} has no name"))?;
    let destination = destination.unwrap_or_else(|| Path::new("/usr/bin").join(name));
    Ok(Extra {
        source: path,
        destination,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_beats_a_skip_and_a_skip_beats_success() {
        assert_eq!(combined([0, SKIPPED, 3].into_iter()), 3);
        assert_eq!(combined([0, SKIPPED, 0].into_iter()), SKIPPED);
        assert_eq!(combined([0, 0].into_iter()), 0);
    }

    #[test]
    fn a_file_goes_where_it_is_told() {
        let given = extra("./a/b:/etc/c", &Userland::Host).unwrap();
        assert_eq!(given.destination, Path::new("/etc/c"));
        assert_eq!(
            extra("./a/b", &Userland::Host).unwrap().destination,
            Path::new("/usr/bin/b")
        );
        let error = extra("no-such-program-anywhere", &Userland::Host)
            .map(drop)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "no program no-such-program-anywhere here"
        );
    }
}
