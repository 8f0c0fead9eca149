//! `zctrace assets`: what a package installs beside the program. Hidden: for packagers.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum as _};
use clap_complete::{Shell, generate_to};

use super::failure::Failure;
use crate::output::sink;

/// Arguments of `assets`.
#[derive(Args, Debug)]
pub(crate) struct AssetsArgs {
    /// Where to: `completions/` and `man/` are made there
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Runs `assets`; the result is the exit code.
pub(crate) fn run(args: &AssetsArgs) -> Result<u8, Failure> {
    write(&args.directory).map_err(|source| sink::Error::Write {
        name: args.directory.display().to_string(),
        source,
    })?;
    Ok(0)
}

fn write(directory: &Path) -> io::Result<()> {
    let (completions, man) = (directory.join("completions"), directory.join("man"));
    fs::create_dir_all(&completions)?;
    fs::create_dir_all(&man)?;
    for &shell in Shell::value_variants() {
        generate_to(shell, &mut super::definition(), "zctrace", &completions)?;
    }
    clap_mangen::generate_to(super::definition(), man)
}
