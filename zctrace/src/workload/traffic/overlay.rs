//! overlayfs copies a file of a lower layer up when it is opened for writing, all of it: copies that
//! no operation reports.

use std::{
    fs::{self, Permissions},
    os::{
        fd::AsRawFd as _,
        unix::fs::{PermissionsExt as _, chown},
    },
    path::Path,
    time::SystemTime,
};

use anyhow::{Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::eventfd::EventFd,
    unistd::{truncate, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{Arena, Expected, ExpectedRow, Prepared, Traffic, scene::mounts::Fs};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "overlay-copy-up",
        "a byte written to a file of a lower layer of overlayfs: all of it is copied first",
        |arena| copy_up(arena, false),
    )
    .tag("copy-up"),
    Traffic::new(
        "overlay-copy-up-quiet",
        "the same, but the next call after the copy does nothing that a site would see",
        |arena| copy_up(arena, true),
    )
    .tag("up-quiet"),
    Traffic::new(
        "overlay-copy-up-attributes",
        "files of a lower layer of overlayfs of which something else than the bytes is changed",
        attributes,
    )
    .tag("up-attr"),
];

/// A call that changes something of a file.
type Change = fn(&Path) -> Result<()>;

/// What makes overlayfs copy a file up, besides opening it for writing.
const CHANGES: &[Change] = &[
    |path| Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?),
    |path| Ok(chown(path, Some(1), None)?),
    |path| Ok(fs::File::open(path)?.set_modified(SystemTime::UNIX_EPOCH)?),
    |path| Ok(fs::rename(path, path.with_extension("renamed"))?),
    |path| Ok(fs::hard_link(path, path.with_extension("linked"))?),
    |path| Ok(truncate(path, 1)?),
    set_flags,
];

/// What `chattr` does. Whether the upper layer takes the flag is known after the copy.
fn set_flags(path: &Path) -> Result<()> {
    let no_dump: libc::c_int = 0x40;
    let file = fs::File::open(path)?;
    // SAFETY: the kernel reads an integer.
    let result =
        unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const no_dump) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn attributes(arena: &Arena) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let mount = arena.mount(Fs::Overlay)?;
    let mut paths = Vec::new();
    for number in 0..CHANGES.len() {
        let name = format!("file-{number}");
        arena.fill_file(&mount.lower().join(&name), bytes)?;
        paths.push(mount.path().join(name));
    }
    let files = paths.len() as u64;
    let copied = ExpectedRow::new(Op::CopyUp, "file:overlay");
    let expected = Expected::new().row(copied.ops(files).recopied(files * bytes).needs_functions());
    let mut prepared = Prepared::new(expected, move || {
        for (change, path) in CHANGES.iter().zip(&paths) {
            change(path)?;
        }
        Ok(())
    });
    prepared.keep.push(Box::new(mount));
    Ok(prepared)
}

fn copy_up(arena: &Arena, quiet: bool) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let mount = arena.mount(Fs::Overlay)?;
    arena.fill_file(&mount.lower().join("file"), bytes)?;
    let path = mount.path().join("file");
    let copied = ExpectedRow::new(Op::CopyUp, "file:overlay");
    let mut expected = Expected::new()
        .moves(Op::Write, "file:overlay", Class::CopiedFromUser, 1, 1)
        .row(copied.ops(1).recopied(bytes).needs_functions());
    if quiet {
        expected.add(ExpectedRow::new(Op::Write, "file:anon_inodefs").errors(libc::EINVAL, 1));
    }
    let mut prepared = Prepared::new(expected, move || {
        let event = EventFd::new()?;
        let file = fs::File::options().write(true).open(&path)?;
        if quiet {
            let refused = event.write(u64::MAX);
            ensure!(refused == Err(Errno::EINVAL), "eventfd: {refused:?}");
        }
        ensure!(write(&file, b"x")? == 1, "nothing written");
        Ok(())
    });
    prepared.keep.push(Box::new(mount));
    Ok(prepared)
}
