//! What runs that are gone have left behind.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::kill,
    unistd::{Pid, geteuid},
};

/// What is called `prefix` and the id of a process that is gone, with what it is.
pub(in crate::workload) fn stale_of(parent: &Path, prefix: &str) -> Vec<(PathBuf, fs::Metadata)> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let pid = name.to_str()?.strip_prefix(prefix)?;
            // A process can have several.
            let pid = pid.split_once('.').map_or(pid, |(pid, _)| pid);
            let pid: i32 = pid.parse().ok()?;
            // Not through a symbolic link, and nobody else's: /tmp is everyone's.
            let metadata = fs::symlink_metadata(entry.path()).ok()?;
            let ours = metadata.uid() == geteuid().as_raw();
            let dead = kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH);
            (ours && dead).then(|| (entry.path(), metadata))
        })
        .collect()
}
