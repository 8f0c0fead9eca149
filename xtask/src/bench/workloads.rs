//! `cargo xtask bench workloads`: the generators of `zctrace bench` beside the tools that everybody
//! measures with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Spread, measured_as_root};
use crate::job::{Job, is_root};

/// Compare the generators with iperf3 and fio on the running kernel.
///
/// Each pair runs by turns with the same parameters, untraced. The ratio is the generator's
/// throughput over the tool's, run by run; a median below 0.9 is a failure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many times each pair runs.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print a JSON document (schema zctrace.bench.workloads/1).
    #[arg(long)]
    json: bool,
    /// The zctrace to time, instead of building one.
    #[arg(long, hide = true)]
    zctrace: Option<PathBuf>,
}

/// What the generators must reach.
const LEAST: f64 = 0.9;
/// Bytes over a connection. Its file is as long as a buffer, as that of iperf3 is.
const SENT: u64 = 1 << 30;
/// Bytes of a file on a disk, read once.
const READ: u64 = 256 << 20;
const BUFFER: u64 = 64 << 10;
/// Large enough that copying takes longer than waking the thread of the loop device, which is a matter
/// of where the scheduler put it.
const BLOCK: u64 = 1 << 20;
/// Requests under way at once, as many as the workloads keep.
const DEPTH: &str = "--iodepth=8";
const PORT: &str = "53217";

/// A generator and its tool.
struct Pair {
    workload: &'static str,
    tool: &'static str,
    run: fn() -> Result<f64>,
    bytes: u64,
    file: u64,
    buffer: u64,
}

const PAIRS: [Pair; 4] = [
    Pair {
        workload: "sendfile",
        tool: "iperf3 -Z",
        run: || iperf(&["-Z"]),
        bytes: SENT,
        file: BUFFER,
        buffer: BUFFER,
    },
    Pair {
        workload: "read-write",
        tool: "iperf3",
        run: || iperf(&[]),
        bytes: SENT,
        file: BUFFER,
        buffer: BUFFER,
    },
    Pair {
        workload: "direct-read:ext4",
        tool: "fio --direct=1",
        run: || fio(&["--ioengine=psync", "--direct=1"]),
        bytes: READ,
        file: READ,
        buffer: BLOCK,
    },
    Pair {
        workload: "uring-read-fixed",
        tool: "fio --ioengine=io_uring --fixedbufs",
        run: || {
            let ring = ["--ioengine=io_uring", "--fixedbufs=1", "--direct=0"];
            fio(&[&ring[..], &[DEPTH]].concat())
        },
        bytes: READ,
        file: READ,
        buffer: BLOCK,
    },
];

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    kernel: String,
    runs: u32,
    pairs: Vec<Measured>,
}

/// What came of a pair.
#[derive(Serialize)]
struct Measured {
    workload: &'static str,
    tool: &'static str,
    /// Why it could not run.
    skipped: Option<String>,
    workload_bytes_per_second: Option<Spread>,
    tool_bytes_per_second: Option<Spread>,
    ratio: Option<Spread>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Some(zctrace) = &options.zctrace else {
        let runs = options.runs.to_string();
        return measured_as_root(&["workloads", "--runs", &runs], options.json);
    };
    ensure!(is_root(), "tracing needs root");
    let pairs: Result<Vec<_>> = PAIRS
        .iter()
        .map(|pair| measure(pair, zctrace, options.runs))
        .collect();
    let document = Document {
        schema: "zctrace.bench.workloads/1",
        kernel: Job::new("uname").arg("-r").read().unwrap_or_default(),
        runs: options.runs,
        pairs: pairs?,
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print(&document);
    }
    let slow = |pair: &Measured| {
        pair.ratio
            .as_ref()
            .is_some_and(|ratio| ratio.median < LEAST)
    };
    Ok(ExitCode::from(u8::from(document.pairs.iter().any(slow))))
}

fn measure(pair: &Pair, zctrace: &Path, runs: u32) -> Result<Measured> {
    let (mut own, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut result = Measured {
        workload: pair.workload,
        tool: pair.tool,
        skipped: None,
        workload_bytes_per_second: None,
        tool_bytes_per_second: None,
        ratio: None,
    };
    for _ in 0..runs {
        let ours = match generator(pair, zctrace)? {
            Ok(throughput) => throughput,
            Err(reason) => {
                result.skipped = Some(reason);
                return Ok(result);
            }
        };
        let other = (pair.run)().with_context(|| pair.tool)?;
        ratios.push(ours / other);
        own.push(ours);
        theirs.push(other);
    }
    result.workload_bytes_per_second = Some(Spread::of(own));
    result.tool_bytes_per_second = Some(Spread::of(theirs));
    result.ratio = Some(Spread::of(ratios));
    Ok(result)
}

/// The untraced throughput of a workload, or why it was skipped.
fn generator(pair: &Pair, zctrace: &Path) -> Result<std::result::Result<f64, String>> {
    let output = Command::new(zctrace)
        .args(["bench", "--json", "--untraced", "--runs", "1"])
        .args(["--bytes", &pair.bytes.to_string()])
        .args(["--file", &pair.file.to_string()])
        .args(["--buffer", &pair.buffer.to_string()])
        .arg(pair.workload)
        .output()
        .context("running zctrace")?;
    let document: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let entry = &document["workloads"][0];
    match entry["status"].as_str() {
        Some("skipped") => Ok(Err(entry["reason"].as_str().unwrap_or("?").to_owned())),
        Some("ok") => document["tracing"][0]["untraced"]["median"]
            .as_f64()
            .map(Ok)
            .context("a throughput"),
        _ => bail!("{} differs: {}", pair.workload, entry["differences"]),
    }
}

/// A process that is ended when this is dropped.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn iperf(options: &[&str]) -> Result<f64> {
    let mut server = Ending(
        Command::new("iperf3")
            .args([
                "--server",
                "--one-off",
                "--bind",
                "127.0.0.1",
                "--port",
                PORT,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("iperf3")?,
    );
    for _ in 0..50 {
        // It takes a moment until it listens.
        thread::sleep(Duration::from_millis(100));
        ensure!(server.0.try_wait()?.is_none(), "the server of iperf3 ended");
        let output = Command::new("iperf3")
            .args(["--client", "127.0.0.1", "--port", PORT, "--json"])
            .args([
                "--bytes",
                &SENT.to_string(),
                "--length",
                &BUFFER.to_string(),
            ])
            .args(options)
            .output()?;
        let document: Value = serde_json::from_slice(&output.stdout)?;
        if let Some(bits) = document["end"]["sum_received"]["bits_per_second"].as_f64() {
            return Ok(bits / 8.0);
        }
        let error = document["error"].as_str().unwrap_or("no result");
        ensure!(error.contains("refused"), "{error}");
    }
    bail!("the server of iperf3 does not listen")
}

/// A file like that of the workload: on ext4, on a loop device, on a tmpfs, in a namespace of its own.
/// Like the workload it is read once before the run that counts.
const PLACE: &str = "mount --make-rprivate / && mount -t tmpfs tmpfs \"$1\" && cd \"$1\" && \
     truncate -s 512M image && mkfs.ext4 -q -F -E lazy_itable_init=0 image && mkdir fs && \
     mount -o loop image fs && shift && \
     fio --create_only=1 \"$@\" >/dev/null && fio \"$@\" >/dev/null && exec fio --output-format=json \"$@\"";

fn fio(options: &[&str]) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", PLACE, "sh"])
        .arg(directory.path())
        .args(["--name=read", "--filename=fs/file", "--rw=read"])
        .args([format!("--bs={BLOCK}"), format!("--size={READ}")])
        .args(options)
        .output()
        .context("unshare")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Warnings may come first.
    let json = text.find('{').map_or("", |start| &text[start..]);
    let document: Value = serde_json::from_str(json)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    fs::metadata(directory.path()).context("the mount point")?;
    document["jobs"][0]["read"]["bw_bytes"]
        .as_f64()
        .filter(|bytes| *bytes > 0.0)
        .context("fio read nothing")
}

fn print(document: &Document) {
    println!(
        "GiB/s on Linux {}, {} runs each: median (least to most)\n",
        document.kernel, document.runs
    );
    for pair in &document.pairs {
        let title = format!("{} / {}", pair.workload, pair.tool);
        if let Some(reason) = &pair.skipped {
            println!("{title:<56} skipped: {reason}");
            continue;
        }
        let show = |spread: &Option<Spread>, unit: f64| {
            spread.as_ref().map_or_else(String::new, |s| {
                format!(
                    "{:.2} ({:.2} to {:.2})",
                    s.median / unit,
                    s.min / unit,
                    s.max / unit
                )
            })
        };
        let gib = f64::from(1_u32 << 30);
        println!(
            "{title:<56} {} / {}: ratio {}",
            show(&pair.workload_bytes_per_second, gib),
            show(&pair.tool_bytes_per_second, gib),
            show(&pair.ratio, 1.0)
        );
    }
}
