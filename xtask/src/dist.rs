//! `cargo xtask dist`: what is given to users.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{binaries, paths};

/// Make the static binary, its completions and manual pages, and a Debian package of them.
#[derive(Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    let dist = paths::target().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    fs::create_dir_all(&dist)?;
    let program = dist.join("zctrace");
    fs::copy(binaries::static_zctrace()?, &program)?;
    done(Command::new(&program).arg("assets").arg(&dist))?;
    let package = package(&dist, &program)?;
    println!("{}\n{}", program.display(), package.display());
    Ok(ExitCode::SUCCESS)
}

fn package(dist: &Path, program: &Path) -> Result<std::path::PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("Debian's name for {other} is not known here"),
    };
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
    let file = dist.join(format!("zctrace_{version}_{architecture}.deb"));
    done(
        Command::new("dpkg-deb")
            .args(["--build", "--root-owner-group"])
            .arg(root.path())
            .arg(&file),
    )?;
    Ok(file)
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
