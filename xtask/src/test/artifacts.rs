//! Which test programs there are, and where cargo built them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::tally::is_progress;
use crate::{job::Job, paths};

/// The package whose integration tests are run here.
pub(super) const PACKAGE: &str = "zctrace";

/// The names of the package's integration tests: those that need root, or the others.
pub(super) fn integration_tests(privileged: bool) -> Vec<String> {
    let tests = paths::root().join(PACKAGE).join("tests");
    let mut names: Vec<String> = std::fs::read_dir(tests)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let is_test = path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").exists();
            let name = path.file_stem()?.to_str()?.to_owned();
            (is_test && name.starts_with("privileged") == privileged).then_some(name)
        })
        .collect();
    names.sort();
    names
}

/// What a build for tests made.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// Test programs.
    pub(super) tests: Vec<PathBuf>,
    /// The binaries they call.
    pub(super) binaries: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Diagnostic {
    rendered: Option<String>,
}

/// Builds the integration tests `names` with `job`, a `cargo test` so far without them.
pub(super) fn build(job: Job, names: &[String]) -> Result<Built> {
    let mut job = job.args(["--no-run", "--locked", "--message-format=json"]);
    job = job.args(["--package", PACKAGE]);
    for name in names {
        job = job.args(["--test", name]);
    }
    let mut built = Built::default();
    let ended = job.lines(|line| match serde_json::from_str::<Message>(line) {
        Ok(message) => built.take(message),
        Err(_) if is_progress(line) => {}
        Err(_) => println!("{line}"),
    })?;
    if !ended.status.success() {
        bail!("the tests do not build");
    }
    built.tests.sort();
    (!built.tests.is_empty())
        .then_some(built)
        .context("cargo built no test program")
}

impl Built {
    fn take(&mut self, message: Message) {
        if message.reason == "compiler-message"
            && let Some(text) = message.message.and_then(|message| message.rendered)
        {
            print!("{text}");
        }
        let Some(executable) = message.executable else {
            return;
        };
        if message.profile.is_some_and(|profile| profile.test) {
            self.tests.push(executable);
        } else {
            self.binaries.push(executable);
        }
    }
}
