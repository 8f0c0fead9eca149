//! What the packages of every kind have in them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::done;
use crate::paths;

/// Whose package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Debian,
    Rpm,
}

/// What a file is to a package manager.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Documentation,
    Licence,
}

/// A file of a package.
pub(super) struct Entry {
    pub(super) from: PathBuf,
    /// Where it goes, below the root.
    pub(super) to: String,
    pub(super) mode: u16,
    pub(super) kind: Kind,
}

/// The files; those that are made for it are in `scratch`.
pub(super) fn of(
    family: Family,
    dist: &Path,
    program: &Path,
    scratch: &Path,
) -> Result<Vec<Entry>> {
    let sources = paths::root();
    let packaging = sources.join("packaging");
    let mut entries = vec![Entry {
        mode: 0o755,
        ..plain(program.to_owned(), "usr/bin/zctrace")
    }];
    let zsh = match family {
        Family::Debian => "vendor-completions",
        Family::Rpm => "site-functions",
    };
    let completions = dist.join("completions");
    entries.extend([
        plain(
            packaging.join("zctrace.service"),
            "usr/lib/systemd/system/zctrace.service",
        ),
        plain(
            completions.join("zctrace.bash"),
            "usr/share/bash-completion/completions/zctrace",
        ),
        plain(
            completions.join("_zctrace"),
            &format!("usr/share/zsh/{zsh}/_zctrace"),
        ),
        plain(
            completions.join("zctrace.fish"),
            "usr/share/fish/vendor_completions.d/zctrace.fish",
        ),
    ]);
    for name in ["zctrace-region.sh", "zctrace_region.py"] {
        entries.push(plain(
            sources.join("zctrace-region").join(name),
            &format!("usr/share/zctrace/{name}"),
        ));
    }
    for page in fs::read_dir(dist.join("man"))? {
        let page = page?.path();
        let name = page.file_name().and_then(|name| name.to_str());
        let name = name.context("a page without a name")?;
        let zipped = compressed(&page, scratch)?;
        entries.push(Entry {
            kind: Kind::Documentation,
            ..plain(zipped, &format!("usr/share/man/man1/{name}.gz"))
        });
    }
    for name in ["grafana.json", "alerts.yaml", "kubernetes.yaml"] {
        entries.push(Entry {
            kind: Kind::Documentation,
            ..plain(
                packaging.join(name),
                &format!("usr/share/doc/zctrace/examples/{name}"),
            )
        });
    }
    entries.push(Entry {
        kind: Kind::Documentation,
        ..plain(
            sources.join("CHANGELOG.md"),
            "usr/share/doc/zctrace/CHANGELOG.md",
        )
    });
    let licence = |from: PathBuf, to: &str| Entry {
        kind: Kind::Licence,
        ..plain(from, to)
    };
    // Debian has the other texts already, and its own way to name them.
    let licences: &[&str] = match family {
        Family::Debian => &["copyright"],
        Family::Rpm => &["LICENSE-APACHE", "LICENSE-MIT", "GPL-2"],
    };
    for name in licences {
        let from = [packaging.join(name), sources.join(name)];
        let from = from.into_iter().find(|path| path.exists());
        let from = from.with_context(|| format!("no {name}"))?;
        let directory = match family {
            Family::Debian => "doc",
            Family::Rpm => "licenses",
        };
        entries.push(licence(
            from,
            &format!("usr/share/{directory}/zctrace/{name}"),
        ));
    }
    Ok(entries)
}

fn plain(from: PathBuf, to: &str) -> Entry {
    Entry {
        from,
        to: to.to_owned(),
        mode: 0o644,
        kind: Kind::Plain,
    }
}

/// A compressed copy that has no time in it.
fn compressed(file: &Path, scratch: &Path) -> Result<PathBuf> {
    let copy = scratch.join(file.file_name().context("a file without a name")?);
    fs::copy(file, &copy)?;
    compress(copy)
}

/// Compresses a file, and returns its new name.
pub(super) fn compress(file: PathBuf) -> Result<PathBuf> {
    done(Command::new("gzip").arg("-9n").arg(&file))?;
    let mut zipped = file.into_os_string();
    zipped.push(".gz");
    Ok(zipped.into())
}
