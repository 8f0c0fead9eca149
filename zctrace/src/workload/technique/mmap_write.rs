//! A mapped file is written to a socket: the copy into a buffer is saved, the one to the socket
//! is not.

use anyhow::Result;
use nix::{sys::mman::MapFlags, unistd::write};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Ready, Setting, Technique, Variant,
    receiver::received,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{
        mapping::{Mapping, page_size},
        sockets::tcp_pair,
    },
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "mmap-write",
    "write a mapped file to a TCP connection",
    Job::Serve,
    &[Variant::only("mmap-write", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let pages = setting.pages();
    let file = setting.source(Fs::Tmpfs)?;
    let (near, far) = tcp_pair()?;
    let mut expected = Expected::new().moves(Op::Write, "tcp", Class::CopiedFromUser, calls, bytes);
    if pages > 0 {
        // One fault makes several pages visible, how many is the kernel's choice; and the memory
        // shared with the parent is on a tmpfs too.
        let mapped = ExpectedRow::new(Op::FaultMap, "file:tmpfs")
            .ops(1)
            .class(Class::Mapped, (pages * page_size()) as u64)
            .at_least();
        expected.add(mapped);
    }
    let prepared = Prepared::new(expected, move || {
        if pages == 0 {
            return Ok(());
        }
        let mut mapping = Mapping::of_file(&file, pages, MapFlags::MAP_SHARED)?;
        let bytes = &*mapping.bytes_mut();
        pieces.each(|offset, length| write(&near, &bytes[offset as usize..][..length]))
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}
