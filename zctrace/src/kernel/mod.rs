//! What this kernel, and the privileges here, allow.

pub mod btf;
pub mod config;
pub mod doctor;
pub mod privileges;
pub mod settings;

/// Release of the running kernel, as `uname -r` prints it.
#[must_use]
pub fn release() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| String::new(),
        |name| name.release().to_string_lossy().into_owned(),
    )
}
