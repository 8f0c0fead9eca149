//! The layers that run on this machine.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{
    Tally, again,
    artifacts::{self, Address, Built, PACKAGE},
    run_tests,
};
use crate::{
    arch::Arch,
    fuzz::{self, Kind},
    job::Job,
    paths, soak,
};

const LIMIT: Duration = Duration::from_mins(20);

fn cargo_test() -> Job {
    artifacts::cargo().arg("test").limit(LIMIT)
}

pub(super) fn unit(filter: Option<&str>) -> Result<Tally> {
    let job = || cargo_test().args(["--locked", "--no-fail-fast"]);
    let mut tally = run_tests("unit", &job().args(["--lib", "--bins"]).args(filter))?;
    tally.add(run_tests(
        "core",
        &job()
            .args(["--package", "zctrace-common", "--tests"])
            .args(filter),
    )?);
    tally.add(run_tests("doc", &job().arg("--doc").args(filter))?);
    if filter.is_none() {
        tally.add(short_fuzz()?);
    }
    Ok(tally)
}

/// A minute of what `cargo xtask fuzz` does for as long as one likes.
fn short_fuzz() -> Result<Tally> {
    const TOTAL: Duration = Duration::from_mins(1);
    let targets = fuzz::targets()?;
    let failed = fuzz::findings(&targets, TOTAL, Kind::Short)?;
    Ok(Tally {
        passed: targets.len() - failed.len(),
        failed,
        ..Tally::default()
    })
}

pub(super) fn cli(filter: Option<&str>) -> Result<Tally> {
    let names = artifacts::unprivileged_tests();
    if names.is_empty() {
        return Ok(Tally::skipped("there are no tests of the command line"));
    }
    let mut job = cargo_test().args(["--locked", "--no-fail-fast", "--package", PACKAGE]);
    for name in names {
        job = job.args(["--test", &name]);
    }
    run_tests("cli", &job.args(filter).args(["--", "--show-output"]))
}

/// Built as the user, run as root: a process for each address, so that what ends one of them leaves
/// the others.
pub(super) fn running(filter: Option<&str>) -> Result<Tally> {
    let built = artifacts::build(Arch::NATIVE)?;
    let mut tally = Tally::default();
    let run = |log: &str, arguments: Vec<String>| {
        println!("running: {log}");
        let job = Job::new(&built.test)
            .args(arguments)
            .env("RUST_BACKTRACE", "1")
            .current_dir(&paths::root().join(PACKAGE))
            .root()
            .limit(LIMIT);
        run_tests(&format!("running-{log}"), &job)
    };
    for address in Address::ALL {
        let name = address.name();
        let first = run(name, address.arguments(filter))?;
        let again = format!("{name}-again");
        tally.add(again::settled(first, |arguments| {
            run(&again, arguments).unwrap_or_else(|error| Tally::failed(format!("{error:#}")))
        }));
    }
    if filter.is_none() {
        tally.add(short_soak(&built)?);
    }
    Ok(tally)
}

/// A few seconds of what `cargo xtask soak` does for as long as one likes.
fn short_soak(built: &Built) -> Result<Tally> {
    const MINUTES: f64 = 0.1;
    let mut binaries = built.binaries.iter();
    let zctrace = binaries.find(|path| path.ends_with(PACKAGE));
    println!("running: soak");
    let ended = soak::job(zctrace.context("cargo built no zctrace")?, MINUTES)?.shown()?;
    Ok(if ended.status.success() {
        Tally {
            passed: 1,
            ..Tally::default()
        }
    } else {
        Tally::failed("soak".to_owned())
    })
}
