//! Building the programs that tasks run.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{arch::Arch, cross, job::Job, paths};

/// zctrace for this machine.
pub(crate) fn zctrace() -> Result<PathBuf> {
    build("zctrace", "zctrace", None)
}

/// zctrace for any guest.
pub(crate) fn static_zctrace(arch: Arch) -> Result<PathBuf> {
    build("zctrace", "zctrace", Some(arch))
}

/// The program that measures the cost of system calls, for any guest.
pub(crate) fn syscall_cost() -> Result<PathBuf> {
    build("xtask", "syscall-cost", Some(Arch::NATIVE))
}

/// The static zctrace, if one was built.
pub(crate) fn built_static_zctrace(arch: Arch) -> Option<PathBuf> {
    let path = directory(Some(arch)).join("zctrace");
    path.exists().then_some(path)
}

/// Builds a program, linked statically for an architecture or for this machine only.
fn build(package: &str, name: &str, linked_statically: Option<Arch>) -> Result<PathBuf> {
    let cargo = linked_statically.map_or_else(|| Job::new("cargo"), cross::cargo);
    let job = cargo
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
    let kind = match linked_statically {
        None => String::new(),
        Some(arch) if arch.is_native() => ", linked statically".to_owned(),
        Some(arch) => format!(", linked statically, {arch}"),
    };
    job.step(&format!("building {name} (release{kind})"))
        .with_context(|| format!("{name} does not build"))?;
    Ok(directory(linked_statically).join(name))
}

fn directory(linked_statically: Option<Arch>) -> PathBuf {
    linked_statically
        .map_or_else(paths::target, |arch| {
            arch.target_directory().join(arch.target())
        })
        .join("release")
}
