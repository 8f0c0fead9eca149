//! The Debian package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    DESCRIPTION, SUMMARY,
    content::{self, Family},
    done, maintainer,
};
use crate::{arch::Arch, paths};

/// Makes the package of what lies in `dist`.
pub(super) fn package(
    architecture: Arch,
    dist: &Path,
    program: &Path,
    epoch: u32,
) -> Result<PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let directory = tempfile::tempdir()?;
    let (root, scratch) = (directory.path().join("root"), directory.path());
    let put = |from: &Path, to: &str, mode: u16| {
        done(
            Command::new("install")
                .args(["-D", "-m", &format!("{mode:o}")])
                .arg(from)
                .arg(root.join(to)),
        )
    };
    for entry in content::of(Family::Debian, dist, program, scratch)? {
        put(&entry.from, &entry.to, entry.mode)?;
    }
    let changelog = scratch.join("changelog");
    fs::write(
        &changelog,
        format!(
            "zctrace ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md in this directory.\n\n -- {}  {}\n",
            maintainer(),
            date(epoch)?
        ),
    )?;
    let changelog = content::compress(changelog)?;
    put(&changelog, "usr/share/doc/zctrace/changelog.gz", 0o644)?;
    let packaging = paths::root().join("packaging/debian");
    put(
        &packaging.join("overrides"),
        "usr/share/lintian/overrides/zctrace",
        0o644,
    )?;
    let control = root.join("DEBIAN");
    fs::create_dir(&control)?;
    let description: String = DESCRIPTION
        .lines()
        .map(|line| format!(" {}\n", if line.is_empty() { "." } else { line }))
        .collect();
    let maintainer = maintainer();
    // Linked statically: it depends on nothing. The service is not enabled: installing a tool must
    // not start tracing.
    fs::write(
        control.join("control"),
        format!(
            "Package: zctrace\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: {maintainer}\n\
             Section: utils\nPriority: optional\n\
             Description: {SUMMARY}\n{description}"
        ),
    )?;
    sums(&root, &control)?;
    for name in ["postinst", "prerm", "postrm"] {
        put(&packaging.join(name), &format!("DEBIAN/{name}"), 0o755)?;
    }
    let file = dist.join(format!("zctrace_{version}_{architecture}.deb"));
    done(
        Command::new("dpkg-deb")
            .args(["--build", "--root-owner-group", "-Zxz"])
            .env("SOURCE_DATE_EPOCH", epoch.to_string())
            .arg(&root)
            .arg(&file),
    )?;
    Ok(file)
}

/// As Debian's changelogs write it.
fn date(epoch: u32) -> Result<String> {
    let output = Command::new("date")
        .args(["--utc", "--rfc-email", "--date", &format!("@{epoch}")])
        .env("LC_ALL", "C")
        .output()
        .context("running date")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What `dpkg --verify` holds the installed files against.
fn sums(root: &Path, control: &Path) -> Result<()> {
    let script = "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums";
    debug_assert!(control.ends_with("DEBIAN"));
    done(Command::new("sh").args(["-ec", script]).current_dir(root))
}
