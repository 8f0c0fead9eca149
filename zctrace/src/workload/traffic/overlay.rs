//! overlayfs copies a file of a lower layer up when it is opened for writing, all of it: copies that
//! no operation reports.

use std::fs;

use anyhow::{Result, ensure};
use nix::{errno::Errno, sys::eventfd::EventFd, unistd::write};
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
];

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
