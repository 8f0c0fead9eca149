//! Building the programs that tasks run.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{arch::Arch, cross, job::Job, paths};

/// zctrace for this machine.
pub(crate) fn zctrace() -> Result<PathBuf> {
    build("zctrace", "zctrace", None, "release")
}

/// zctrace for this machine, for what every build of it does alike: as the tests build it, so that it is there
/// where they ran.
pub(crate) fn quick_zctrace() -> Result<PathBuf> {
    build("zctrace", "zctrace", Some(Arch::NATIVE), "dev")
}

/// zctrace for any guest.
pub(crate) fn static_zctrace(arch: Arch) -> Result<PathBuf> {
    build("zctrace", "zctrace", Some(arch), "release")
}

/// The program that measures what tracing costs, for any guest.
pub(crate) fn tracing_cost() -> Result<PathBuf> {
    build("xtask", "tracing-cost", Some(Arch::NATIVE), "release")
}

/// The static zctrace, if one was built.
pub(crate) fn built_static_zctrace(arch: Arch) -> Option<PathBuf> {
    let path = directory(Some(arch), "release").join("zctrace");
    path.exists().then_some(path)
}

/// Builds a program, linked statically for an architecture or for this machine only.
fn build(
    package: &str,
    name: &str,
    linked_statically: Option<Arch>,
    profile: &str,
) -> Result<PathBuf> {
    let cargo = linked_statically.map_or_else(|| Job::new("cargo"), cross::cargo);
    let job = cargo
        .args([
            "build",
            "--locked",
            "--quiet",
            "--profile",
            profile,
            "--package",
            package,
            "--bin",
            name,
        ])
        .current_dir(paths::root())
        // The tests build the release beside guests, which go first.
        .limit(Duration::from_mins(60));
    let kind = match linked_statically {
        None => String::new(),
        Some(arch) if arch.is_native() => ", linked statically".to_owned(),
        Some(arch) => format!(", linked statically, {arch}"),
    };
    job.step(&format!("building {name} ({profile}{kind})"))
        .with_context(|| format!("{name} does not build"))?;
    Ok(directory(linked_statically, profile).join(name))
}

fn directory(linked_statically: Option<Arch>, profile: &str) -> PathBuf {
    linked_statically
        .map_or_else(paths::target, |arch| {
            arch.target_directory().join(arch.target())
        })
        .join(match profile {
            "dev" => "debug",
            other => other,
        })
}
