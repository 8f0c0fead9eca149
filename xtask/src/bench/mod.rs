//! `cargo xtask bench`: what tracing costs.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

mod attach;
mod cost;

/// Measure what tracing costs.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Cost(cost::Options),
    Attach(attach::Options),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.what {
        What::Cost(options) => cost::run(options),
        What::Attach(options) => attach::run(options),
    }
}
