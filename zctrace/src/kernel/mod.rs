//! What this kernel, and the privileges here, allow.

pub mod btf;
pub mod config;
pub mod doctor;
pub mod privileges;
pub mod settings;

/// The running kernel's page size.
#[must_use]
pub fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let size = size
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok());
    // It never fails: the kernel tells every process.
    size.unwrap_or(4096)
}

/// Release of the running kernel, as `uname -r` prints it.
#[must_use]
pub fn release() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| String::new(),
        |name| name.release().to_string_lossy().into_owned(),
    )
}
