//! Writes the parts of the documentation that come out of the code.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

/// Write the generated parts of docs/ anew.
///
/// The layer `cli` of the tests fails while they are stale.
#[derive(Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    let status = Command::new("cargo")
        .args(["test", "--quiet", "--package=zctrace", "--test=docs"])
        .args(["the_page_of"])
        .env("ZCTRACE_WRITE_DOCS", "1")
        .status()
        .context("running cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
