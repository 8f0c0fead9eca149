//! Fuzzing what zctrace reads from others.

use std::{
    fs,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::paths;

/// Fuzz the readers of recordings and policies, guided by coverage.
///
/// It needs cargo-fuzz and a nightly toolchain, and is skipped without them. What it finds stays in
/// fuzz/artifacts; what covers something new joins the corpus, which the unit tests read too.
#[derive(Args)]
pub(crate) struct Options {
    /// How long, all targets together
    #[arg(long, default_value_t = 1)]
    minutes: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(paths::root().join("fuzz"));
        // Those of this process choose its own toolchain, and static programs have no sanitizers.
        for variable in ["RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(variable);
        }
        cargo.arg("+nightly");
        cargo
    };
    let version = cargo().args(["fuzz", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: there is no cargo-fuzz with a nightly toolchain (cargo install cargo-fuzz; rustup toolchain install nightly)"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let targets = targets()?;
    let seconds = options.minutes.saturating_mul(60) / targets.len() as u64;
    for target in &targets {
        let status = cargo()
            .args(["fuzz", "run", target, "--"])
            .arg(format!("-max_total_time={seconds}"))
            // What a reader may take, and the fuzzer itself.
            .args(["-rss_limit_mb=1024", "-timeout=10", "-max_len=65536"])
            .status()
            .context("running cargo fuzz")?;
        if !status.success() {
            bail!("{target}: a finding is in fuzz/artifacts/{target}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A file for each.
fn targets() -> Result<Vec<String>> {
    let directory = paths::root().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&directory).context("reading fuzz/fuzz_targets")? {
        let path = entry?.path();
        targets.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    targets.sort();
    Ok(targets)
}
