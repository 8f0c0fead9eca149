//! Which test programs there are, and where cargo built them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::tally::is_progress;
use crate::{arch::Arch, cross, job::Job, paths};

/// The package whose integration tests are run here.
pub(super) const PACKAGE: &str = "zctrace";

/// The integration test of those that need root. The others are the command line's.
pub(super) const PRIVILEGED: &str = "privileged";

/// The names of the package's integration tests that need no root.
pub(super) fn unprivileged_tests() -> Vec<String> {
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
            (is_test && name != PRIVILEGED).then_some(name)
        })
        .collect();
    names.sort();
    names
}

/// Where a privileged test runs: the module of the test program that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// On every kernel of the matrix, and on the running one.
    EveryKernel,
    /// On one kernel of the matrix, and on the running one.
    OneKernel,
    /// On the running kernel.
    Host,
}

impl Address {
    pub(super) const ALL: [Self; 3] = [Self::EveryKernel, Self::OneKernel, Self::Host];

    /// How the names of its tests begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::EveryKernel => "every_kernel::",
            Self::OneKernel => "one_kernel::",
            Self::Host => "host::",
        }
    }

    /// Where the test of this name runs; none if it is not the name of a privileged test.
    pub(super) fn of(test: &str) -> Option<Self> {
        let is_path = test.split("::").all(|part| {
            part.chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        });
        Self::ALL
            .into_iter()
            .find(|address| is_path && test.starts_with(address.prefix()))
    }

    pub(super) fn name(self) -> &'static str {
        self.prefix().trim_end_matches(':')
    }

    /// The test program's arguments for the tests that are here and have `filter` in their names.
    ///
    /// Two filters of libtest's select what matches either, so the other addresses are skipped.
    /// The tests run one by one, because each watches the machine.
    pub(super) fn arguments(self, filter: Option<&str>) -> Vec<String> {
        let others = Self::ALL.into_iter().filter(|other| *other != self);
        fixed()
            .chain(others.map(|other| format!("--skip={}", other.prefix())))
            .chain(filter.map(str::to_owned))
            .collect()
    }

    /// The test program's arguments for these tests and no others.
    pub(super) fn exactly(names: &[&str]) -> Vec<String> {
        let names = names.iter().map(|&name| name.to_owned());
        fixed().chain(["--exact".to_owned()]).chain(names).collect()
    }
}

/// The arguments of every run.
fn fixed() -> impl Iterator<Item = String> {
    ["--include-ignored", "--test-threads=1", "--show-output"]
        .into_iter()
        .map(str::to_owned)
}

/// What a build for tests made.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// The test program.
    pub(super) test: PathBuf,
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

/// Cargo for this machine.
pub(super) fn cargo() -> Job {
    cross::cargo(Arch::NATIVE)
}

/// Builds the privileged tests.
pub(super) fn build(arch: Arch) -> Result<Built> {
    let job = cross::cargo(arch)
        .arg("test")
        .limit(Duration::from_mins(20))
        .args(["--no-run", "--locked", "--message-format=json"])
        .args(["--package", PACKAGE, "--test", PRIVILEGED]);
    let mut built = Built::default();
    let ended = job.lines(|line| match serde_json::from_str::<Message>(line) {
        Ok(message) => built.take(message),
        Err(_) if is_progress(line) => {}
        Err(_) => println!("{line}"),
    })?;
    if !ended.status.success() {
        bail!("the tests do not build");
    }
    (!built.test.as_os_str().is_empty())
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
            self.test = executable;
        } else {
            self.binaries.push(executable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_selects_among_the_tests_of_an_address() {
        let arguments = Address::OneKernel.arguments(Some("nginx"));
        assert_eq!(
            arguments[3..],
            ["--skip=every_kernel::", "--skip=host::", "nginx"]
        );
    }

    #[test]
    fn the_test_program_has_the_addresses() {
        let path = paths::root().join(PACKAGE).join("tests").join(PRIVILEGED);
        for address in Address::ALL {
            assert!(path.join(address.name()).join("mod.rs").exists());
        }
        assert!(!unprivileged_tests().contains(&PRIVILEGED.to_owned()));
    }
}
