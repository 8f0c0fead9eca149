//! Building for another architecture than this machine's.
//!
//! rustup's own standard library for it will do. Where it is missing, Debian has the one of the very rustc that
//! compiles the BPF programs: it is unpacked, never installed, and named to that rustc as its sysroot.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    apt::{
        self,
        private::{Apt, unpack},
    },
    arch::Arch,
    job::Job,
    paths,
    setup::LINKED_TOOLCHAIN,
};

/// The packages with Debian's standard library: what is linked, and what the compiler reads.
const STD_PACKAGES: [&str; 2] = ["libstd-rust-web-dev", "libstd-rust-web-1.96"];

/// The package whose rustc it belongs to.
const RUSTC_PACKAGE: &str = "rustc-web";

/// Cargo, for programs that are linked statically, as every layer calls it: with one target and one set of flags,
/// so that nothing is built twice.
pub(crate) fn cargo(arch: Arch) -> Job {
    let flags = paths::STATIC_FLAGS;
    let job = if arch.is_native() {
        return Job::new("cargo")
            .env("CARGO_BUILD_TARGET", arch.target())
            .env("RUSTFLAGS", flags)
            .current_dir(paths::root());
    } else if rustup_has(arch) {
        Job::new("cargo").env("RUSTFLAGS", flags)
    } else {
        let sysroot = std_directory(arch).join("usr");
        Job::new("rustup")
            .args(["run", LINKED_TOOLCHAIN, "cargo"])
            .env(
                "RUSTFLAGS",
                format!("--sysroot {} {flags}", sysroot.display()),
            )
    };
    let linker = format!(
        "CARGO_TARGET_{}_LINKER",
        arch.target().to_uppercase().replace('-', "_")
    );
    job.env("CARGO_BUILD_TARGET", arch.target())
        .env("CARGO_TARGET_DIR", arch.target_directory())
        .env(&linker, arch.tool("gcc"))
        // Three quarters of the room that a debug build takes.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .current_dir(paths::root())
}

/// Whether the toolchain in use can build for `arch`.
fn rustup_has(arch: Arch) -> bool {
    Job::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(paths::root())
        .read()
        .is_some_and(|sysroot| has_std(Path::new(&sysroot), arch))
}

fn has_std(sysroot: &Path, arch: Arch) -> bool {
    sysroot
        .join("lib/rustlib")
        .join(arch.target())
        .join("lib")
        .is_dir()
}

fn std_directory(arch: Arch) -> PathBuf {
    paths::vm_cache().join(format!("std-{arch}"))
}

/// Where the version of what was unpacked is noted.
fn note(arch: Arch) -> PathBuf {
    std_directory(arch).join("version")
}

/// The version of the compiler, which its standard library must have too.
fn version() -> Option<String> {
    Job::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", RUSTC_PACKAGE])
        .read()
}

/// Whether there is a standard library for `arch`.
pub(crate) fn can_build(arch: Arch) -> bool {
    arch.is_native()
        || rustup_has(arch)
        || (has_std(&std_directory(arch).join("usr"), arch)
            && fs::read_to_string(note(arch)).ok() == version())
}

/// Gets Debian's standard library for `arch`.
pub(crate) fn get_std(arch: Arch) -> Result<()> {
    let version = version().with_context(|| {
        format!("no package {RUSTC_PACKAGE} here, whose standard library for {arch} could be taken")
    })?;
    let (security, suite) = apt::security_mirror().context(
        "no security archive in the apt sources of this machine, which has newer compilers",
    )?;
    let main = apt::debian_mirror()?;
    let to = std_directory(arch);
    let cache = paths::vm_cache();
    fs::create_dir_all(&cache)?;
    let work = tempfile::tempdir_in(&cache)?;
    let release = suite.trim_end_matches("-security");
    let apt = Apt::new(work.path(), arch, &[(&security, &suite), (&main, release)])?;
    let wanted: Vec<String> = STD_PACKAGES
        .iter()
        .map(|package| format!("{package}={version}"))
        .collect();
    apt.download(&wanted, work.path())?;
    let root = work.path().join("root");
    fs::create_dir(&root)?;
    unpack(work.path(), &root)?;
    fs::write(root.join("version"), version)?;
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::rename(root, &to).with_context(|| format!("making {}", to.display()))
}
