//! The first write to a file of a lower layer of overlayfs: all of it is copied to the upper layer
//! first. That happens when the file is opened, which is no I/O operation, so the copies stand in the
//! row of those that no operation reports; the time it takes is told as well.

use std::fs;

use anyhow::{Result, ensure};
use nix::unistd::write;
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Figure, Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{scene::mounts::Fs, stage::shared::now};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "overlay-copyup",
    "write a byte to a file of a lower layer of overlayfs",
    Job::Modify,
    &[Variant::only("copyup", prepare)],
);

const NANOSECONDS: usize = 0;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let length = setting.parameters.length();
    let mount = setting.arena.mount(Fs::Overlay)?;
    let lower = mount.lower().join("file");
    setting.arena.fill_file(&lower, length)?;
    let path = mount.path().join("file");
    let shared = setting.shared;
    let copied = ExpectedRow::new(Op::CopyUp, "file:overlay");
    let expected = Expected::new()
        .moves(Op::Write, "file:overlay", Class::CopiedFromUser, 1, 1)
        .row(copied.ops(1).recopied(length).needs_functions());
    let mut prepared = Prepared::new(expected, move || {
        let begin = now();
        let file = fs::File::options().write(true).open(&path)?;
        shared.count(NANOSECONDS, now() - begin);
        ensure!(write(&file, b"x")? == 1, "nothing written");
        Ok(())
    });
    prepared.keep.push(Box::new(mount));
    Ok(Ready::new(length, prepared)
        .figures(move || vec![Figure::count("open_ns", shared.counted(NANOSECONDS))]))
}
