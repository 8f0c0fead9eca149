//! `--cgroup`: the id and depth of a cgroup, and the tasks below it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use super::{Error, View, mounts, view::namespace_inode};

/// `CGROUP2_SUPER_MAGIC`.
const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// Inode number of the initial cgroup namespace, `PROC_CGROUP_INIT_INO`.
const INITIAL_CGROUP_NAMESPACE: u64 = 0xEFFF_FFFB;

/// A cgroup of the v2 hierarchy, as BPF programs recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupTarget {
    /// The kernel's id, which is the inode number of its directory.
    pub id: u64,
    /// How many levels it is below the root; the root is 0.
    pub level: u32,
}

/// A cgroup that was found.
pub(super) struct Found {
    pub(super) target: CgroupTarget,
    pub(super) directory: PathBuf,
    /// Its path below the mount, as `/proc/PID/cgroup` shows it.
    pub(super) path: String,
}

/// Finds the cgroup that the user calls `path`.
pub(super) fn find(path: &Path) -> Result<Found, Error> {
    let own = fs::read_link("/proc/self/ns/cgroup").ok();
    let namespace = own.and_then(|link| namespace_inode(link.to_str()?));
    if namespace.is_some_and(|inode| inode != INITIAL_CGROUP_NAMESPACE) {
        return Err(Error::CgroupNamespace);
    }
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts::of_type(&mountinfo, "cgroup2")
        .into_iter()
        .next()
        .ok_or(Error::NoCgroup2)?;
    let read = |source| Error::Read {
        path: path.into(),
        source,
    };

    let directory = directory(path, &mount, Path::is_dir).ok_or_else(|| {
        let below = below(path, &mount);
        let places = [below.as_path(), path];
        let denied = places
            .into_iter()
            .filter_map(|place| fs::metadata(place).err())
            .find(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let (path, mount) = (path.to_path_buf(), mount.clone());
        match denied {
            Some(source) => Error::Read { path, source },
            None if path_exists(&path) => Error::NotCgroup2 { path, mount },
            None => Error::NoSuchCgroup { path, mount },
        }
    })?;
    // Symbolic links and `..` are resolved first: the level is counted in components.
    let directory = directory.canonicalize().map_err(read)?;
    let not_cgroup2 = || Error::NotCgroup2 {
        path: path.into(),
        mount: mount.clone(),
    };
    let kind = nix::sys::statfs::statfs(&directory)
        .map_err(|errno| read(errno.into()))?
        .filesystem_type();
    if kind.0 != CGROUP2_MAGIC {
        return Err(not_cgroup2());
    }
    let below = directory.strip_prefix(&mount).map_err(|_| not_cgroup2())?;
    Ok(Found {
        target: CgroupTarget {
            id: fs::metadata(&directory).map_err(read)?.ino(),
            level: level(below),
        },
        path: format!("/{}", below.display()),
        directory,
    })
}

/// The cgroup of a systemd unit: `nginx` means `nginx.service`. Its directory bears the unit's name,
/// in whatever slice that is.
///
/// # Errors
///
/// When there is no such cgroup: the unit does not exist, or it is not active.
pub fn unit(name: &str) -> Result<PathBuf, Error> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mounts::of_type(&mountinfo, "cgroup2");
    let mount = mounts.into_iter().next().ok_or(Error::NoCgroup2)?;
    let none = || Error::NoSuchUnit { name: name.into() };
    below_mount(&mount, name).ok_or_else(none)
}

fn below_mount(mount: &Path, name: &str) -> Option<PathBuf> {
    let name = match name.contains('.') {
        true => name.to_owned(),
        false => format!("{name}.service"),
    };
    // Level by level: a unit of the system before one of a user.
    let mut level = vec![mount.to_path_buf()];
    while !level.is_empty() {
        let mut next = Vec::new();
        for directory in level {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                if entry.file_name().to_str() == Some(&name) {
                    return Some(entry.path());
                }
                next.push(entry.path());
            }
        }
        next.sort();
        level = next;
    }
    None
}

fn path_exists(path: &Path) -> bool {
    path.is_absolute() && path.exists()
}

/// Where `path` leads: as it is if that is below the mount, else below the mount, which is how
/// `/proc/PID/cgroup` and systemd write it.
fn directory(path: &Path, mount: &Path, is_dir: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    if path.is_absolute() && path.starts_with(mount) {
        return is_dir(path).then(|| path.into());
    }
    let below = below(path, mount);
    if is_dir(&below) {
        return Some(below);
    }
    // Another mount of the hierarchy, or a mistake that deserves its own message.
    (path.is_absolute() && is_dir(path)).then(|| path.into())
}

fn below(path: &Path, mount: &Path) -> PathBuf {
    let parts = path.components();
    mount.join(PathBuf::from_iter(parts.filter(|part| {
        !matches!(part, Component::RootDir | Component::CurDir)
    })))
}

/// Depth below the root of the hierarchy.
fn level(below: &Path) -> u32 {
    u32::try_from(below.components().count()).unwrap_or(u32::MAX)
}

/// Threads in the cgroup and below, zctrace's own left out.
pub(super) fn tasks(view: &View, directory: &Path) -> Result<BTreeSet<u32>, Error> {
    let mut found = BTreeSet::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let threads = directory.join("cgroup.threads");
        match fs::read_to_string(&threads) {
            Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
            // A cgroup removed while it is read, or one in a state that lists no threads.
            Err(source)
                if matches!(source.raw_os_error(), Some(libc::ENODEV | libc::EOPNOTSUPP)) =>
            {
                continue;
            }
            Err(source) => {
                let path = threads;
                return Err(Error::Read { path, source });
            }
        }
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        pending.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    // The file shows ids of the reader's PID namespace, 0 for those outside of it.
    found.remove(&0);
    for own in super::threads::of_process(view, view.own_pid()) {
        found.remove(&own);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT: &str = "/sys/fs/cgroup";

    fn found(path: &str, directories: &[&str]) -> Option<PathBuf> {
        directory(Path::new(path), Path::new(MOUNT), |path| {
            directories
                .iter()
                .any(|directory| path == Path::new(directory))
        })
    }

    #[test]
    fn every_way_to_write_a_cgroup_leads_there() {
        let nginx = "/sys/fs/cgroup/system.slice/nginx.service";
        for path in [
            nginx,
            "system.slice/nginx.service",
            "/system.slice/nginx.service",
            "./system.slice/nginx.service",
        ] {
            assert_eq!(found(path, &[nginx]), Some(nginx.into()), "{path}");
        }
        assert_eq!(found("/", &["/", MOUNT]), Some(MOUNT.into()));
        assert_eq!(found(MOUNT, &["/", MOUNT]), Some(MOUNT.into()));
        assert_eq!(found("/etc", &["/etc"]), Some("/etc".into()));
        assert_eq!(found("etc", &["/etc"]), None);
        assert_eq!(found("/sys/fs/cgroup/nope", &[]), None);
    }

    #[test]
    fn a_unit_is_found_in_whatever_slice() {
        let mount = tempfile::tempdir().unwrap();
        let nginx = mount.path().join("system.slice/web.slice/nginx.service");
        fs::create_dir_all(&nginx).unwrap();
        fs::create_dir_all(mount.path().join("user.slice/session.scope")).unwrap();
        for name in ["nginx", "nginx.service"] {
            assert_eq!(
                below_mount(mount.path(), name),
                Some(nginx.clone()),
                "{name}"
            );
        }
        assert!(below_mount(mount.path(), "session.scope").is_some());
        assert_eq!(below_mount(mount.path(), "session"), None);
        assert_eq!(below_mount(mount.path(), "web"), None);
    }

    #[test]
    fn levels_are_counted_from_the_root() {
        assert_eq!(level(Path::new("")), 0);
        assert_eq!(level(Path::new("system.slice")), 1);
        assert_eq!(level(Path::new("system.slice/nginx.service")), 2);
    }

    #[test]
    fn a_directory_that_is_no_cgroup_is_refused() {
        match find(Path::new("/etc")) {
            Err(Error::NotCgroup2 { .. } | Error::NoCgroup2 | Error::CgroupNamespace) => {}
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("/etc was taken for a cgroup"),
        }
    }

    #[test]
    fn the_root_has_level_zero() {
        // Where the hierarchy is mounted and visible.
        if let Ok(found) = find(Path::new("/")) {
            assert_eq!(found.target.level, 0);
            assert_eq!(found.path, "/");
            let tasks = tasks(&View::detect().unwrap(), &found.directory).unwrap();
            assert!(!tasks.contains(&std::process::id()));
        }
    }
}
