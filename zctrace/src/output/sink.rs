//! Where a report goes: a stream, or a file that is complete or not there.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, IsTerminal as _, Write},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};
use tempfile::NamedTempFile;

use super::style::Surface;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader has closed the pipe; nothing is wrong.
    #[error("nobody reads the output any more")]
    Closed,
    /// The stream or file does not take it.
    #[error("cannot write {name}: {source}")]
    Write {
        /// The file, or which stream.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// What the user can do about it, in one line.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Closed => "keep the reader open",
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space or choose another file"
            }
            Self::Write { .. } => "choose another file",
        }
    }
}

/// Where a report goes.
#[derive(Debug)]
pub struct Sink {
    name: String,
    surface: Surface,
    to: To,
}

#[derive(Debug)]
enum To {
    Stdout,
    Stderr,
    /// A device, a pipe, or a file that grows while the trace runs.
    Stream(File),
    /// Kept until it is complete.
    Whole(Whole),
}

/// A file that is written beside the one it replaces, in one go at the end: a trace that is killed
/// leaves nothing behind.
#[derive(Debug)]
struct Whole {
    path: PathBuf,
    mode: u32,
    /// User and group of the file that is replaced.
    owner: Option<(u32, u32)>,
    content: Vec<u8>,
}

impl Whole {
    fn beside(&self) -> io::Result<NamedTempFile> {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Asked first, because `tempfile` speaks of a file that the user never chose.
        access(directory, AccessFlags::W_OK | AccessFlags::X_OK)?;
        let file = tempfile::Builder::new()
            .prefix(".zctrace-")
            .tempfile_in(directory)?;
        // Before the mode: a change of owner takes the set-user-id bit away.
        if let Some((user, group)) = self.owner {
            let own = file.as_file().metadata()?;
            if (own.uid(), own.gid()) != (user, group) {
                fchown(file.as_file(), Some(user), Some(group))?;
            }
        }
        file.as_file()
            .set_permissions(Permissions::from_mode(self.mode))?;
        Ok(file)
    }

    fn put(&self) -> io::Result<()> {
        let mut file = self.beside()?;
        file.write_all(&self.content)?;
        // A full disk can show as late as this.
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

impl Sink {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self {
            name: "standard output".into(),
            surface: Surface::of(&io::stdout()),
            to: To::Stdout,
        }
    }

    /// Standard error: standard output belongs to the traced command.
    #[must_use]
    pub fn stderr() -> Self {
        Self {
            name: "standard error".into(),
            surface: Surface::of(&io::stderr()),
            to: To::Stderr,
        }
    }

    /// A file, opened now so that a mistake shows before the trace and not after it. A `growing`
    /// one is written in place; any other appears complete, or keeps its old content.
    ///
    /// # Errors
    ///
    /// When it cannot be created.
    pub fn file(path: &Path, growing: bool) -> Result<Self, Error> {
        let name = path.display().to_string();
        let to = open(path, growing).map_err(|source| Error::Write {
            name: name.clone(),
            source,
        })?;
        let surface = match &to {
            To::Stream(file) if file.is_terminal() => Surface::of(file),
            _ => Surface::FILE,
        };
        Ok(Self { name, surface, to })
    }

    /// Width and colours of what is written here.
    #[must_use]
    pub fn surface(&self) -> Surface {
        self.surface
    }

    /// Whether a person is looking.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match &self.to {
            To::Stdout => io::stdout().is_terminal(),
            To::Stderr => io::stderr().is_terminal(),
            To::Stream(file) => file.is_terminal(),
            To::Whole(_) => false,
        }
    }

    /// Lets `write` write and passes it all on.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when a pipe has no reader, else [`Error::Write`].
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        // One buffer, one write: a line never reaches a reader in halves.
        let mut buffer = Vec::new();
        let result = write(&mut buffer).and_then(|()| match &mut self.to {
            To::Stdout => pass(io::stdout().lock(), &buffer),
            To::Stderr => pass(io::stderr().lock(), &buffer),
            To::Stream(file) => pass(file, &buffer),
            To::Whole(whole) => pass(&mut whole.content, &buffer),
        });
        result.map_err(|source| self.error(source))
    }

    /// Puts a file in its place.
    ///
    /// # Errors
    ///
    /// When the file cannot be completed; the one it would replace is as it was.
    pub fn finish(self) -> Result<(), Error> {
        match &self.to {
            To::Whole(whole) => whole.put().map_err(|source| self.error(source)),
            To::Stdout | To::Stderr | To::Stream(_) => Ok(()),
        }
    }

    fn error(&self, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Error::Closed;
        }
        Error::Write {
            name: self.name.clone(),
            source,
        }
    }
}

fn pass(mut out: impl Write, buffer: &[u8]) -> io::Result<()> {
    out.write_all(buffer)?;
    out.flush()
}

fn open(path: &Path, growing: bool) -> io::Result<To> {
    // The file behind a symbolic link is replaced, not the link.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let existing = fs::metadata(&path).ok();
    let special = existing
        .as_ref()
        .is_some_and(|metadata| !metadata.is_file() || metadata.nlink() > 1);
    let mut in_place = OpenOptions::new();
    in_place.write(true).create(true).truncate(true);
    if growing || special {
        return in_place.open(&path).map(To::Stream);
    }
    let mode = match &existing {
        Some(metadata) => {
            // What must not be written must not be replaced either.
            OpenOptions::new().write(true).open(&path)?;
            metadata.permissions().mode() & 0o7777
        }
        None => 0o666 & !umask(),
    };
    let whole = Whole {
        path,
        mode,
        owner: existing.as_ref().map(|file| (file.uid(), file.gid())),
        content: Vec::new(),
    };
    match whole.beside() {
        Ok(_) => Ok(To::Whole(whole)),
        // A writable file in a directory that is not, or of somebody else.
        Err(error) if existing.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
            in_place.open(&whole.path).map(To::Stream)
        }
        Err(error) => Err(error),
    }
}

/// The permissions that new files do not get.
fn umask() -> u32 {
    // The only other way to ask is to change it.
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        })
        .unwrap_or(0o022)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut sink = Sink::file(&path, false).unwrap();
        sink.write(|out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        sink.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn a_file_stays_whose_it_was() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut sink = Sink::file(&path, false).unwrap();
        sink.write(|out| out.write_all(b"new")).unwrap();
        sink.finish().unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321));
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_new_file_has_the_usual_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        Sink::file(&path, false).unwrap().finish().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666 & !umask());
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = Sink::file(&directory.path().join("report"), false).unwrap();
        sink.write(|out| out.write_all(b"half")).unwrap();
        drop(sink);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_leads_to_the_file_that_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut sink = Sink::file(&link, false).unwrap();
        sink.write(|out| out.write_all(b"new")).unwrap();
        sink.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn a_full_disk_is_named() {
        let mut sink = Sink::file(Path::new("/dev/full"), false).unwrap();
        let error = sink.write(|out| out.write_all(b"x")).unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert!(error.remedy().contains("space"));
    }

    #[test]
    fn a_mistake_shows_before_the_trace() {
        let error = Sink::file(Path::new("/no/such/directory/report"), false).unwrap_err();
        let text = "cannot write /no/such/directory/report: No such file or directory (os error 2)";
        assert_eq!(error.to_string(), text);
        assert!(Sink::file(Path::new("/"), false).is_err());
    }
}
