//! `cargo xtask bench`: what tracing costs, and how good the generators are.

use std::{env, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    binaries,
    job::Job,
    setup::{self, Purpose},
};

mod attach;
mod cost;
mod guest;
mod servers;
mod tui;
mod workloads;

/// Measure what tracing costs, and how good the generators are.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Cost(cost::Options),
    Attach(attach::Options),
    Servers(servers::Options),
    Tui(tui::Options),
    Workloads(workloads::Options),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.what {
        What::Cost(options) => cost::run(options),
        What::Attach(options) => attach::run(options),
        What::Servers(options) => servers::run(options),
        What::Tui(options) => tui::run(options),
        What::Workloads(options) => workloads::run(options),
    }
}

/// Builds zctrace as the user, then runs `cargo xtask bench` with these arguments as root.
fn measured_as_root(arguments: &[&str], json: bool) -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Bench])?;
    let job = Job::new(env::current_exe()?)
        .arg("bench")
        .args(arguments)
        .args(json.then_some("--json"))
        .arg("--zctrace")
        .arg(binaries::zctrace()?);
    let code = job.root().shown()?.status.code();
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
    ))
}

/// Several measurements of one thing.
#[derive(Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Self {
            median,
            min: values[0],
            max: values[values.len() - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of(vec![7.0]).median, 7.0);
    }
}
