//! The Debian package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::done;
use crate::{arch::Arch, paths};

/// Makes the package of what lies in `dist`.
pub(super) fn package(architecture: Arch, dist: &Path, program: &Path) -> Result<PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let root = tempfile::tempdir()?;
    let put = |from: &Path, to: &str, mode: &str| {
        done(
            Command::new("install")
                .args(["-D", "-m", mode])
                .arg(from)
                .arg(root.path().join(to)),
        )
    };
    put(program, "usr/bin/zctrace", "755")?;
    let sources = paths::root();
    put(
        &sources.join("packaging/zctrace.service"),
        "usr/lib/systemd/system/zctrace.service",
        "644",
    )?;
    for (name, to) in [
        (
            "zctrace.bash",
            "usr/share/bash-completion/completions/zctrace",
        ),
        ("_zctrace", "usr/share/zsh/vendor-completions/_zctrace"),
        (
            "zctrace.fish",
            "usr/share/fish/vendor_completions.d/zctrace.fish",
        ),
    ] {
        put(&dist.join("completions").join(name), to, "644")?;
    }
    for page in fs::read_dir(dist.join("man"))? {
        let page = page?.path();
        let name = page.file_name().and_then(|name| name.to_str());
        let name = name.context("a page without a name")?;
        let to = format!("usr/share/man/man1/{name}");
        put(&page, &to, "644")?;
        done(Command::new("gzip").args(["-9n"]).arg(root.path().join(to)))?;
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "CHANGELOG.md"] {
        put(
            &sources.join(name),
            &format!("usr/share/doc/zctrace/{name}"),
            "644",
        )?;
    }
    for name in ["grafana.json", "alerts.yaml", "kubernetes.yaml"] {
        let to = format!("usr/share/doc/zctrace/examples/{name}");
        put(&sources.join("packaging").join(name), &to, "644")?;
    }
    put(
        &sources.join("packaging/copyright"),
        "usr/share/doc/zctrace/copyright",
        "644",
    )?;
    let control = root.path().join("DEBIAN");
    fs::create_dir(&control)?;
    // Linked statically: it depends on nothing. The service is not enabled: installing a tool must
    // not start tracing.
    fs::write(
        control.join("control"),
        format!(
            "Package: zctrace\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: zctrace maintainers <maintainers@zctrace.invalid>\n\
             Section: utils\nPriority: optional\n\
             Description: {}\n Per process and data path, measured in the running kernel with eBPF.\n",
            "Shows where the Linux kernel copied every I/O byte"
        ),
    )?;
    sums(root.path(), &control)?;
    let scripts = sources.join("packaging/debian");
    for name in ["prerm", "postrm"] {
        put(&scripts.join(name), &format!("DEBIAN/{name}"), "755")?;
    }
    let file = dist.join(format!("zctrace_{version}_{architecture}.deb"));
    done(
        Command::new("dpkg-deb")
            .args(["--build", "--root-owner-group"])
            .arg(root.path())
            .arg(&file),
    )?;
    Ok(file)
}

/// What `dpkg --verify` holds the installed files against.
fn sums(root: &Path, control: &Path) -> Result<()> {
    let script = "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums";
    debug_assert!(control.ends_with("DEBIAN"));
    done(Command::new("sh").args(["-ec", script]).current_dir(root))
}
