//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the xtask package lies in the workspace")
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where downloaded kernels are kept.
pub(crate) fn vm_cache() -> PathBuf {
    env::var_os("ZCTRACE_VM_CACHE").map_or_else(|| target().join("vm-cache"), PathBuf::from)
}

/// The `RUSTFLAGS` that link statically: what is tested runs in guests too. The target is named wherever they
/// are set, so that they leave the build scripts alone.
pub(crate) const STATIC_FLAGS: &str = "-C target-feature=+crt-static";

/// Where root's programs are; a user's PATH leaves half of it out.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The path of a program, given by its name.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var("PATH").unwrap_or_default();
    which::which_in(name, Some(format!("{path}:{SYSTEM_PATH}")), "/").ok()
}
