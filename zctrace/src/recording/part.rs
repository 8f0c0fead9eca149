//! The files of a rotated recording.

use std::path::{Path, PathBuf};

/// The first has the name that was asked for; to the others a number is appended.
pub(super) fn name(path: &Path, part: u32) -> PathBuf {
    if part == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{part}"));
    name.into()
}
