//! Builds the BPF programs with whichever toolchain is there, or an empty object where none is, so
//! that `cargo check`, clippy, the documentation and the unit tests need no BPF toolchain. A released
//! crate carries them, built, and no sources of them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

#[path = "build/slim.rs"]
mod slim;

/// The name under which `cargo xtask setup` links a stable rustc that has `core` for BPF.
const LINKED_TOOLCHAIN: &str = "zctrace-bpf";

/// The objects, by the names of the binaries of `zctrace-ebpf`.
const OBJECTS: [&str; 3] = ["zctrace", "traffic-xdp", "traffic-sockmap"];

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/slim.rs");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rerun-if-env-changed=ZCTRACE_BPF_TOOLCHAIN");
    println!("cargo:rustc-check-cfg=cfg(zctrace_without_bpf)");

    // Where this is now. What `env!` says is where it was when this script was compiled, and
    // directories are moved.
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR")?);
    let sources = here.join("../zctrace-ebpf");
    if !sources.join("Cargo.toml").exists() {
        return released(&here);
    }

    let chosen = env::var("ZCTRACE_BPF_TOOLCHAIN").ok();
    let toolchain = match &chosen {
        Some(name) => Some(name.as_str()),
        None => [LINKED_TOOLCHAIN, "nightly"]
            .into_iter()
            .find(|name| can_build_bpf(name)),
    };
    let skip = env::var_os("AYA_BUILD_SKIP").is_some();
    let (Some(toolchain), false, true) = (toolchain, skip, has_linker()) else {
        println!(
            "cargo:warning=built without BPF programs: no BPF toolchain found; `cargo xtask setup` installs one"
        );
        println!("cargo:rustc-cfg=zctrace_without_bpf");
        let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR")?);
        for object in OBJECTS.map(|name| out.join(name)) {
            fs::write(&object, []).with_context(|| format!("writing {}", object.display()))?;
        }
        return Ok(());
    };

    // aya-ebpf and the programs use one unstable feature, inline assembly for BPF. Naming the
    // crates, not "1", keeps build-std off on a stable toolchain, where `core` for BPF comes
    // prebuilt.
    // SAFETY: the build script has one thread.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf,zctrace,zctrace_common") };
    let root_dir = sources.to_str().context("a path that is no text")?;
    println!("cargo:rerun-if-changed=../zctrace-common/src");
    aya_build::build_ebpf(
        [Package {
            name: "zctrace-ebpf",
            root_dir,
            ..Package::default()
        }],
        Toolchain::Custom(toolchain),
    )?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR")?);
    for object in OBJECTS.map(|name| out.join(name)) {
        let slim = fs::read(&object)
            .map_err(Into::into)
            .and_then(|object| slim::slim(&object))
            .with_context(|| format!("slimming {}", object.display()))?;
        fs::write(&object, slim)?;
    }
    Ok(())
}

/// Takes the BPF programs that came with the crate.
fn released(here: &Path) -> Result<()> {
    let architecture = env::var("CARGO_CFG_TARGET_ARCH")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR")?);
    for name in OBJECTS {
        let object = here.join(format!("bpf/{architecture}/{name}.o"));
        println!("cargo:rerun-if-changed={}", object.display());
        fs::copy(&object, out.join(name))
            .with_context(|| format!("this crate has no BPF programs for {architecture}"))?;
    }
    Ok(())
}

/// Whether rustup's toolchain `name` can compile for BPF: it has `core` prebuilt, or is a nightly
/// with the sources to build it from.
fn can_build_bpf(name: &str) -> bool {
    let output = |args: &[&str]| {
        Command::new("rustup")
            .args(["run", name, "rustc"])
            .args(args)
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(sysroot) = output(&["--print", "sysroot"]).map(PathBuf::from) else {
        return false;
    };
    let nightly = || output(&["--version"]).is_some_and(|version| version.contains("nightly"));
    sysroot.join("lib/rustlib/bpfel-unknown-none/lib").is_dir()
        || (sysroot.join("lib/rustlib/src/rust/library/core").is_dir() && nightly())
}

fn has_linker() -> bool {
    Command::new("bpf-linker")
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
}
