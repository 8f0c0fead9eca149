//! Where a report goes: a stream, or a file that is complete or not there.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, IsTerminal as _, Seek as _, Write},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag},
    sys::{
        signal::{
            SigSet,
            SigmaskHow::{SIG_BLOCK, SIG_SETMASK},
            pthread_sigmask,
        },
        stat::Mode,
    },
    unistd::{AccessFlags, access, linkat},
};
use tempfile::NamedTempFile;

use super::style::Surface;
use crate::text::named_file::{self, directory_of};

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
    /// A file in the same directory, without a name where the filesystem has such.
    fn beside(&self) -> io::Result<Draft> {
        let directory = directory_of(&self.path);
        // Asked first, because `tempfile` speaks of a file that the user never chose.
        access(directory, AccessFlags::W_OK | AccessFlags::X_OK)?;
        let draft = Draft::new(directory)?;
        let file = draft.file();
        // Before the mode: a change of owner takes the set-user-id bit away.
        if let Some((user, group)) = self.owner {
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (user, group) {
                fchown(file, Some(user), Some(group))?;
            }
        }
        file.set_permissions(Permissions::from_mode(self.mode))?;
        Ok(draft)
    }

    fn put(&self) -> io::Result<()> {
        let draft = self.beside()?;
        let mut file = draft.file();
        file.write_all(&self.content)?;
        // A full disk can show as late as this.
        file.sync_all()?;
        draft.put(&self.path)
    }
}

/// A file that is not in its place yet.
enum Draft {
    /// The kernel removes it if zctrace is killed.
    Nameless(File),
    /// For filesystems that do not have the other kind.
    Named(NamedTempFile),
}

impl Draft {
    /// What the names of drafts begin with.
    const PREFIX: &str = ".zctrace-";

    fn new(directory: &Path) -> io::Result<Self> {
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        match nix::fcntl::open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => Ok(Self::Nameless(file.into())),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT) => {
                let named = NamedTempFile::with_prefix_in(Self::PREFIX, directory);
                named.map(Self::Named)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn file(&self) -> &File {
        match self {
            Self::Nameless(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// Gives it its name, and so replaces what had it.
    fn put(self, path: &Path) -> io::Result<()> {
        let file = match self {
            Self::Nameless(file) => file,
            Self::Named(file) => return Ok(file.persist(path).map(drop)?),
        };
        let link = |path: &Path| {
            let from = format!("/proc/self/fd/{}", file.as_raw_fd());
            linkat(
                AT_FDCWD,
                from.as_str(),
                AT_FDCWD,
                path,
                AtFlags::AT_SYMLINK_FOLLOW,
            )
        };
        match link(path) {
            Ok(()) => return Ok(()),
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // A name can only be replaced by another name, which must not be left over: signals wait.
        let mut before = SigSet::empty();
        pthread_sigmask(SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
        let put = tempfile::Builder::new()
            .prefix(Self::PREFIX)
            .make_in(directory_of(path), |draft| {
                link(draft).map_err(io::Error::from)
            })
            .and_then(|draft| Ok(draft.into_temp_path().persist(path)?));
        pthread_sigmask(SIG_SETMASK, Some(&before), None)?;
        put
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
            To::Stream(file) => append(file, &buffer),
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

/// All of it or, in a file, nothing: a disk that fills up does not leave half a line.
fn append(file: &mut File, buffer: &[u8]) -> io::Result<()> {
    let metadata = file.metadata()?;
    let length = metadata.is_file().then(|| file.stream_position());
    let written = pass(&mut *file, buffer);
    if written.is_err()
        && let Some(Ok(length)) = length
    {
        // It is the first error that is told.
        let _ = file.set_len(length);
    }
    written
}

fn pass(mut out: impl Write, buffer: &[u8]) -> io::Result<()> {
    out.write_all(buffer)?;
    out.flush()
}

fn open(path: &Path, growing: bool) -> io::Result<To> {
    // The file behind a symbolic link is replaced, not the link.
    let resolved = named_file::resolve(path)?;
    let path = resolved.path();
    let existing = fs::metadata(path).ok();
    let special = existing
        .as_ref()
        .is_some_and(|metadata| !metadata.is_file() || metadata.nlink() != 1);
    if growing || special {
        return resolved.open(true).map(To::Stream);
    }
    let mode = match &existing {
        Some(metadata) => {
            // What must not be written must not be replaced either.
            OpenOptions::new().write(true).open(path)?;
            metadata.permissions().mode() & 0o7777
        }
        None => named_file::mode(),
    };
    let whole = Whole {
        path: path.to_owned(),
        mode,
        owner: existing.as_ref().map(|file| (file.uid(), file.gid())),
        content: Vec::new(),
    };
    match whole.beside() {
        Ok(_) => Ok(To::Whole(whole)),
        // A writable file in a directory that is not, or of somebody else.
        Err(error) if existing.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
            resolved.open(true).map(To::Stream)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use nix::{
        fcntl::{FcntlArg, SealFlag, fcntl},
        sys::memfd::{MFdFlags, memfd_create},
    };

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
    fn a_new_file_is_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        for growing in [false, true] {
            let path = directory.path().join(format!("new-{growing}"));
            Sink::file(&path, growing).unwrap().finish().unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_named_draft_is_put_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        for content in ["first", "second"] {
            let draft = NamedTempFile::with_prefix_in(Draft::PREFIX, directory.path()).unwrap();
            draft.as_file().write_all(content.as_bytes()).unwrap();
            Draft::Named(draft).put(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_lines() {
        const PAGE: usize = 4096;
        // A file that must not grow takes part of what goes beyond its end, as a full disk does.
        let file = memfd_create("full", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        let mut file = File::from(file);
        file.set_len(PAGE as u64).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
        let whole = [b'x'; PAGE - 6];
        append(&mut file, &whole).unwrap();
        let error = append(&mut file, b"half a line\n").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        assert_eq!(file.metadata().unwrap().len(), whole.len() as u64);
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
        let error = Sink::file(Path::new("/"), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write /: Is a directory (os error 21)"
        );
    }
}
