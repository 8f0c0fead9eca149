//! Debian's cloud kernels: downloaded and unpacked into the cache, never installed.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{apt, paths};

/// The metapackage. What it depends on is the kernel, under a name that changes with each update.
const METAPACKAGE: &str = "linux-image-cloud-amd64";

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
}

/// Those of the tests, oldest first.
pub(crate) const SERIES: [Series; 3] = [
    Series {
        name: "6.1",
        suites: &["bookworm"],
        moving: false,
        beside: false,
    },
    Series {
        name: "6.12",
        suites: &["bookworm-backports", "trixie"],
        moving: false,
        beside: false,
    },
    Series {
        name: "7.2",
        suites: &["sid"],
        moving: true,
        beside: false,
    },
];

/// Those that can be had besides.
const BESIDES: [Series; 1] = [Series {
    name: "6.18",
    suites: &["trixie-backports"],
    moving: false,
    beside: true,
}];

impl Series {
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let known = || SERIES.into_iter().chain(BESIDES);
        known().find(|series| series.name == name).ok_or_else(|| {
            let names: Vec<_> = known().map(|series| series.name).collect();
            format!("unknown kernel; known are {}", names.join(", "))
        })
    }
}

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
pub(crate) fn fetch(series: Series, refresh: bool) -> Result<Kernel> {
    let dir = paths::vm_cache().join(series.name);
    if !refresh && let Some(kernel) = cached(&dir) {
        return Ok(kernel);
    }
    let mirror = apt::debian_mirror()?;
    let mut refused = Vec::new();
    for suite in series.suites {
        eprintln!("vm: getting Linux {series} from Debian {suite}");
        match download(series, suite, &mirror, &dir) {
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

fn download(series: Series, suite: &str, mirror: &apt::Mirror, dir: &Path) -> Result<Kernel> {
    let parent = dir.parent().context("the cache has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    // Made beside its place and renamed at the end: a cache is whole, or not there.
    let work = tempfile::tempdir_in(parent).context("making a directory for the download")?;
    let apt = Apt::new(work.path(), suite, mirror)?;
    apt.run("apt-get", &["--quiet=2", "update"], work.path())?;

    let first = if series.beside {
        apt.newest(series)?
    } else {
        METAPACKAGE.to_owned()
    };
    let meta = apt.show(&first)?;
    let package = field(&meta, "Version").context("the package has no version")?;
    let names_kernel = |name: &&str| name.starts_with("linux-") && name.ends_with("-cloud-amd64");
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
                    .is_some_and(|rest| is_of_series(rest, series.name))
            }),
        "it now carries {package}"
    );

    let mut arguments = vec!["--quiet=2", "download"];
    arguments.extend(wanted.iter().map(String::as_str));
    apt.run("apt-get", &arguments, work.path())?;
    let root = work.path().join("root");
    for entry in fs::read_dir(work.path())? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&file).arg(&root))?;
            fs::remove_file(&file)?;
        }
    }
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

fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        (key == name).then_some(value)
    })
}

fn depends(stanza: &str) -> impl Iterator<Item = &str> {
    field(stanza, "Depends")
        .unwrap_or_default()
        .split(',')
        .filter_map(|dependency| dependency.split_whitespace().next())
}

/// apt with a state of its own, so that the machine's sources stay as they are and no root is
/// needed.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(work: &Path, suite: &str, mirror: &apt::Mirror) -> Result<Self> {
        for dir in ["lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(work.join(dir))?;
        }
        fs::write(work.join("status"), [])?;
        let apt::Mirror { uri, keyring } = mirror;
        fs::write(
            work.join("sources.list"),
            format!("deb [arch=amd64 signed-by={keyring}] {uri} {suite} main\n"),
        )?;
        let mut options = vec![
            "APT::Architecture=amd64".to_owned(),
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
        Ok(Self { options })
    }

    fn run(&self, program: &str, arguments: &[&str], dir: &Path) -> Result<String> {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        run(command.args(arguments).current_dir(dir))
    }

    /// The image of a series that the metapackage has left behind.
    fn newest(&self, series: Series) -> Result<String> {
        let prefix = format!("linux-image-{series}.");
        let names = self.run("apt-cache", &["pkgnames", &prefix], paths::root())?;
        let update = |name: &str| -> Option<u32> {
            let rest = name.strip_prefix(&prefix)?;
            let (update, _) = rest.strip_suffix("-cloud-amd64")?.split_once('+')?;
            update.parse().ok()
        };
        names
            .lines()
            .filter(|name| update(name).is_some())
            .max_by_key(|name| update(name))
            .map(str::to_owned)
            .with_context(|| format!("no package of Linux {series}"))
    }

    fn show(&self, package: &str) -> Result<String> {
        self.run(
            "apt-cache",
            &["show", "--no-all-versions", package],
            paths::root(),
        )
    }
}

/// Runs a quiet command; what it printed, or, when it failed, why.
fn run(command: &mut Command) -> Result<String> {
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
    fn a_series_is_no_prefix_of_another() {
        assert!(is_of_series("6.1.0-40-cloud-amd64", "6.1"));
        assert!(!is_of_series("6.12.48+deb12-cloud-amd64", "6.1"));
        assert!(is_of_series("6.12.48+deb12-cloud-amd64", "6.12"));
    }

    #[test]
    fn reads_dependencies_without_their_versions() {
        let stanza = "Package: a\nDepends: linux-base-x (= 1), linux-image-x\nSize: 1\n";
        assert_eq!(
            depends(stanza).collect::<Vec<_>>(),
            ["linux-base-x", "linux-image-x"]
        );
    }
}
