//! `cargo xtask bench attach`: how long attaching and detaching take, and that nothing is left.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Spread, guest};
use crate::{
    arch::Arch,
    binaries,
    job::Job,
    setup::{self, Purpose},
    vm::{self, Guest, Series},
};

/// Time attaching and detaching, on the running kernel or in a virtual machine.
///
/// Starts zctrace again and again, by turns with and without the fault probes, and checks that no
/// BPF program or link is left when it has ended.
#[derive(Args)]
pub(crate) struct Options {
    /// Measure on this kernel, in an emulated machine with two processors.
    #[arg(long, value_parser = Series::parse)]
    kernel: Option<Series>,
    /// How many times each variant runs; 10 unless told, 2 in an emulated machine.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Print a JSON document (schema zctrace.bench.attach/1).
    #[arg(long)]
    json: bool,
    /// The zctrace to time, instead of building one: linked statically if it is for a machine.
    #[arg(long, hide = true)]
    zctrace: Option<PathBuf>,
}

/// What `tracing-cost` prints.
#[derive(Deserialize)]
struct Measured {
    kernel: String,
    runs: Vec<Run>,
    left: Vec<String>,
}

#[derive(Deserialize)]
struct Run {
    variant: String,
    backend: String,
    probes: u64,
    attach_seconds: f64,
    attach_cpu_seconds: f64,
    attach_kernel_seconds: f64,
    attach_peak_rss_bytes: u64,
    detach_seconds: f64,
    detach_cpu_seconds: f64,
    detach_kernel_seconds: f64,
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    kernel: String,
    /// Whether that kernel ran on an emulated processor.
    emulated: bool,
    variants: Vec<Variant>,
    /// BPF programs and links that appeared and did not go away.
    left: Vec<String>,
}

#[derive(Serialize)]
struct Variant {
    name: String,
    backend: String,
    probes: u64,
    runs: usize,
    /// From the start to the word that everything is attached.
    attach_seconds: Spread,
    /// Processor time of zctrace until then.
    attach_cpu_seconds: Spread,
    /// What of it was spent in the kernel.
    attach_kernel_seconds: Spread,
    /// The most memory of zctrace that was resident until then.
    attach_peak_rss_bytes: u64,
    /// From the signal to the end of the process.
    detach_seconds: Spread,
    detach_cpu_seconds: Spread,
    detach_kernel_seconds: Spread,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let text = match options.kernel {
        Some(series) => match in_guest(options, series)? {
            Some(text) => text,
            None => return Ok(ExitCode::from(vm::SKIPPED)),
        },
        None => here(options)?,
    };
    let measured = serde_json::from_slice(&text).context("reading what was measured")?;
    let document = document(measured, options.kernel.is_some());
    if options.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print(&document);
    }
    Ok(ExitCode::from(u8::from(!document.left.is_empty())))
}

/// Builds as the user, and measures as root.
fn here(options: &Options) -> Result<Vec<u8>> {
    setup::ensure(&[Purpose::Build, Purpose::Bench])?;
    let zctrace = match &options.zctrace {
        Some(built) => built.clone(),
        None => binaries::zctrace()?,
    };
    Job::new(binaries::tracing_cost()?)
        .arg("attach")
        .args(["--runs", &options.runs.unwrap_or(10).to_string()])
        .arg("--zctrace")
        .arg(zctrace)
        .root()
        .limit(Duration::from_hours(1))
        .output()
}

/// The same in an emulated machine; `None` if its kernel cannot be had.
fn in_guest(options: &Options, series: Series) -> Result<Option<Vec<u8>>> {
    setup::ensure(&[Purpose::Build, Purpose::Vm])?;
    let zctrace = match &options.zctrace {
        Some(built) => built.clone(),
        None => binaries::static_zctrace(Arch::NATIVE)?,
    };
    let runs = options.runs.unwrap_or(2).to_string();
    let guest = Guest {
        extras: vec![
            guest::program(zctrace, "zctrace"),
            guest::program(binaries::tracing_cost()?, "tracing-cost"),
        ],
        timeout: Duration::from_mins(40),
        command: [
            "tracing-cost",
            "attach",
            "--zctrace=/usr/bin/zctrace",
            "--runs",
            &runs,
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Guest::default()
    };
    let output = guest::run(&guest, series, "attaching and detaching")?;
    Ok(output.map(|output| output.text))
}

fn document(measured: Measured, emulated: bool) -> Document {
    let mut names: Vec<&str> = Vec::new();
    for run in &measured.runs {
        if !names.contains(&run.variant.as_str()) {
            names.push(&run.variant);
        }
    }
    let variants = names
        .into_iter()
        .filter_map(|name| {
            let runs: Vec<&Run> = measured
                .runs
                .iter()
                .filter(|run| run.variant == name)
                .collect();
            let first = runs.first()?;
            let spread = |of: fn(&Run) -> f64| Spread::of(runs.iter().map(|run| of(run)).collect());
            Some(Variant {
                name: name.to_owned(),
                backend: first.backend.clone(),
                probes: first.probes,
                runs: runs.len(),
                attach_seconds: spread(|run| run.attach_seconds),
                attach_cpu_seconds: spread(|run| run.attach_cpu_seconds),
                attach_kernel_seconds: spread(|run| run.attach_kernel_seconds),
                attach_peak_rss_bytes: runs.iter().map(|run| run.attach_peak_rss_bytes).max()?,
                detach_seconds: spread(|run| run.detach_seconds),
                detach_cpu_seconds: spread(|run| run.detach_cpu_seconds),
                detach_kernel_seconds: spread(|run| run.detach_kernel_seconds),
            })
        })
        .collect();
    Document {
        schema: "zctrace.bench.attach/1",
        kernel: measured.kernel,
        emulated,
        variants,
        left: measured.left,
    }
}

fn print(document: &Document) {
    let emulated = if document.emulated {
        ", on an emulated processor"
    } else {
        ""
    };
    println!("seconds on Linux {}{emulated}", document.kernel);
    for variant in &document.variants {
        println!(
            "\n{}: {} probes ({}), {} runs, at most {} MiB resident",
            variant.name,
            variant.probes,
            variant.backend,
            variant.runs,
            variant.attach_peak_rss_bytes.div_ceil(1 << 20),
        );
        println!("{:<32}{:>10}{:>10}{:>10}", "", "median", "min", "max");
        for (what, spread) in [
            ("start to attached", &variant.attach_seconds),
            ("  processor time of zctrace", &variant.attach_cpu_seconds),
            ("    in the kernel", &variant.attach_kernel_seconds),
            ("signal to ended", &variant.detach_seconds),
            ("  processor time of zctrace", &variant.detach_cpu_seconds),
            ("    in the kernel", &variant.detach_kernel_seconds),
        ] {
            println!(
                "{what:<32}{:>10.2}{:>10.2}{:>10.2}",
                spread.median, spread.min, spread.max
            );
        }
    }
    if document.left.is_empty() {
        println!("\nno BPF program or link is left");
    } else {
        println!("\nLEFT: {}", document.left.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(variant: &str, attach_seconds: f64, attach_peak_rss_bytes: u64) -> Run {
        Run {
            variant: variant.into(),
            backend: "functions".into(),
            probes: 140,
            attach_seconds,
            attach_cpu_seconds: 1.0,
            attach_kernel_seconds: 1.0,
            attach_peak_rss_bytes,
            detach_seconds: 1.0,
            detach_cpu_seconds: 1.0,
            detach_kernel_seconds: 1.0,
        }
    }

    #[test]
    fn the_runs_of_a_variant_stand_together() {
        let document = document(
            Measured {
                kernel: "6.12".into(),
                runs: vec![run("all", 3.0, 5), run("none", 9.0, 1), run("all", 1.0, 7)],
                left: Vec::new(),
            },
            true,
        );
        let [all, none] = &document.variants[..] else {
            panic!("two variants");
        };
        assert_eq!((all.runs, all.attach_seconds.median), (2, 2.0));
        assert_eq!((all.attach_peak_rss_bytes, none.runs), (7, 1));
    }
}
