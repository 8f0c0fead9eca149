//! `cargo xtask bench servers`: what tracing costs nginx, redis and fio on the running kernel.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::Spread;
use crate::{
    binaries,
    job::Job,
    paths,
    setup::{self, Purpose},
};

/// Measure what tracing costs real servers on the running kernel.
///
/// nginx with and without sendfile, redis and fio do the same work with nothing attached, traced by `zctrace
/// stat`, beside another process that is traced, and with programs that do nothing wherever zctrace
/// has one. Each round has all of them, in an order that changes. What is printed are ratios to the
/// measurement with nothing of the same round. `again` is a second one with nothing: the noise.
#[derive(Args)]
pub(crate) struct Options {
    /// How many rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print a JSON document (schema zctrace.bench.servers/1).
    #[arg(long)]
    json: bool,
    /// The zctrace to measure, instead of building one.
    #[arg(long, hide = true)]
    zctrace: Option<PathBuf>,
}

/// What `tracing-cost` prints.
#[derive(Deserialize)]
struct Measured {
    kernel: String,
    programs: usize,
    measured: Vec<Row>,
    missing: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    work: String,
    beside: String,
    round: u32,
    backend: Option<String>,
    requests_per_second: f64,
    cpu_seconds_per_request: f64,
    p50_seconds: f64,
    p99_seconds: f64,
    seen: Option<f64>,
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    kernel: String,
    backend: String,
    /// How many BPF programs zctrace had attached.
    programs: usize,
    rounds: u32,
    ratios: Vec<Ratio>,
    /// Programs that are not installed.
    missing: Vec<String>,
}

/// Each as a multiple of what it was with nothing attached, in the same round.
#[derive(Serialize)]
struct Ratio {
    work: String,
    beside: String,
    cpu_per_request: Spread,
    p50: Spread,
    p99: Spread,
    requests_per_second: Spread,
    /// What zctrace counted of the bytes that were sent and received, the least of all rounds.
    seen: Option<f64>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Bench])?;
    let zctrace = match &options.zctrace {
        Some(built) => built.clone(),
        None => binaries::zctrace()?,
    };
    let mut job = Job::new(binaries::tracing_cost()?)
        .arg("servers")
        .args(["--runs", &options.runs.to_string()])
        .arg("--zctrace")
        .arg(zctrace);
    for (option, program) in [
        ("--nginx", "nginx"),
        ("--redis", "redis-server"),
        ("--fio", "fio"),
    ] {
        if let Some(found) = paths::find_program(program) {
            job = job.arg(option).arg(found);
        }
    }
    let text = job.root().limit(Duration::from_hours(1)).output()?;
    let measured = serde_json::from_slice(&text).context("reading what was measured")?;
    let document = document(measured, options.runs);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print(&document);
    }
    Ok(ExitCode::from(u8::from(!document.missing.is_empty())))
}

fn document(measured: Measured, rounds: u32) -> Document {
    let rows = &measured.measured;
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for row in rows.iter().filter(|row| row.beside != "nothing") {
        let kind = (row.work.as_str(), row.beside.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    // Rounds begin with another one each time.
    const ORDER: [&str; 4] = ["traced", "another", "floor", "again"];
    let works: Vec<&str> = kinds.iter().map(|(work, _)| *work).collect();
    kinds.sort_by_key(|(work, beside)| {
        (
            works.iter().position(|one| one == work),
            ORDER.iter().position(|one| one == beside),
        )
    });
    let ratios = kinds
        .into_iter()
        .map(|(work, beside)| {
            let of: Vec<&Row> = rows
                .iter()
                .filter(|row| row.work == work && row.beside == beside)
                .collect();
            let spread = |value: fn(&Row) -> f64| {
                let ratios = of.iter().filter_map(|row| {
                    let base = rows.iter().find(|other| {
                        other.work == work && other.round == row.round && other.beside == "nothing"
                    })?;
                    Some(value(row) / value(base))
                });
                Spread::of(ratios.collect())
            };
            Ratio {
                work: work.to_owned(),
                beside: beside.to_owned(),
                cpu_per_request: spread(|row| row.cpu_seconds_per_request),
                p50: spread(|row| row.p50_seconds),
                p99: spread(|row| row.p99_seconds),
                requests_per_second: spread(|row| row.requests_per_second),
                seen: of.iter().filter_map(|row| row.seen).reduce(f64::min),
            }
        })
        .collect();
    let backend = rows.iter().find_map(|row| row.backend.clone());
    Document {
        schema: "zctrace.bench.servers/1",
        kernel: measured.kernel,
        backend: backend.unwrap_or_default(),
        programs: measured.programs,
        rounds,
        ratios,
        missing: measured.missing,
    }
}

fn print(document: &Document) {
    println!(
        "multiples of the same round with nothing attached, on Linux {} ({}, {} BPF programs), {} rounds",
        document.kernel, document.backend, document.programs, document.rounds
    );
    let mut last = "";
    for ratio in &document.ratios {
        if ratio.work != last {
            last = &ratio.work;
            println!("\n{last}");
            println!(
                "  {:<10}{:>24}{:>24}{:>24}{:>24}{:>8}",
                "beside", "CPU per request", "p50", "p99", "requests/s", "seen"
            );
        }
        print!("  {:<10}", ratio.beside);
        for spread in [
            &ratio.cpu_per_request,
            &ratio.p50,
            &ratio.p99,
            &ratio.requests_per_second,
        ] {
            let Spread { median, min, max } = spread;
            print!("{:>24}", format!("{median:.2} ({min:.2} to {max:.2})"));
        }
        match ratio.seen {
            Some(seen) => println!("{:>7.1}%", seen * 100.0),
            None => println!(),
        }
    }
    if !document.missing.is_empty() {
        println!(
            "\nnot measured, not installed: {}",
            document.missing.join(", ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let row = |beside: &str, round, cpu| Row {
            work: "nginx".into(),
            beside: beside.into(),
            round,
            backend: None,
            requests_per_second: 1.0,
            cpu_seconds_per_request: cpu,
            p50_seconds: 1.0,
            p99_seconds: 1.0,
            seen: None,
        };
        // The machine is twice as slow in the second round.
        let measured = Measured {
            kernel: "6.18".into(),
            programs: 2,
            measured: vec![
                row("nothing", 0, 1.0),
                row("traced", 0, 1.5),
                row("traced", 1, 3.0),
                row("nothing", 1, 2.0),
            ],
            missing: Vec::new(),
        };
        let document = document(measured, 2);
        let [traced] = &document.ratios[..] else {
            panic!("one kind");
        };
        let cpu = &traced.cpu_per_request;
        assert_eq!((cpu.min, cpu.median, cpu.max), (1.5, 1.5, 1.5));
    }
}
