//! `cargo xtask dist`: what is given to users.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    arch::Arch,
    binaries,
    job::Job,
    paths,
    setup::{self, Purpose},
};

mod content;
mod crates;
mod debian;
mod rpm;
mod sbom;

pub(crate) use crates::crates;

/// Who answers for the packages, as Debian's own tools take it from the environment: `DEBFULLNAME` and `DEBEMAIL`.
/// Without them it is an address that cannot exist, so that nobody's mail goes astray.
fn maintainer() -> String {
    let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let name = given("DEBFULLNAME").unwrap_or_else(|| "zctrace maintainers".to_owned());
    let address = given("DEBEMAIL").unwrap_or_else(|| "maintainers@zctrace.invalid".to_owned());
    format!("{name} <{address}>")
}

/// What packages say of it, in a line.
const SUMMARY: &str = "Shows where the Linux kernel copied every I/O byte";

/// And in some more.
const DESCRIPTION: &str = "\
zctrace counts, for each process and data path, how the running kernel moved
every byte of I/O: copied by a processor, by reference, or by a device. It
says why bytes were copied, and judges claims such as \"this path is
zero-copy\".

It uses eBPF programs, which it brings along, on Linux 6.1 and newer.";

/// Make the static binary, its completions and manual pages, packages for Debian and with rpm, a list of what it is made
/// of (CycloneDX), and the checksums of all of these.
#[derive(Args)]
pub(crate) struct Options {
    /// Also make the crates, with the BPF programs of every architecture in them, as
    /// `cargo publish` would upload them.
    #[arg(long)]
    crates: bool,
    /// The architecture of the binary and of the package.
    #[arg(long, value_enum, default_value_t = Arch::NATIVE)]
    arch: Arch,
    /// Use this static zctrace, instead of building one.
    #[arg(long, value_name = "FILE")]
    zctrace: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let made = make(options.arch, options.zctrace.as_deref())?;
    for file in made.files() {
        println!("{}", file.display());
    }
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
    pub(crate) debian: PathBuf,
    /// The one that rpm installs.
    pub(crate) rpm: PathBuf,
    /// What the binary is made of.
    pub(crate) materials: PathBuf,
    /// The checksums of the others.
    pub(crate) sums: PathBuf,
}

impl Made {
    fn files(&self) -> [&Path; 5] {
        [
            &self.program,
            &self.debian,
            &self.rpm,
            &self.materials,
            &self.sums,
        ]
    }
}

/// Makes it, of this program or of one that is built first.
pub(crate) fn make(arch: Arch, zctrace: Option<&Path>) -> Result<Made> {
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
            .arg(&match zctrace {
                Some(zctrace) => zctrace.to_owned(),
                None => binaries::static_zctrace(arch)?,
            }),
    )?;
    put_into_image(arch, &program)?;
    // They are the same for every architecture, and only this one's program runs here.
    let native = if arch.is_native() {
        program.clone()
    } else {
        binaries::quick_zctrace()?
    };
    done(Command::new(native).arg("assets").arg(&dist))?;
    let epoch = epoch()?;
    let debian = debian::package(arch, &dist, &program, epoch)?;
    let rpm = rpm::package(arch, &dist, &program, epoch)?;
    let materials = sbom::write(arch, &dist)?;
    let sums = sums(&dist, &[&program, &debian, &rpm, &materials])?;
    Ok(Made {
        program,
        debian,
        rpm,
        materials,
        sums,
    })
}

/// Lays the program where `packaging/Containerfile` takes it from: below the name that containers have for its
/// architecture, which is Debian's.
fn put_into_image(arch: Arch, program: &Path) -> Result<()> {
    let directory = paths::target().join("image").join(arch.debian());
    fs::create_dir_all(&directory)?;
    fs::copy(program, directory.join("zctrace"))
        .context("copying the program for the container")?;
    Ok(())
}

/// The time that packages carry: the commit's, so that the same sources make the same packages.
fn epoch() -> Result<u32> {
    let text = Job::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(paths::root())
        .read()
        .context("no commit")?;
    Ok(text.trim().parse()?)
}

/// For `sha256sum --check` beside the files.
fn sums(dist: &Path, files: &[&Path]) -> Result<PathBuf> {
    let names = files.iter().filter_map(|file| file.file_name());
    let output = Command::new("sha256sum")
        .args(names)
        .current_dir(dist)
        .output()
        .context("running sha256sum")?;
    ensure!(output.status.success(), "sha256sum");
    let file = dist.join("SHA256SUMS");
    fs::write(&file, output.stdout)?;
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
