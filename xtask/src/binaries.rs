//! Building the programs that tasks run.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{job::Job, paths};

/// zctrace for this machine.
pub(crate) fn zctrace() -> Result<PathBuf> {
    build("zctrace", "zctrace", false)
}

/// zctrace for any guest.
pub(crate) fn static_zctrace() -> Result<PathBuf> {
    build("zctrace", "zctrace", true)
}

/// The program that measures the cost of system calls, for any guest.
pub(crate) fn syscall_cost() -> Result<PathBuf> {
    build("xtask", "syscall-cost", true)
}

/// The static zctrace, if one was built.
pub(crate) fn built_static_zctrace() -> Option<PathBuf> {
    let path = directory(true).join("zctrace");
    path.exists().then_some(path)
}

fn build(package: &str, name: &str, linked_statically: bool) -> Result<PathBuf> {
    let mut job = Job::new("cargo")
        .args([
            "build",
            "--locked",
            "--quiet",
            "--release",
            "--package",
            package,
            "--bin",
            name,
        ])
        .current_dir(paths::root())
        .limit(Duration::from_mins(30));
    let mut kind = "";
    if linked_statically {
        job = job
            .args(["--target", paths::STATIC_TARGET])
            .env("RUSTFLAGS", paths::STATIC_FLAGS);
        kind = ", linked statically";
    }
    job.step(&format!("building {name} (release{kind})"))
        .with_context(|| format!("{name} does not build"))?;
    Ok(directory(linked_statically).join(name))
}

fn directory(linked_statically: bool) -> PathBuf {
    let mut directory = paths::target();
    if linked_statically {
        directory.push(paths::STATIC_TARGET);
    }
    directory.join("release")
}
