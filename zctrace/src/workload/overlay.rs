//! overlayfs copies a file of a lower layer up when it is opened for writing, all of it: copies that
//! no operation reports.

use std::fs;

use anyhow::{Result, ensure};
use nix::unistd::write;
use zctrace_common::{Class, Op};

use super::{Arena, Expected, ExpectedRow, Prepared, Traffic, mounts::Fs};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "overlay-copy-up",
    "a byte written to a file of a lower layer of overlayfs: all of it is copied first",
    copy_up,
)
.tag("copy-up")];

fn copy_up(arena: &Arena) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let mount = arena.mount(Fs::Overlay)?;
    arena.fill_file(&mount.lower().join("file"), bytes)?;
    let path = mount.path().join("file");
    let copied = ExpectedRow::new(Op::Kernel, "unknown");
    let expected = Expected::new()
        .moves(Op::Write, "file:overlay", Class::CopiedFromUser, 1, 1)
        .row(copied.ops(1).recopied(bytes).needs_functions());
    let mut prepared = Prepared::new(expected, move || {
        let file = fs::File::options().write(true).open(&path)?;
        ensure!(write(&file, b"x")? == 1, "nothing written");
        Ok(())
    });
    prepared.keep.push(Box::new(mount));
    Ok(prepared)
}
