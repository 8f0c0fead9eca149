//! A buffered write is copied into the page cache, whoever asks for it.

use std::os::fd::AsRawFd as _;

use anyhow::Result;
use io_uring::{opcode, types::Fd};
use zctrace_common::{Class, Op};

use super::{
    super::{
        super::{Expected, Prepared},
        Job, Ready, Setting, Technique, Variant,
    },
    MOST,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::slots::Slots,
    traffic::uring::ring::{DEPTH, Issue, Ring, needs},
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-write",
    "write a file with io_uring",
    Job::WriteFile,
    &[Variant::only("ur-write", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[])?;
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.arena.empty_file(Fs::Ext4)?;
    let copied = Class::CopiedFromUser;
    let expected = Expected::new().moves(Op::UringWrite, Fs::Ext4.object(), copied, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let fd = Fd(file.as_raw_fd());
        let mut buffers = Slots::new(DEPTH as usize, pieces.chunk())?;
        let mut ring = Ring::new(Issue::Inline)?;
        // SAFETY: the buffers outlive the requests, which end before `each` returns.
        unsafe {
            ring.each(pieces.iter(), |slot, offset, length| {
                let from = buffers.of(slot as usize);
                opcode::Write::new(fd, from, length as u32)
                    .offset(offset)
                    .build()
            })
        }
    });
    Ok(Ready::new(bytes, prepared))
}
