//! The privileged tests on other kernels.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{
    Layer, Reader, Row, Tally, Task, again,
    artifacts::{self, Address, Built, PACKAGE},
    log,
    matrix::{self, Cell, Tests},
};
use crate::{
    arch::Arch,
    job::Job,
    paths,
    vm::{
        self, DISKS, Extra, Guest, Kernel, MAPPED_DISK, Outcome, Series, Stream, userland::Userland,
    },
};

/// For all test programs on one kernel: twice what they take beside another guest on two processors.
const LIMIT: Duration = Duration::from_mins(55);

/// For what comes between two lines: twice the longest test beside another guest.
const SILENCE: Duration = Duration::from_mins(12);

/// Programs of this machine the tests may call. Those missing make tests skip.
const PROGRAMS: [&str; 16] = [
    "bash",
    "cat",
    "cp",
    "dd",
    "nginx",
    "wrk",
    "fio",
    "iperf3",
    "strace",
    "bpftool",
    "curl",
    "fusermount3",
    "sqlite3",
    "zstd",
    "openssl",
    "perl",
];

/// What a guest runs.
struct Part {
    series: Series,
    /// Which tests of the kernel's, if they are not all.
    name: Option<&'static str>,
    runs: Vec<Vec<String>>,
}

/// A task for each guest, the longest first.
pub(super) fn tasks<'a>(arch: Arch, kernels: &[Series], filter: Option<&'a str>) -> Vec<Task<'a>> {
    let task = |part: Part| -> Task<'a> {
        Box::new(move || {
            let built = artifacts::build(arch)?;
            Ok(vec![run_one(&part, arch, &built)])
        })
    };
    parts(arch, kernels, filter).into_iter().map(task).collect()
}

/// Two guests for a kernel on which all tests run, so that none takes much longer than the others; with a filter one,
/// because it would boot longer than it tests. The newest first: it preempts programs, so each is attached twice.
fn parts(arch: Arch, kernels: &[Series], filter: Option<&str>) -> Vec<Part> {
    let kernels = if kernels.is_empty() {
        matrix::kernels(arch)
    } else {
        kernels.to_vec()
    };
    let alone = kernels.len() == 1;
    let mut parts = Vec::new();
    for series in kernels.into_iter().rev() {
        let cell = Cell::of(arch, series);
        let runs = cell.runs(filter, alone);
        if cell.tests == Tests::Both && filter.is_none() {
            let names = [Address::EveryKernel, Address::OneKernel].map(Address::name);
            parts.extend(names.into_iter().zip(runs).map(|(name, run)| Part {
                series,
                name: Some(name),
                runs: vec![run],
            }));
        } else {
            parts.push(Part {
                series,
                name: None,
                runs,
            });
        }
    }
    parts
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One download at a time: they share package lists.
static DOWNLOAD: Mutex<()> = Mutex::new(());

/// A kernel that cannot be had is a skip, one that cannot be booted a failure.
fn run_one(part: &Part, arch: Arch, built: &Built) -> Row {
    let Part { series, name, runs } = part;
    let series = *series;
    let begin = Instant::now();
    let fetched = {
        let _alone = lock(&DOWNLOAD);
        vm::fetch(series, arch, false)
    };
    let (kernel, tally) = match fetched {
        Err(error) => {
            let reason = format!("Linux {series} cannot be had: {error:#}");
            println!("SKIPPED: {reason}");
            (series.to_string(), Tally::skipped(reason))
        }
        Ok(kernel) => {
            println!("vm: Linux {}", kernel.release);
            let run = |log: &str, runs: &[Vec<String>]| {
                let ran = || {
                    let small = Small::new(arch, built)?;
                    let guest = guest(arch, built, &small, runs)?;
                    run_on(series, &kernel, &guest, log)
                };
                ran().unwrap_or_else(|error| Tally::failed(format!("{error:#}")))
            };
            let part = name.map_or_else(String::new, |name| format!("-{name}"));
            let log = format!("vm-{}{part}", kernel.release);
            let again = format!("{log}-again");
            let tally = again::settled(run(&log, runs), |arguments| run(&again, &[arguments]));
            (kernel.release, tally)
        }
    };
    Row {
        layer: Layer::Vm,
        kernel,
        tally,
        took: begin.elapsed(),
    }
}

/// Several guests print at a time, so each line says whose it is.
fn run_on(series: Series, kernel: &Kernel, guest: &Guest, name: &str) -> Result<Tally> {
    let mut log = log(name)?;
    let mut reader = Reader::default();
    let (mut out, mut err) = (Lines::default(), Lines::default());
    let mut take = |line: &str| {
        writeln!(log, "{line}").ok();
        if reader.line(line) {
            println!("{:4} | {line}", series.name);
        }
    };
    let outcome = guest.run(kernel, |stream, bytes| match stream {
        Stream::Out => out.take(bytes, &mut take),
        Stream::Err => err.take(bytes, &mut take),
    })?;
    out.finish(&mut take);
    err.finish(&mut take);
    let how = match outcome {
        Outcome::Exited { status, warnings } => {
            for warning in &warnings {
                take(&format!("the kernel says: {warning}"));
            }
            (status != 0).then(|| format!("exit status {status}"))
        }
        Outcome::TimedOut { why, console } => {
            take(&console);
            Some(format!("the guest {why}"))
        }
        Outcome::Died { console } => {
            take(&console);
            Some("the guest died".to_owned())
        }
    };
    Ok(reader.finish(how))
}

/// Copies of the programs without line tables, which are half of them: a guest has them in its memory, and reads
/// its own program whole to know its functions. Their symbols stay.
struct Small(TempDir);

impl Small {
    fn new(arch: Arch, built: &Built) -> Result<Self> {
        let small = Self(tempfile::tempdir()?);
        for path in std::iter::once(&built.test).chain(&built.binaries) {
            let strip = Job::new(arch.tool("strip"))
                .args(["--strip-debug", "-o"])
                .arg(small.of(path)?)
                .arg(path);
            strip.output()?;
        }
        Ok(small)
    }

    /// The copy of a program.
    fn of(&self, path: &Path) -> Result<PathBuf> {
        let name = path.file_name().context("a program has a name")?;
        Ok(self.0.path().join(name))
    }
}

/// The test programs lie where they were built, because they were compiled with the paths of the
/// binaries they call and of their data.
fn guest(arch: Arch, built: &Built, small: &Small, runs: &[Vec<String>]) -> Result<Guest> {
    let userland = Userland::of(arch)?;
    let package = paths::root().join(PACKAGE);
    let mut extras = vec![Extra {
        source: package.join("tests"),
        destination: package.join("tests"),
    }];
    for path in std::iter::once(&built.test).chain(&built.binaries) {
        extras.push(Extra {
            source: small.of(path)?,
            destination: path.clone(),
        });
    }
    for path in &built.binaries {
        let name = path.file_name().context("a program has a name")?;
        extras.push(Extra {
            source: small.of(path)?,
            destination: Path::new("/usr/bin").join(name),
        });
    }
    extras.extend(PROGRAMS.iter().filter_map(|name| {
        Some(Extra {
            source: userland.find(name)?,
            destination: PathBuf::from("/usr/bin").join(name),
        })
    }));
    // One that fails does not keep the other from running.
    let mut script = format!("cd '{}' || exit 1\nstatus=0\n", package.display());
    for run in runs {
        let arguments: Vec<_> = run.iter().map(|argument| format!("'{argument}'")).collect();
        let test = built.test.display();
        script += &format!("'{test}' {} || status=$?\n", arguments.join(" "));
    }
    script += "exit $status\n";
    let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let mut variables = Guest::default().variables;
    variables.push(("ZCTRACE_SCRATCH_DISKS".to_owned(), DISKS.join(",")));
    variables.push(("ZCTRACE_BOUNCED_DISK".to_owned(), MAPPED_DISK.to_owned()));
    // Some tests do less where each instruction costs fifty.
    variables.push(("ZCTRACE_EMULATED".to_owned(), "1".to_owned()));
    Ok(Guest {
        arch,
        extras,
        variables,
        timeout: LIMIT,
        silence: Some(SILENCE),
        command,
        // Each probe that is detached waits for grace periods, and these guests do little else.
        append: vec![
            "rcupdate.rcu_expedited=1".to_owned(),
            // As in a confidential virtual machine. Of these devices it concerns `MAPPED_DISK` only: the
            // others reach all of the guest's memory without a mapping.
            "swiotlb=force".to_owned(),
        ],
        ..Guest::default()
    })
}

/// Makes lines of the chunks a guest's output comes in.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], mut on_line: impl FnMut(&str)) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            on_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        }
    }

    /// What came after the last newline: the name of the test that never ended.
    fn finish(&mut self, mut on_line: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            on_line(&String::from_utf8_lossy(&std::mem::take(&mut self.partial)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_in_one_guest() {
        let runs = |filter| {
            let parts = parts(Arch::Amd64, &[], filter);
            let runs: Vec<_> = parts.iter().flat_map(|part| &part.runs).cloned().collect();
            (parts.len(), runs)
        };
        let kernels = matrix::kernels(Arch::Amd64);
        for filter in [None, Some("truth")] {
            let (guests, mut found) = runs(filter);
            let cells = kernels.iter().map(|series| Cell::of(Arch::Amd64, *series));
            let mut wanted: Vec<_> = cells.flat_map(|cell| cell.runs(filter, false)).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted);
            assert_eq!(guests, kernels.len() + usize::from(filter.is_none()));
        }
    }

    #[test]
    fn lines_come_out_whole() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for chunk in ["a", "b\nc\r\n", "d"] {
            lines.take(chunk.as_bytes(), |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        assert_eq!(seen, ["ab", "c", "d"]);
    }
}
