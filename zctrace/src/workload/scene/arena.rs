//! The place where families do their work, and the sizes they do it with.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs::{self, File, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use zctrace_common::Evidence;

use super::{
    huge_pages::give_back_stale,
    isolation::Isolation,
    mounts::{Fs, Mount},
    stale::stale_of,
};
use crate::{
    text::message::say,
    workload::{
        Skip,
        stage::{buffer::fill, shared::Shared},
    },
};

const PREFIX: &str = "zctrace-traffic-";

/// How much a family does.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Bytes per technique.
    pub bytes: u64,
    /// Bytes per call.
    pub chunk: usize,
    /// Operations of the families that count operations.
    pub ops: u64,
}

impl Default for Sizes {
    /// Odd numbers, so that no call begins and ends at a page.
    fn default() -> Self {
        Self {
            bytes: 2 * 1024 * 1024 + 224,
            chunk: 65_543,
            ops: 10_000_000,
        }
    }
}

/// A run directory with filesystems mounted on demand; all of it disappears with the arena.
pub struct Arena {
    /// How much to do.
    pub sizes: Sizes,
    /// Memory shared with the children.
    pub shared: Shared,
    isolation: Isolation,
    mounts: RefCell<HashMap<Fs, Result<Mount, String>>>,
    mounted: Cell<u32>,
    // Last: the mounts are below it.
    directory: RunDirectory,
}

impl Arena {
    /// Makes the run directory, and removes those of runs that died.
    ///
    /// As root, this moves the calling thread into a mount and a network namespace of its own.
    pub fn new(sizes: Sizes) -> Result<Self> {
        remove_stale(&std::env::temp_dir());
        give_back_stale(&std::env::temp_dir());
        let directory = RunDirectory::new()?;
        let isolation = Isolation::new(&directory.0)?;
        Ok(Self {
            sizes,
            shared: Shared::new()?,
            isolation,
            mounts: RefCell::default(),
            mounted: Cell::default(),
            directory,
        })
    }

    /// Where temporary files that are not of a chosen filesystem go.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// A directory on `fs`, mounted now or earlier.
    pub fn fs(&self, fs: Fs) -> Result<PathBuf> {
        if let Some(mount) = self.mounts.borrow().get(&fs) {
            return match mount {
                Ok(mount) => Ok(mount.path().to_owned()),
                Err(reason) => Err(Skip(reason.clone()).into()),
            };
        }
        let mount = self
            .isolation
            .mounts_allowed()
            .and_then(|()| Mount::new(fs, &self.directory.0));
        let (known, answer) = match mount {
            Ok(mount) => {
                let path = mount.path().to_owned();
                (Ok(mount), Ok(path))
            }
            // What this machine cannot do now, it cannot do for the next family either.
            Err(error) => match error.downcast::<Skip>() {
                Ok(Skip(reason)) => (Err(reason.clone()), Err(Skip(reason).into())),
                Err(error) => return Err(error.context(format!("mounting {}", fs.name()))),
            },
        };
        self.mounts.borrow_mut().insert(fs, known);
        answer
    }

    /// `fs`, mounted for the caller alone.
    pub fn mount(&self, fs: Fs) -> Result<Mount> {
        self.mount_below(&self.directory.0, fs)
    }

    /// An overlay over two directories of `fs`, mounted for the caller alone.
    pub fn overlay_on(&self, fs: Fs) -> Result<Mount> {
        self.mount_below(&self.fs(fs)?, Fs::Overlay)
    }

    fn mount_below(&self, parent: &Path, fs: Fs) -> Result<Mount> {
        self.isolation.mounts_allowed()?;
        let number = self.mounted.get();
        self.mounted.set(number + 1);
        let directory = parent.join(format!("mount-{number}"));
        fs::create_dir(&directory)?;
        Mount::new(fs, &directory)
    }

    /// A new file of `length` pattern bytes.
    pub fn fill_file(&self, path: &Path, length: u64) -> Result<File> {
        create(path, length, 0).with_context(|| format!("{} of {length} bytes", path.display()))
    }

    /// The evidence that direct I/O on `fs` can have: the page cache is bypassed on a loop device
    /// too, but a CPU copies below; and btrfs has devices of its own, which cannot be seen.
    #[must_use]
    pub fn direct_evidence(&self, fs: Fs) -> Evidence {
        if fs == Fs::Btrfs {
            return Evidence::Inferred;
        }
        match self.mounts.borrow().get(&fs) {
            Some(Ok(mount)) if mount.is_disk() => Evidence::Measured,
            _ => Evidence::Inferred,
        }
    }

    /// An unnamed file of `length` pattern bytes on `fs`, in the page cache and on the disk, its
    /// position at 0.
    pub fn file(&self, fs: Fs, length: u64) -> Result<File> {
        self.file_with(fs, length, 0)
    }

    /// An unnamed empty file on `fs`.
    pub fn empty_file(&self, fs: Fs) -> Result<File> {
        self.file(fs, 0)
    }

    /// [`Arena::file`] opened with more flags, for example `O_DIRECT`.
    pub fn file_with(&self, fs: Fs, length: u64, flags: i32) -> Result<File> {
        unnamed(&self.fs(fs)?, length, flags)
            .with_context(|| format!("a file of {length} bytes on {}", fs.name()))
    }

    /// [`Arena::file`] on a filesystem that is mounted for the caller alone.
    pub fn file_on(&self, mount: &Mount, length: u64) -> Result<File> {
        unnamed(mount.path(), length, 0)
            .with_context(|| format!("a file of {length} bytes in {}", mount.path().display()))
    }

    /// A file of `length` pattern bytes on `fs` that is made once and read by several families.
    pub fn common_file(&self, fs: Fs, length: u64, flags: i32) -> Result<File> {
        let path = self.fs(fs)?.join(format!("common-{length}"));
        if path.exists() {
            return Ok(open(&path, flags)?);
        }
        create(&path, length, flags)
            .with_context(|| format!("a file of {length} bytes on {}", fs.name()))
    }
}

fn unnamed(directory: &Path, length: u64, flags: i32) -> Result<File> {
    let path = directory.join("traffic");
    let file = create(&path, length, flags);
    // Nobody needs the name, and the space comes back with the last descriptor.
    let _ = fs::remove_file(&path);
    file
}

fn create(path: &Path, length: u64, flags: i32) -> Result<File> {
    let mut file = File::create_new(path)?;
    let mut block = vec![0; 1 << 20];
    fill(&mut block);
    let mut left = length;
    while left > 0 {
        let some = left.min(block.len() as u64);
        file.write_all(&block[..some as usize])?;
        left -= some;
    }
    // So that no writeback is under way while the family runs.
    file.sync_all()?;
    Ok(open(path, flags)?)
}

fn open(path: &Path, flags: i32) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
}

/// Drops a synced file's pages, so that the next read is from the disk.
pub fn evict(file: &File) -> Result<()> {
    posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).context("evicting a file")
}

struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Its name cannot be guessed, so that nobody can take it beforehand.
    fn new() -> Result<Self> {
        let parent = std::env::temp_dir();
        let directory = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}.", process::id()))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .with_context(|| format!("making a directory in {}", parent.display()))?;
        Ok(Self(directory.keep()))
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // As root a tmpfs of our own lies over it, which goes with the mount namespace.
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
        if let Err(error) = fs::remove_dir_all(&self.0) {
            say(&format!(
                "warning: {} is left over: {error}",
                self.0.display()
            ));
        }
    }
}

/// Removes the run directories of processes that are gone.
fn remove_stale(parent: &Path) {
    for (path, metadata) in stale_of(parent, PREFIX) {
        if metadata.is_dir() {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_dead_processes_are_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let names = [
            // Larger than any pid.
            (format!("{PREFIX}999999999"), false),
            (format!("{PREFIX}999999999.xyz"), false),
            (format!("{PREFIX}{}", process::id()), true),
            (format!("{PREFIX}x"), true),
            ("other-999999999".to_owned(), true),
        ];
        for (name, _) in &names {
            fs::create_dir(parent.path().join(name)).expect("a directory");
        }
        remove_stale(parent.path());
        for (name, stays) in &names {
            assert_eq!(parent.path().join(name).exists(), *stays, "{name}");
        }
    }
}
