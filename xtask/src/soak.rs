//! `cargo xtask soak`: a day in some minutes, for every command that lasts.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};
use serde_json::Value;

use crate::{
    binaries,
    dashboard::Top,
    job::{Job, is_root},
};

/// Trace short processes with stat, record, serve and top at once, and compare what they count.
///
/// Prints what each takes (memory at half time and at the end, processor time, descriptors) and whether it counted
/// every byte. The status is 1 if it did not, or if memory or descriptors grew in the second half.
#[derive(Args)]
pub(crate) struct Options {
    /// How long there are short processes
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Use this zctrace, instead of building one
    #[arg(long, value_name = "FILE")]
    zctrace: Option<PathBuf>,
}

/// What the short processes are called.
const COMM: &str = "zctsoak";

/// What each of them reads from /dev/zero, and writes to /dev/null.
const BYTES: u64 = 1000;

/// How many there are at a time.
const AT_ONCE: u64 = 8;

/// How many more descriptors it may have: connections and files of `/proc` that are open for a moment.
const MORE_DESCRIPTORS: usize = 4;

/// How much more memory a command may have at the end than at half time.
const GROWTH_KIB: u64 = 4096;

/// What `stat` keeps of each process that has ended, for its report.
const KEPT_BYTES: u64 = 2048;

/// What a command that has attached has open at least: its maps.
const FEWEST_DESCRIPTORS: usize = 20;

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_mins(2);

/// A zctrace that has attached.
struct Traced {
    name: &'static str,
    child: Child,
    kind: Kind,
}

/// Where it says what it counted.
enum Kind {
    /// A document of `stat`.
    Stat(PathBuf),
    Recording(PathBuf),
    /// The address of its metrics.
    Metrics(String),
    /// On a screen, for nobody.
    Screen,
}

/// What a process takes.
#[derive(Clone, Copy)]
struct Use {
    kib: u64,
    descriptors: usize,
    seconds: f64,
}

/// Bytes read and written.
type Sums = (u64, u64);

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let zctrace = match &options.zctrace {
        Some(zctrace) => zctrace.clone(),
        None => binaries::zctrace()?,
    };
    if is_root() {
        return soak(&zctrace, Duration::from_secs_f64(options.minutes * 60.0));
    }
    let ended = job(&zctrace, options.minutes)?.shown()?;
    let code = ended.status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// The same as root, in a process of its own.
pub(crate) fn job(zctrace: &Path, minutes: f64) -> Result<Job> {
    let limit = Duration::from_secs_f64(minutes * 60.0) + 3 * PATIENCE;
    Ok(Job::new(env::current_exe()?)
        .args(["soak", "--minutes", &minutes.to_string()])
        .arg("--zctrace")
        .arg(zctrace)
        .root()
        .limit(limit))
}

fn soak(zctrace: &Path, time: Duration) -> Result<ExitCode> {
    let directory = tempfile::tempdir()?;
    let short = directory.path().join(COMM);
    fs::copy(which::which("dd").context("no dd(1)")?, &short)?;
    let mut all = vec![
        stat(zctrace, directory.path().join("stat"))?,
        record(zctrace, directory.path().join("record"))?,
        serve(zctrace)?,
        top(zctrace)?,
    ];
    let begin = Instant::now();
    let by_half = churn(&short, time / 2)?;
    // Only now: the first readings make what stays.
    let half: Vec<_> = all.iter().map(Traced::usage).collect::<Result<_>>()?;
    let processes = by_half + churn(&short, time.saturating_sub(begin.elapsed()))?;
    let took = begin.elapsed();
    let expected = (processes * BYTES, processes * BYTES);
    all.iter_mut()
        .try_for_each(|traced| traced.settle(expected))?;
    let end: Vec<_> = all.iter().map(Traced::usage).collect::<Result<_>>()?;
    println!(
        "{processes} processes in {:.0} s, {} bytes read and written by each",
        took.as_secs_f64(),
        BYTES
    );
    println!(
        "{:<8}{:>12}{:>10}{:>10}{:>13}  counted",
        "command", "MiB at half", "at end", "CPU s", "descriptors"
    );
    let mut is_sound = true;
    for (traced, (half, end)) in all.into_iter().zip(half.into_iter().zip(end)) {
        let kept = match traced.kind {
            Kind::Stat(_) => (processes - by_half) * KEPT_BYTES / 1024,
            _ => 0,
        };
        let grows = end.kib > half.kib + GROWTH_KIB + kept
            || end.descriptors > half.descriptors + MORE_DESCRIPTORS;
        let name = traced.name;
        let counted = traced.finish(zctrace)?;
        is_sound &= !grows && counted.is_none_or(|counted| counted == expected);
        let counted = match counted {
            None => "not asked".to_owned(),
            Some(counted) if counted == expected => "exactly".to_owned(),
            Some((read, written)) => format!("{read} and {written} of {} bytes", expected.0),
        };
        println!(
            "{name:<8}{:>12.1}{:>10.1}{:>10.1}{:>13}  {counted}{}",
            mib(half.kib),
            mib(end.kib),
            end.seconds,
            end.descriptors,
            if grows { "; it grows" } else { "" },
        );
    }
    Ok(ExitCode::from(u8::from(!is_sound)))
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Runs short processes for this long; returns how many.
fn churn(short: &Path, time: Duration) -> Result<u64> {
    let end = Instant::now() + time;
    let mut started = 0;
    while Instant::now() < end {
        let batch = (0..AT_ONCE).map(|_| {
            Command::new(short)
                .args(["if=/dev/zero", "of=/dev/null", "count=1", "status=none"])
                .arg(format!("bs={BYTES}"))
                .spawn()
        });
        for child in batch.collect::<std::io::Result<Vec<_>>>()? {
            let output = child.wait_with_output()?;
            ensure!(output.status.success(), "a short process failed");
        }
        started += AT_ONCE;
    }
    Ok(started)
}

/// Only the short processes; `dd` maps no files.
const TARGET: [&str; 3] = ["--comm", COMM, "--no-faults"];

fn stat(zctrace: &Path, output: PathBuf) -> Result<Traced> {
    let mut command = Command::new(zctrace);
    command.arg("stat").args(TARGET).arg("--json").arg("-o");
    command.arg(&output);
    attached("stat", command, Kind::Stat(output))
}

fn record(zctrace: &Path, output: PathBuf) -> Result<Traced> {
    let mut command = Command::new(zctrace);
    command.arg("record").args(TARGET).arg("--no-stacks");
    command.arg("-o").arg(&output);
    attached("record", command, Kind::Recording(output))
}

/// Starts a command, and waits until it is ready.
fn attached(name: &'static str, mut command: Command, kind: Kind) -> Result<Traced> {
    let (ready, tell) = std::io::pipe()?;
    fcntl(&tell, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let fd = tell.as_raw_fd().to_string();
    let child = command
        .args(["--ready-fd", &fd])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    drop(tell);
    let traced = Traced { name, child, kind };
    let mut line = String::new();
    BufReader::new(ready).read_line(&mut line)?;
    ensure!(line == "ready\n", "{name} does not attach");
    Ok(traced)
}

fn serve(zctrace: &Path) -> Result<Traced> {
    let mut child = Command::new(zctrace)
        .arg("serve")
        .args(TARGET)
        .args(["--listen", "127.0.0.1:0", "--interval", "1s"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting serve")?;
    let mut errors = BufReader::new(child.stderr.take().context("its errors")?);
    let mut line = String::new();
    errors.read_line(&mut line)?;
    let address = line
        .trim()
        .strip_prefix("serving http://")
        .and_then(|rest| rest.strip_suffix("/metrics"))
        .with_context(|| format!("serve: {}", line.trim()))?
        .to_owned();
    thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
    let traced = Traced {
        name: "serve",
        child,
        kind: Kind::Metrics(address.clone()),
    };
    wait("serve is not ready", || {
        Ok(get(&address, "/readyz")?.starts_with("HTTP/1.1 200 "))
    })?;
    Ok(traced)
}

fn top(zctrace: &Path) -> Result<Traced> {
    let Top { child, .. } = Top::start(zctrace, &TARGET, Stdio::inherit())?;
    let traced = Traced {
        name: "top",
        child,
        kind: Kind::Screen,
    };
    // It does not say when it is ready; while it attaches, it opens something all the time.
    let mut before = 0;
    wait("top does not attach", || {
        thread::sleep(Duration::from_secs(1));
        let now = traced.usage()?.descriptors;
        let is_still = now == before && now >= FEWEST_DESCRIPTORS;
        before = now;
        Ok(is_still)
    })?;
    Ok(traced)
}

fn wait(what: &str, mut is_there: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_there()? {
        ensure!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

impl Traced {
    /// A line of `/proc/PID/status`.
    fn status(&self, field: &str) -> Result<String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let line = line.with_context(|| format!("{} has ended", self.name))?;
        Ok(line.trim().to_owned())
    }

    fn usage(&self) -> Result<Use> {
        let resident = self.status("VmRSS:")?;
        let pid = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the name come the state and ten more, then the ticks of user and system.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<_, _>>()?;
        let second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")?;
        Ok(Use {
            kib: resident.trim_end_matches("kB").trim().parse()?,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            seconds: Duration::from_millis(ticks * 1000 / u64::try_from(second)?).as_secs_f64(),
        })
    }

    /// Lets `serve` read what is left. It is what it shows then, if it does not come to it in time.
    fn settle(&mut self, expected: Sums) -> Result<()> {
        let Kind::Metrics(address) = &self.kind else {
            return Ok(());
        };
        let end = Instant::now() + Duration::from_secs(10);
        while metrics(address)? != expected && Instant::now() < end {
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// What it has counted. Ends it.
    fn finish(mut self, zctrace: &Path) -> Result<Option<Sums>> {
        let shown = match &self.kind {
            Kind::Metrics(address) => Some(metrics(address)?),
            _ => None,
        };
        self.interrupt()?;
        match &self.kind {
            Kind::Stat(output) => document(&fs::read_to_string(output)?).map(Some),
            Kind::Recording(file) => {
                let output = Command::new(zctrace)
                    .args(["stat", "--json", "--from"])
                    .arg(file)
                    .output()?;
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                ensure!(output.status.success(), "stat --from: {error}");
                document(&String::from_utf8(output.stdout)?).map(Some)
            }
            Kind::Metrics(_) | Kind::Screen => Ok(shown),
        }
    }

    fn interrupt(&mut self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGINT)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of /dev/zero and /dev/null in a document.
fn document(text: &str) -> Result<Sums> {
    let document: Value = serde_json::from_str(text)?;
    let processes = document["processes"].as_array().context("no processes")?;
    let paths = processes
        .iter()
        .flat_map(|process| process["paths"].as_array().into_iter().flatten());
    let mut sums = (0, 0);
    for path in paths.filter(|path| path["object"] == "char:mem") {
        let moved = path["moved"].as_u64().context("no bytes")?;
        match path["op"].as_str() {
            Some("read") => sums.0 += moved,
            Some("write") => sums.1 += moved,
            _ => {}
        }
    }
    Ok(sums)
}

/// The same from `/metrics`.
fn metrics(address: &str) -> Result<Sums> {
    let text = get(address, "/metrics")?;
    let sum = |op: &str| {
        let labels = [format!("op=\"{op}\""), "object=\"char:mem\"".to_owned()];
        text.lines()
            .filter(|line| line.starts_with("zctrace_moved_bytes_total{"))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    };
    Ok((sum("read"), sum("write")))
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
