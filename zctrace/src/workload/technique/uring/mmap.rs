//! Buffers that are the mapping of another file: what is read is in that file, and whoever maps it
//! has it, by one copy and without a write.

use std::os::fd::AsRawFd as _;

use anyhow::Result;
use io_uring::{opcode, types::Fd};
use nix::sys::mman::MapFlags;
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
    stage::mapping::{Mapping, page_size},
    traffic::uring::ring::{DEPTH, needs},
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-mmap",
    "read a file with io_uring into mapped buffers",
    Job::ReadFile,
    &[Variant::only("ur-mmap", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[])?;
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = cold(setting)?;
    let target = setting.arena.empty_file(Fs::Tmpfs)?;
    let pages_each = pieces.chunk().div_ceil(page_size());
    let pages = pages_each * DEPTH as usize;
    target.set_len((pages * page_size()) as u64)?;
    let copied = Class::CopiedToUser;
    let expected = Expected::new().moves(Op::UringRead, Fs::Ext4.object(), copied, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        let shared = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        let mut mapping = Mapping::of_file(&target, pages, shared)?;
        let fd = Fd(file.as_raw_fd());
        let mut ring = quick()?;
        // SAFETY: the mapping outlives the requests, which end before `each` returns.
        unsafe {
            ring.each(pieces.iter(), |slot, offset, length| {
                let start = slot as usize * pages_each * page_size();
                let to = mapping.bytes_mut()[start..][..length].as_mut_ptr();
                opcode::Read::new(fd, to, length as u32)
                    .offset(offset)
                    .build()
            })
        }
    });
    Ok(Ready::new(bytes, prepared))
}
