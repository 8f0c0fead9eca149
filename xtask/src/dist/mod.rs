//! `cargo xtask dist`: what is given to users.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    arch::Arch,
    binaries,
    setup::{self, Purpose},
};

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
    /// The architecture of the binary and of the package.
    #[arg(long, value_enum, default_value_t = Arch::NATIVE)]
    arch: Arch,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let made = make(options.arch)?;
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

pub(crate) fn make(arch: Arch) -> Result<Made> {
    setup::ensure_for(&[Purpose::Build], arch)?;
    let dist = arch.target_directory().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    fs::create_dir_all(&dist)?;
    let program = dist.join("zctrace");
    // Without the line tables, which are two thirds of it; symbols stay, for stacks in reports.
    done(
        Command::new(arch.tool("strip"))
            .args(["--strip-debug", "-o"])
            .arg(&program)
            .arg(binaries::static_zctrace(arch)?),
    )?;
    // They are the same for every architecture, and only this one's program runs here.
    let native = if arch.is_native() {
        program.clone()
    } else {
        binaries::zctrace()?
    };
    done(Command::new(native).arg("assets").arg(&dist))?;
    let package = debian::package(arch, &dist, Path::new(&program))?;
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
