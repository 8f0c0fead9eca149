//! Debian's kernels for clouds, and some others: downloaded and unpacked into the cache, never installed.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    apt::{
        self,
        private::{Apt, depends, field, run, unpack},
    },
    arch::Arch,
    paths,
};

/// A kernel the tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// Its version, as `--kernel` takes it.
    pub(crate) name: &'static str,
    /// The suites that carry it, the preferred one first.
    suites: &'static [&'static str],
    /// The suite moves on: what has come after this version is taken as well.
    moving: bool,
    /// The suite carries newer kernels beside it, which the metapackage depends on: it is found by its
    /// own name.
    beside: bool,
    /// How its packages are named.
    flavour: Flavour,
}

/// Debian's builds of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    /// Without drivers for hardware.
    Cloud,
    /// With pages of 16 KiB (arm64).
    Pages16K,
}

impl Series {
    const fn of(name: &'static str, suites: &'static [&'static str]) -> Self {
        Self {
            name,
            suites,
            moving: false,
            beside: false,
            flavour: Flavour::Cloud,
        }
    }

    const fn moving(self) -> Self {
        Self {
            moving: true,
            ..self
        }
    }

    const fn beside(self) -> Self {
        Self {
            beside: true,
            ..self
        }
    }

    /// The kernels that the tests run on for an architecture, oldest first.
    pub(crate) const fn tested(arch: Arch) -> &'static [Self] {
        match arch {
            Arch::Amd64 => &[LINUX_6_1, LINUX_6_12, LINUX_7_3],
            Arch::Arm64 => &[LINUX_6_1, LINUX_6_12, LINUX_6_12_16K, LINUX_7_3],
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        KNOWN
            .into_iter()
            .find(|series| series.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = KNOWN.iter().map(|series| series.name).collect();
                format!("unknown kernel; known are {}", names.join(", "))
            })
    }

    /// The end of the names of its packages.
    fn suffix(self, arch: Arch) -> String {
        match self.flavour {
            Flavour::Cloud => format!("-cloud-{arch}"),
            Flavour::Pages16K => format!("-{arch}-16k"),
        }
    }

    /// What its versions begin with.
    fn version(self) -> &'static str {
        self.name.trim_end_matches("-16k")
    }
}

/// Debian 11's: too old, which zctrace has to say.
const LINUX_5_10: Series = Series::of("5.10", &["bullseye"]);
const LINUX_6_1: Series = Series::of("6.1", &["bookworm"]);
const LINUX_6_12: Series = Series::of("6.12", &["bookworm-backports", "trixie"]);
const LINUX_6_12_16K: Series = Series {
    flavour: Flavour::Pages16K,
    ..Series::of("6.12-16k", &["bookworm-backports", "trixie"])
};
const LINUX_6_18: Series = Series::of("6.18", &["trixie-backports"]).beside();
/// As in Ubuntu 26.04.
const LINUX_7_0: Series = Series::of("7.0", &["trixie-backports"]).beside();
const LINUX_7_2: Series = Series::of("7.2", &["sid"]).moving();
const LINUX_7_3: Series = Series::of("7.3", &["trixie-backports"]).moving();

/// Those that can be had, oldest first.
const KNOWN: [Series; 8] = [
    LINUX_5_10,
    LINUX_6_1,
    LINUX_6_12,
    LINUX_6_12_16K,
    LINUX_6_18,
    LINUX_7_0,
    LINUX_7_2,
    LINUX_7_3,
];

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// An unpacked kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kernel {
    /// What `uname -r` prints on it.
    pub(crate) release: String,
    /// The version of its package.
    pub(crate) package: String,
    /// The suite it came from.
    pub(crate) suite: String,
    /// Where it was unpacked; not recorded, so that the cache can be moved.
    #[serde(skip)]
    root: PathBuf,
}

impl Kernel {
    pub(crate) fn image(&self) -> PathBuf {
        let beside_modules = self.modules().join("vmlinuz");
        if beside_modules.exists() {
            return beside_modules;
        }
        self.root
            .join("boot")
            .join(format!("vmlinuz-{}", self.release))
    }

    /// The directory of its modules, with the indexes `depmod` makes.
    pub(crate) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }
}

/// The kernel of `series`: from the cache, or downloaded.
///
/// An error means that the archive could not be reached or has no such kernel.
pub(crate) fn fetch(series: Series, arch: Arch, refresh: bool) -> Result<Kernel> {
    ensure!(
        series.flavour == Flavour::Cloud || arch == Arch::Arm64,
        "Debian has no Linux {series} for {arch}"
    );
    let name = match arch {
        Arch::Amd64 => series.name.to_owned(),
        Arch::Arm64 => format!("{series}-{arch}"),
    };
    let dir = paths::vm_cache().join(name);
    if !refresh && let Some(kernel) = cached(&dir) {
        return Ok(kernel);
    }
    let mirror = apt::debian_mirror()?;
    let mut refused = Vec::new();
    for suite in series.suites {
        eprintln!("vm: getting Linux {series} from Debian {suite}");
        match download(series, arch, suite, &mirror, &dir) {
            Ok(kernel) => return Ok(kernel),
            Err(error) => refused.push(format!("{suite}: {error:#}")),
        }
    }
    bail!("{}", refused.join("; "))
}

fn cached(dir: &Path) -> Option<Kernel> {
    let text = fs::read(dir.join("kernel.json")).ok()?;
    let kernel = Kernel {
        root: dir.join("root"),
        ..serde_json::from_slice(&text).ok()?
    };
    kernel.image().exists().then_some(kernel)
}

fn download(
    series: Series,
    arch: Arch,
    suite: &str,
    mirror: &apt::Mirror,
    dir: &Path,
) -> Result<Kernel> {
    let parent = dir.parent().context("the cache has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    // Made beside its place and renamed at the end: a cache is whole, or not there.
    let work = tempfile::tempdir_in(parent).context("making a directory for the download")?;
    let apt = Apt::new(work.path(), arch, &[(mirror, suite)])?;
    let suffix = series.suffix(arch);

    let first = if series.beside {
        newest(&apt, series, &suffix)?
    } else {
        // The metapackage. What it depends on is the kernel, under a name that changes with each update.
        format!("linux-image{suffix}")
    };
    let meta = apt.show(&first)?;
    let package = field(&meta, "Version").context("the package has no version")?;
    let names_kernel = |name: &&str| name.starts_with("linux-") && name.ends_with(&suffix);
    let mut wanted: Vec<String> = Vec::new();
    let mut queue: Vec<String> = if series.beside {
        // The image holds all there is. What it depends on is gone from the archive.
        wanted.push(first);
        Vec::new()
    } else {
        depends(&meta)
            .filter(names_kernel)
            .map(str::to_owned)
            .collect()
    };
    while let Some(name) = queue.pop() {
        if !wanted.contains(&name) {
            let shown = apt.show(&name)?;
            queue.extend(depends(&shown).filter(names_kernel).map(str::to_owned));
            wanted.push(name);
        }
    }
    ensure!(
        series.moving
            || wanted.iter().any(|name| {
                name.strip_prefix("linux-image-")
                    .is_some_and(|rest| is_of_series(rest, series.version()))
            }),
        "it now carries {package}"
    );

    let mut arguments = vec!["--quiet=2", "download"];
    arguments.extend(wanted.iter().map(String::as_str));
    apt.run("apt-get", &arguments, work.path())?;
    let root = work.path().join("root");
    unpack(work.path(), &root)?;
    merge_lib(&root)?;
    let release = fs::read_dir(root.join("lib/modules"))
        .context("no modules in the packages")?
        .next()
        .context("no modules in the packages")??
        .file_name()
        .into_string()
        .ok()
        .context("a release name that is no text")?;
    depmod(&root, &release)?;

    let kernel = Kernel {
        release,
        package: package.to_owned(),
        suite: suite.to_owned(),
        root: dir.join("root"),
    };
    let finished = work.path().join("finished");
    fs::create_dir(&finished)?;
    fs::rename(&root, finished.join("root"))?;
    fs::write(
        finished.join("kernel.json"),
        serde_json::to_vec_pretty(&kernel)?,
    )?;
    if dir.exists() {
        fs::rename(dir, work.path().join("replaced"))?;
    }
    match fs::rename(&finished, dir) {
        // Another process finished the same download first.
        Err(_) if cached(dir).is_some() => {}
        done => done.with_context(|| format!("making {}", dir.display()))?,
    }
    eprintln!("vm: Linux {series} is {} ({package})", kernel.release);
    Ok(kernel)
}

/// Newer packages keep modules in `/usr/lib`, older ones in `/lib`; `depmod` looks in `/lib`.
fn merge_lib(root: &Path) -> Result<()> {
    let lib = root.join("lib");
    if !lib.exists() {
        std::os::unix::fs::symlink("usr/lib", &lib)?;
    }
    Ok(())
}

/// Indexes the modules in `root`.
pub(super) fn depmod(root: &Path, release: &str) -> Result<()> {
    let program =
        paths::find_program("depmod").context("no depmod; `cargo xtask setup --vm` installs it")?;
    run(Command::new(program).arg("-b").arg(root).arg(release))?;
    Ok(())
}

fn is_of_series(version: &str, series: &str) -> bool {
    version
        .strip_prefix(series)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

/// The image of a series that the metapackage has left behind.
fn newest(apt: &Apt, series: Series, suffix: &str) -> Result<String> {
    let prefix = format!("linux-image-{series}.");
    let names = apt.run("apt-cache", &["pkgnames", &prefix], paths::root())?;
    let update = |name: &str| -> Option<u32> {
        let rest = name.strip_prefix(&prefix)?;
        let (update, _) = rest.strip_suffix(suffix)?.split_once('+')?;
        update.parse().ok()
    };
    names
        .lines()
        .filter(|name| update(name).is_some())
        .max_by_key(|name| update(name))
        .map(str::to_owned)
        .with_context(|| format!("no package of Linux {series}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_no_prefix_of_another() {
        assert!(is_of_series("6.1.0-40-cloud-amd64", "6.1"));
        assert!(!is_of_series("6.12.48+deb12-cloud-amd64", "6.1"));
        assert!(is_of_series("6.12.48+deb12-cloud-amd64", "6.12"));
    }
}
