//! Programs that set up networks.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::workload::Skip;

/// What programs say where the kernel has no such device, queue or cipher.
const ABSENT: [&str; 9] = [
    "algorithm not found",
    "unable to initialize cryptographic operations",
    "Unknown device type",
    "Operation not supported",
    "Protocol not supported",
    "qdisc kind is unknown",
    "TC classifier not found",
    "Function not implemented",
    "Operation not permitted",
];

/// Runs a program in the network namespace of the caller. What is not installed, or what this kernel
/// does not have, is a [`Skip`].
pub fn run(line: &str) -> Result<()> {
    run_with(line, "")
}

/// The same with `input` on its standard input.
pub(super) fn run_with(line: &str, input: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let spawned = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Skip(format!("{program} is not installed")).into());
        }
        other => other.with_context(|| line.to_owned())?,
    };
    if let Some(mut to) = child.stdin.take() {
        to.write_all(input.as_bytes())
            .with_context(|| line.to_owned())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim();
    if ABSENT.iter().any(|words| text.contains(words)) {
        return Err(Skip(format!("{line}: {text}")).into());
    }
    bail!("{line}: {text}")
}
