//! Refuses a file that a command line names twice.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::failure::Failure;

/// Refuses a command line that would write one file over another: `files` are those that it names, by
/// the word with which it does.
pub(crate) fn distinct(files: &[(&str, Option<&PathBuf>)]) -> Result<(), Failure> {
    let mut met: Vec<(&str, Identity)> = Vec::new();
    for (word, path) in files {
        let Some(identity) = path.and_then(|path| Identity::of(path)) else {
            continue;
        };
        if let Some((other, _)) = met.iter().find(|(_, met)| *met == identity) {
            return Err(Failure::usage(
                format!("{other} and {word} name the same file"),
                "give each its own file",
            ));
        }
        met.push((*word, identity));
    }
    Ok(())
}

/// What a path stands for.
#[derive(PartialEq, Eq)]
enum Identity {
    Inode(u64, u64),
    /// In a directory, but it does not exist yet.
    New(u64, u64, OsString),
}

impl Identity {
    /// `None` for files that accept everything, such as `/dev/null`, and for files that cannot be opened.
    fn of(path: &Path) -> Option<Self> {
        if let Ok(metadata) = fs::metadata(path) {
            let inode = || Self::Inode(metadata.dev(), metadata.ino());
            return metadata.is_file().then(inode);
        }
        let parent = match path.parent()? {
            parent if parent.as_os_str().is_empty() => Path::new("."),
            parent => parent,
        };
        let directory = fs::metadata(parent).ok()?;
        let name = path.file_name()?.to_owned();
        Some(Self::New(directory.dev(), directory.ino(), name))
    }
}
