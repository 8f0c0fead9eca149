//! `cargo xtask dist`: what is given to users.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{binaries, paths};

mod crates;
mod debian;

pub(crate) use crates::crates;

/// Make the static binary, its completions and manual pages, and a Debian package of them.
#[derive(Args)]
pub(crate) struct Options {
    /// Also make the crates, with the BPF programs of every architecture in them, as
    /// `cargo publish` would upload them.
    #[arg(long)]
    crates: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let made = make()?;
    println!("{}\n{}", made.program.display(), made.package.display());
    if options.crates {
        for file in crates(&crates::ARCHITECTURES)? {
            println!("{}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What there is then.
pub(crate) struct Made {
    /// The static binary.
    pub(crate) program: PathBuf,
    /// The Debian package.
    pub(crate) package: PathBuf,
}

pub(crate) fn make() -> Result<Made> {
    let dist = paths::target().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    fs::create_dir_all(&dist)?;
    let program = dist.join("zctrace");
    // Without the line tables, which are two thirds of it; symbols stay, for stacks in reports.
    done(
        Command::new("strip")
            .args(["--strip-debug", "-o"])
            .arg(&program)
            .arg(binaries::static_zctrace()?),
    )?;
    done(Command::new(&program).arg("assets").arg(&dist))?;
    let package = debian::package(&dist, Path::new(&program))?;
    Ok(Made { program, package })
}

fn done(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        command.get_program().display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
