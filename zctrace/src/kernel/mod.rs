//! What this kernel, and the privileges here, allow.

pub mod btf;
pub mod config;
pub mod doctor;
pub mod privileges;
pub mod settings;

/// The `ioctl` that shares a part of a file's extents if the bytes are the same, which libc lacks. It takes a
/// `file_dedupe_range` of 24 bytes.
pub const FIDEDUPERANGE: libc::Ioctl = nix::request_code_readwrite!(0x94, 54, 24);

/// A clock tick in `/proc/PID/stat`, in nanoseconds: `USER_HZ`, fixed by the kernel's interface.
pub(crate) const TICK_NS: u64 = 1_000_000_000 / 100;

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
