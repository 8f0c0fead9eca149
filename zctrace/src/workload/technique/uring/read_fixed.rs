//! Registered buffers: their pages are pinned once. A buffered read is copied into them all the same.

use std::os::fd::AsRawFd as _;

use anyhow::Result;
use io_uring::{opcode, types::Fd};
use zctrace_common::{Class, Op};

use super::{
    super::{
        super::{Expected, Prepared},
        Job, Ready, Setting, Technique, Variant,
    },
    MOST, cold, quick,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::slots::Slots,
    traffic::uring::ring::{DEPTH, needs},
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-read-fixed",
    "read a file with io_uring into registered buffers",
    Job::ReadFile,
    &[Variant::only("ur-fixed", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[opcode::ReadFixed::CODE])?;
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = cold(setting)?;
    let copied = Class::CopiedToUser;
    let expected =
        Expected::new().moves(Op::UringReadFixed, Fs::Ext4.object(), copied, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let fd = Fd(file.as_raw_fd());
        let mut buffers = Slots::new(DEPTH as usize, pieces.chunk())?;
        let mut ring = quick()?;
        // SAFETY: the buffers outlive the requests, which end before `each` returns, and the
        // registration, which ends with the ring.
        unsafe {
            ring.inner()
                .submitter()
                .register_buffers(&[buffers.whole()])?;
            ring.each(pieces.iter(), |slot, offset, length| {
                let to = buffers.of(slot as usize);
                opcode::ReadFixed::new(fd, to, length as u32, 0)
                    .offset(offset)
                    .build()
            })
        }
    });
    Ok(Ready::new(bytes, prepared))
}
