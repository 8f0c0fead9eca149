//! Formatting, clippy, documentation, and what the dependencies bring along.

use std::time::Duration;

use anyhow::Result;

use super::{Tally, artifacts, unused};
use crate::{job::Job, paths};

const LIMIT: Duration = Duration::from_mins(20);

pub(super) fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    check(
        &mut tally,
        "rustfmt",
        &cargo().args(["fmt", "--all", "--check"]),
    );
    check(
        &mut tally,
        "clippy",
        &cargo()
            .args([
                "clippy",
                "--locked",
                "--quiet",
                "--workspace",
                "--exclude=zctrace-ebpf",
            ])
            .args(["--all-targets", "--", "--deny=warnings"]),
    );
    check(
        &mut tally,
        "clippy of the BPF programs",
        &cargo()
            .args(["clippy", "--locked", "--quiet", "--package=zctrace-ebpf"])
            .args(["--", "--deny=warnings", "-Cpanic=abort"]),
    );
    check(
        &mut tally,
        "rustdoc",
        &cargo()
            .args([
                "doc",
                "--locked",
                "--quiet",
                "--no-deps",
                "--document-private-items",
            ])
            // The documentation is for those who work on zctrace, private items included.
            .env(
                "RUSTDOCFLAGS",
                "--deny=warnings --allow=rustdoc::private-intra-doc-links",
            ),
    );
    let unused = unused::dependencies()?;
    if unused.is_empty() {
        tally.passed += 1;
    }
    let unused = unused.into_iter();
    tally
        .failed
        .extend(unused.map(|name| format!("unused dependency of {name}")));
    dependencies(&mut tally);
    book(&mut tally);
    Ok(tally)
}

/// Builds the documentation as a site where mdbook is installed. The tests hold its links and its
/// list of pages everywhere; this adds that mdbook accepts them.
fn book(tally: &mut Tally) {
    if Job::new("mdbook").arg("--version").read().is_none() {
        tally
            .skipped
            .push("the book: mdbook is not installed (`cargo install mdbook`)".to_owned());
        return;
    }
    let build = Job::new("mdbook")
        .arg("build")
        .current_dir(paths::root())
        .limit(LIMIT);
    check(tally, "the book", &build);
}

fn cargo() -> Job {
    artifacts::cargo().limit(LIMIT)
}

/// Runs one check, which passes or fails.
fn check(tally: &mut Tally, name: &str, job: &Job) {
    match job.step(&format!("lint: {name}")) {
        Ok(()) => tally.passed += 1,
        Err(_) => tally.failed.push(name.to_owned()),
    }
}

/// Licences, sources and duplicates are known from the lock file; the advisories are fetched, and
/// cannot be where the network is closed.
fn dependencies(tally: &mut Tally) {
    if Job::new("cargo-deny").arg("--version").read().is_none() {
        // Built once and run once or twice: a release would take five times as long as its checks.
        let install = Job::new("cargo")
            .args(["install", "cargo-deny", "--locked", "--quiet", "--debug"])
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .limit(LIMIT);
        if install
            .step("lint: building cargo-deny, once (about a minute)")
            .is_err()
        {
            tally
                .skipped
                .push("dependencies: cargo-deny is not installed and cannot be".to_owned());
            return;
        }
    }
    let deny = || cargo().args(["deny", "--locked", "--log-level=error", "--all-features"]);
    check(
        tally,
        "licences and sources of dependencies",
        &deny().args(["check", "bans", "licenses", "sources"]),
    );
    let fetched = deny()
        .args(["fetch", "db"])
        .limit(Duration::from_mins(2))
        .step("lint: fetching the advisory database");
    match fetched {
        Ok(()) => check(
            tally,
            "advisories",
            &deny().args(["check", "--disable-fetch", "advisories"]),
        ),
        Err(_) => tally
            .skipped
            .push("advisories: the advisory database cannot be fetched".to_owned()),
    }
}
