//! `zctrace assets`: what a package installs beside the program. Hidden: for packagers.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum as _};
use clap_complete::{Shell, generate_to};

use super::args::failure::Failure;
use crate::text::sink;

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
        generate_to(
            shell,
            &mut super::completions::with_names(),
            "zctrace",
            &completions,
        )?;
    }
    super::man::write(&man)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_keeps_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let page = |name: &str| fs::read_to_string(dir.path().join("man").join(name)).unwrap();
        for name in ["zctrace.1", "zctrace-record.1", "zctrace-serve.1"] {
            let page = page(name);
            assert!(!page.contains("EXTRA"), "{page}");
            assert_eq!(page.matches("\n.nf\n").count(), 1, "{page}");
            assert_eq!(page.matches("\n.fi\n").count(), 1, "{page}");
        }
        assert!(page("zctrace-record.1").contains("\n  zctrace record \\-o cp.zct"));
    }
}
