//! Measuring in a virtual machine.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{
    arch::Arch,
    vm::{self, Extra, Guest, Outcome, Series, Stream},
};

/// What a guest's command printed.
pub(super) struct Output {
    /// The kernel, as `uname -r` prints it.
    pub(super) release: String,
    /// Its standard output.
    pub(super) text: Vec<u8>,
}

/// A program for the guest's search path.
pub(super) fn program(source: PathBuf, name: &str) -> Extra {
    Extra {
        source,
        destination: Path::new("/usr/bin").join(name),
    }
}

/// Runs a guest; `None` if its kernel cannot be had, which is said.
///
/// # Errors
/// When the guest or its command fails.
pub(super) fn run(guest: &Guest, series: Series, what: &str) -> Result<Option<Output>> {
    let kernel = match vm::fetch(series, Arch::NATIVE, false) {
        Ok(kernel) => kernel,
        Err(error) => {
            eprintln!("SKIPPED: Linux {series} cannot be had: {error:#}");
            return Ok(None);
        }
    };
    eprintln!("bench: {what} on Linux {}", kernel.release);
    let mut text = Vec::new();
    let outcome = guest.run(&kernel, |stream, bytes| match stream {
        Stream::Out => text.extend_from_slice(bytes),
        Stream::Err => vm::pass_on(stream, bytes),
    })?;
    match outcome {
        Outcome::Exited { status: 0, .. } => Ok(Some(Output {
            release: kernel.release,
            text,
        })),
        Outcome::Exited { status, .. } => bail!("the measurement failed with status {status}"),
        Outcome::TimedOut { why, console } => bail!("the guest {why}\n{console}"),
        Outcome::Died { console } => bail!("the guest died\n{console}"),
    }
}
