//! The files of a rotated recording.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::frame::MAGIC;

/// The first has the name that was asked for; to the others a number is appended.
pub(super) fn name(path: &Path, part: u32) -> PathBuf {
    if part == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{part}"));
    name.into()
}

/// What there already is under the names of a recording.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The recordings, by their numbers.
    pub(super) recordings: Vec<u32>,
    /// The first number from which on no name is taken.
    pub(super) free: u32,
}

/// Looks for the files of earlier recordings at `path`. An empty file, which a trace that could not
/// begin leaves, takes no name.
pub(super) fn found(path: &Path) -> io::Result<Found> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let stem = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut found = Found::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(part) = number(stem, entry.file_name().as_encoded_bytes()) else {
            continue;
        };
        let path = name(path, part);
        if !fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() > 0) {
            continue;
        }
        found.free = found.free.max(part.saturating_add(1));
        if is_recording(&path) {
            found.recordings.push(part);
        }
    }
    found.recordings.sort_unstable();
    Ok(found)
}

/// Of the file with this name.
fn number(stem: &[u8], name: &[u8]) -> Option<u32> {
    match name.strip_prefix(stem)? {
        [] => Some(0),
        [b'.', digits @ ..] => {
            let number: u32 = str::from_utf8(digits).ok()?.parse().ok()?;
            // Written otherwise it would be another name.
            (number > 0 && number.to_string().as_bytes() == digits).then_some(number)
        }
        _ => None,
    }
}

fn is_recording(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_recording_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rec");
        assert_eq!(found(&path).unwrap(), Found::default());
        let file = |name: &str, content: &[u8]| {
            fs::write(directory.path().join(name), content).unwrap();
        };
        for other in [
            "rec.01",
            "rec.+7",
            "rec.x",
            "rec.",
            "record",
            "rec.4294967296",
        ] {
            file(other, &MAGIC);
        }
        file("rec.99", b"");
        assert_eq!(found(&path).unwrap(), Found::default());
        file("rec", &MAGIC);
        file("rec.10", b"zctrace\nand so on");
        file("rec.2", &MAGIC);
        file("rec.12", b"notes");
        let all = found(&path).unwrap();
        assert_eq!((all.recordings, all.free), (vec![0, 2, 10], 13));
    }
}
