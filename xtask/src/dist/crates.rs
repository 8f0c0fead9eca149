//! The crates, which carry the BPF programs: whoever installs them needs no BPF toolchain.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{job::Job, paths, setup};

/// What a release has programs for. They differ in registers and system calls.
pub(super) const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// In the order in which they have to be published.
const CRATES: [&str; 4] = [
    "zctrace-common",
    "zctrace-ledger",
    "zctrace-region",
    "zctrace",
];

/// Makes the `.crate` files with the programs for `architectures`.
pub(crate) fn crates(architectures: &[&str]) -> Result<Vec<PathBuf>> {
    let objects = Objects::new(paths::root().join("zctrace/bpf"))?;
    for architecture in architectures {
        let built = build_objects(architecture)?;
        let to = objects.0.join(architecture);
        fs::create_dir_all(&to)?;
        for name in OBJECTS {
            fs::copy(built.join(name), to.join(format!("{name}.o")))?;
        }
    }
    // It is built where it is used; the objects are not in git.
    Job::new("cargo")
        .args([
            "package",
            "--locked",
            "--quiet",
            "--no-verify",
            "--allow-dirty",
        ])
        .args(CRATES.iter().flat_map(|name| ["--package", name]))
        .current_dir(paths::root())
        .step("packing the crates")?;
    let version = env!("CARGO_PKG_VERSION");
    let packed = paths::target().join("package");
    Ok(CRATES
        .iter()
        .map(|name| packed.join(format!("{name}-{version}.crate")))
        .collect())
}

/// Where the crate has its programs: there only while it is packed. A build in the sources takes
/// those it has built.
struct Objects(PathBuf);

impl Objects {
    fn new(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

/// The objects, as `zctrace/build.rs` names them.
const OBJECTS: [&str; 3] = ["zctrace", "traffic-xdp", "traffic-sockmap"];

#[test]
fn the_objects_are_those_of_the_build_script() {
    let script = fs::read_to_string(paths::root().join("zctrace/build.rs")).unwrap();
    let (_, list) = script.split_once("const OBJECTS: [&str; 3] = ").unwrap();
    let (list, _) = list.split_once(';').unwrap();
    let named: Vec<_> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(named, OBJECTS);
}

/// Builds the programs as zctrace's build script does, for any architecture. Returns where they are.
fn build_objects(architecture: &str) -> Result<PathBuf> {
    let toolchain = setup::bpf_toolchain().context("no BPF toolchain: `cargo xtask setup`")?;
    let target = paths::target().join("dist-bpf").join(architecture);
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{architecture}\""),
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
    ];
    Job::new("rustup")
        .args(["run", &toolchain, "cargo", "build", "--locked", "--release"])
        .args(["--package=zctrace-ebpf", "--bins"])
        .args(["--target=bpfel-unknown-none", "--target-dir"])
        .arg(&target)
        .env("RUSTC_BOOTSTRAP", "aya_ebpf,zctrace,zctrace_common")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .current_dir(paths::root())
        .limit(Duration::from_mins(20))
        .step(&format!("building the BPF programs for {architecture}"))?;
    Ok(target.join("bpfel-unknown-none/release"))
}
