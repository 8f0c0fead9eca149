//! The toolchain that compiles for BPF. Two will do: a nightly with the standard library's
//! sources, as aya has it, or a stable rustc that comes with `core` for BPF, as Debian's does,
//! linked into rustup.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::job::Job;

/// The name a stable toolchain with `core` for BPF is linked under; zctrace's build script looks
/// for it.
pub(crate) const LINKED: &str = "zctrace-bpf";

/// Debian's packages: the toolchain, and what bpf-linker is linked against.
pub(super) const DEBIAN_PACKAGES: [&str; 8] = [
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
    "libxml2-dev",
];

const LLVM: &str = "/usr/lib/llvm-22";

/// The toolchain the build will use, if there is one.
pub(crate) fn find() -> Option<String> {
    if let Ok(name) = env::var("ZCTRACE_BPF_TOOLCHAIN") {
        return Some(name);
    }
    [LINKED, "nightly"]
        .into_iter()
        .find(|name| can_build(name))
        .map(str::to_owned)
}

/// As zctrace's build script asks.
fn can_build(name: &str) -> bool {
    let rustc = |argument: &[&str]| {
        Job::new("rustup")
            .args(["run", name, "rustc"])
            .args(argument)
            .read()
    };
    let Some(sysroot) = rustc(&["--print", "sysroot"]).map(PathBuf::from) else {
        return false;
    };
    has_bpf_core(&sysroot)
        || (sysroot.join("lib/rustlib/src/rust/library/core").is_dir()
            && rustc(&["--version"]).is_some_and(|version| version.contains("nightly")))
}

fn has_bpf_core(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/bpfel-unknown-none/lib").is_dir()
}

/// Whether Debian's toolchain is installed, new enough, and needs only to be linked. Where the
/// security suite is not among the machine's sources, it is too old.
pub(super) fn debian_is_installed() -> bool {
    has_bpf_core(Path::new("/usr"))
        && Job::new("/usr/bin/rustc")
            .arg("--version")
            .read()
            .is_some_and(|text| is_new_enough(&text, env!("CARGO_PKG_RUST_VERSION")))
}

/// Compares what `rustc --version` prints with the version the workspace asks for.
fn is_new_enough(text: &str, wanted: &str) -> bool {
    let parts = |version: &str| -> Option<(u32, u32)> {
        let (major, rest) = version.split_once('.')?;
        let minor = rest.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let version = text.strip_prefix("rustc ").and_then(parts);
    version.is_some() && version >= parts(wanted)
}

pub(super) fn linker_works() -> bool {
    Job::new("bpf-linker").arg("--version").read().is_some()
}

pub(super) fn llvm_is_installed() -> bool {
    Path::new(LLVM).join("bin/llvm-config").exists()
}

pub(super) fn link() -> Job {
    Job::new("rustup").args(["toolchain", "link", LINKED, "/usr"])
}

/// Its default features look for rustc's own LLVM, which Debian's rustc does not bring along.
pub(super) fn install_linker() -> Job {
    let path = env::var("PATH").unwrap_or_default();
    Job::new("cargo")
        .args(["install", "bpf-linker", "--version=0.10.3", "--locked"])
        .args(["--no-default-features", "--features=llvm-22"])
        .env("PATH", format!("{LLVM}/bin:{path}"))
        .env("LLVM_PREFIX", LLVM)
        .limit(std::time::Duration::from_mins(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_versions_as_numbers() {
        assert!(is_new_enough("rustc 1.96.0 (abc 2026-05-25)", "1.95"));
        assert!(is_new_enough("rustc 1.100.0", "1.95.1"));
        assert!(!is_new_enough("rustc 1.85.0", "1.95"));
        assert!(!is_new_enough("", "1.95"));
    }
}
