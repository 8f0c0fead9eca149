//! Files that a user names: where reports and recordings go, and where policies and settings come from.
//!
//! zctrace runs as root, in directories that others can write to. It therefore keeps the kernel's own
//! rules for links and files there (`fs.protected_symlinks`, `fs.protected_hardlinks`, `fs.protected_regular`
//! and `fs.protected_fifos`), wherever they are switched off.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::unistd::geteuid;

/// Permissions of new files. Reports name processes and what they do, which is nobody else's business.
static MODE: AtomicU32 = AtomicU32::new(0o600);

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// A sticky directory that others can write to.
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;

/// Sets the permissions that new files get.
pub fn set_mode(mode: u32) {
    MODE.store(mode, Ordering::Relaxed);
}

/// The permissions that new files get.
#[must_use]
pub fn mode() -> u32 {
    MODE.load(Ordering::Relaxed)
}

/// A file to write to, looked up and found harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    path: PathBuf,
    /// It is a link of procfs to a file that has no name, such as `/dev/stdout` of a pipeline.
    is_nameless: bool,
}

/// The file that `path` stands for, behind its symbolic links. It need not exist.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] where another user has put a link or a file into a directory that
/// everybody can write to; any error of the system.
pub fn resolve(path: &Path) -> io::Result<Resolved> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let directory = directory_of(&path);
        let is_planted = is_foreign(&metadata, &fs::metadata(directory)?);
        if metadata.is_symlink() {
            if is_planted {
                return Err(denied(
                    "another user's link in a directory that all can write to",
                ));
            }
            let next = directory.join(fs::read_link(&path)?);
            if fs::symlink_metadata(&next).is_err() && fs::metadata(&path).is_ok() {
                return Ok(Resolved {
                    path,
                    is_nameless: true,
                });
            }
            path = next;
            continue;
        }
        if is_planted && !metadata.is_dir() && !is_device(&metadata) {
            return Err(denied(
                "another user's file in a directory that all can write to",
            ));
        }
        // Another user can have given it this name, where `fs.protected_hardlinks` is switched off.
        if metadata.is_file() && metadata.nlink() > 1 && is_shared(&fs::metadata(directory)?) {
            return Err(denied(
                "a file with another name in a directory that all can write to",
            ));
        }
        break;
    }
    if path.is_symlink() {
        return Err(io::Error::from_raw_os_error(libc::ELOOP));
    }
    Ok(Resolved {
        path,
        is_nameless: false,
    })
}

impl Resolved {
    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it to write to, and makes it if it does not exist. A link that was put there since is not
    /// followed.
    ///
    /// # Errors
    ///
    /// Any error of the system.
    pub fn open(&self, truncate: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(truncate);
        options.mode(mode());
        if !self.is_nameless {
            options.custom_flags(libc::O_NOFOLLOW);
        }
        options.open(&self.path)
    }
}

fn is_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    kind.is_char_device() || kind.is_block_device() || kind.is_socket()
}

fn denied(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Whether somebody who is neither this user nor the directory's owner has put this there.
fn is_foreign(metadata: &Metadata, directory: &Metadata) -> bool {
    is_shared(directory)
        && metadata.uid() != geteuid().as_raw()
        && metadata.uid() != directory.uid()
}

/// Whether everybody can put something there.
fn is_shared(directory: &Metadata) -> bool {
    let shared = STICKY | OTHERS_WRITE;
    directory.mode() & shared == shared
}

/// The directory that a file is in.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The text of a regular file of at most `most` bytes. A pipe, which could be waited for without end, is
/// refused.
///
/// # Errors
///
/// When it is something else, is too long, or cannot be read.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    limited(file, most)
}

/// The text of a stream, if it has at most `most` bytes.
///
/// # Errors
///
/// When it is too long or cannot be read.
pub fn limited(from: impl io::Read, most: u64) -> io::Result<String> {
    let mut text = String::new();
    from.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other("it is too long"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    /// A directory like /tmp.
    fn shared() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        directory
    }

    #[test]
    fn a_link_of_ones_own_is_followed() {
        let directory = shared();
        let (link, far) = (directory.path().join("link"), directory.path().join("far"));
        symlink("far", &link).unwrap();
        assert_eq!(resolve(&link).unwrap().path(), far);
        symlink(&link, &far).unwrap();
        let error = resolve(&link).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn what_another_user_has_planted_is_refused() {
        if !geteuid().is_root() {
            println!("SKIP: what_another_user_has_planted_is_refused: needs root");
            return;
        }
        let directory = shared();
        let (link, file) = (directory.path().join("link"), directory.path().join("file"));
        symlink("/etc/passwd", &link).unwrap();
        fs::write(&file, "").unwrap();
        for path in [&link, &file] {
            resolve(path).unwrap();
            std::os::unix::fs::lchown(path, Some(1234), None).unwrap();
            let error = resolve(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        }
        // Nobody else can write to a directory without these bits.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        resolve(&link).unwrap();
        resolve(&file).unwrap();
        // What the owner of the directory puts there is the owner's business.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        chown(directory.path(), Some(1234), None).unwrap();
        resolve(&link).unwrap();
    }

    #[test]
    fn a_file_with_another_name_is_refused_where_all_can_write() {
        let (shared, own) = (shared(), tempfile::tempdir().unwrap());
        let secret = own.path().join("secret");
        fs::write(&secret, "").unwrap();
        resolve(&secret).unwrap();
        let planted = shared.path().join("planted");
        fs::write(&planted, "").unwrap();
        resolve(&planted).unwrap();
        fs::hard_link(&planted, shared.path().join("other")).unwrap();
        let error = resolve(&planted).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        // Nobody else puts a name into a directory of one's own.
        fs::hard_link(&secret, own.path().join("other")).unwrap();
        resolve(&secret).unwrap();
    }

    #[test]
    fn a_link_that_came_after_the_look_is_not_followed() {
        let directory = shared();
        let path = resolve(&directory.path().join("report")).unwrap();
        symlink("/dev/null", path.path()).unwrap();
        let error = path.open(true).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_pipe_without_a_name_is_written_to() {
        use std::{io::Write as _, os::fd::AsRawFd as _};
        let (mut from, to) = io::pipe().unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", to.as_raw_fd()));
        let mut file = resolve(&path).unwrap().open(true).unwrap();
        file.write_all(b"x").unwrap();
        drop((file, to));
        assert_eq!(io::read_to_string(&mut from).unwrap(), "x");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let error = read_text(&path, 10).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
    }

    #[test]
    fn a_text_has_a_bound() {
        assert_eq!(limited(&b"12345"[..], 5).unwrap(), "12345");
        let error = limited(&b"123456"[..], 5).unwrap_err();
        assert_eq!(error.to_string(), "it is too long");
    }
}
