//! apt with a state of its own, for packages that are unpacked and never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::Mirror;
use crate::{arch::Arch, paths};

/// apt with a state of its own, so that the machine's sources stay as they are and no root is
/// needed.
pub(crate) struct Apt {
    options: Vec<String>,
    work: PathBuf,
}

impl Apt {
    /// Reads what there is for an architecture in these suites. The state is in `work`.
    pub(crate) fn new(work: &Path, arch: Arch, sources: &[(&Mirror, &str)]) -> Result<Self> {
        for dir in ["lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(work.join(dir))?;
        }
        fs::write(work.join("status"), [])?;
        let mut lines = String::new();
        for (Mirror { uri, keyring }, suite) in sources {
            lines += &format!("deb [arch={arch} signed-by={keyring}] {uri} {suite} main\n");
        }
        fs::write(work.join("sources.list"), lines)?;
        let mut options = vec![
            format!("APT::Architecture={arch}"),
            format!("APT::Architectures={arch}"),
            // The download is not installed: the user it runs as will do.
            "APT::Sandbox::User=".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // A mirror that lags behind will do: signatures are still checked.
            "Acquire::Check-Valid-Until=false".to_owned(),
            // Else an archive that cannot be reached is only a warning.
            "APT::Update::Error-Mode=any".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::http::Timeout=30".to_owned(),
        ];
        for (key, path) in [
            ("Dir::State", ""),
            ("Dir::State::Lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::Etc::SourceParts", "parts"),
        ] {
            options.push(format!("{key}={}", work.join(path).display()));
        }
        let apt = Self {
            options,
            work: work.to_owned(),
        };
        apt.run("apt-get", &["--quiet=2", "update"], work)?;
        Ok(apt)
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str], dir: &Path) -> Result<String> {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        run(command.args(arguments).current_dir(dir))
    }

    /// Downloads packages, as `NAME` or `NAME=VERSION`, into a directory.
    pub(crate) fn download(&self, packages: &[String], to: &Path) -> Result<()> {
        let mut words = vec!["--quiet=2", "download"];
        words.extend(packages.iter().map(String::as_str));
        self.run("apt-get", &words, to).map(drop)
    }

    /// Downloads packages with all they depend on, for a system that has none. Returns where they are.
    pub(crate) fn download_with_dependencies(&self, packages: &[&str]) -> Result<PathBuf> {
        let mut words = vec![
            "--quiet=2",
            "--yes",
            "--no-install-recommends",
            "--download-only",
            "install",
        ];
        words.extend(packages);
        self.run("apt-get", &words, &self.work)?;
        Ok(self.work.join("cache/archives"))
    }

    pub(crate) fn show(&self, package: &str) -> Result<String> {
        self.run(
            "apt-cache",
            &["show", "--no-all-versions", package],
            paths::root(),
        )
    }
}

/// Unpacks the packages that lie in a directory.
pub(crate) fn unpack(packages: &Path, root: &Path) -> Result<()> {
    for entry in fs::read_dir(packages)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&file).arg(root))?;
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

pub(crate) fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        (key == name).then_some(value)
    })
}

pub(crate) fn depends(stanza: &str) -> impl Iterator<Item = &str> {
    field(stanza, "Depends")
        .unwrap_or_default()
        .split(',')
        .filter_map(|dependency| dependency.split_whitespace().next())
}

/// Runs a quiet command; what it printed, or, when it failed, why.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("running {program}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{program}: {}: {}",
            output.status,
            stderr.trim().replace('\n', "; ")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dependencies_without_their_versions() {
        let stanza = "Package: a\nDepends: linux-base-x (= 1), linux-image-x\nSize: 1\n";
        assert_eq!(
            depends(stanza).collect::<Vec<_>>(),
            ["linux-base-x", "linux-image-x"]
        );
    }
}
