//! `O_DIRECT` reads by io_uring: past the page cache, and several under way at once.

use anyhow::Result;
use nix::libc;
use zctrace_common::{Class, Op};

use super::{
    super::{
        super::{Expected, ExpectedRow, Prepared},
        Job, Ready, Setting, Technique, Variant,
        direct_read::aligned,
    },
    MOST, quick, read,
};
use crate::workload::{
    scene::{arena::evict, mounts::Fs},
    stage::mapping::page_size,
    traffic::uring::ring::needs,
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-direct",
    "read a file with io_uring and O_DIRECT",
    Job::ReadFile,
    &[Variant::only("ur-direct", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[])?;
    let parameters = aligned(setting.parameters);
    let pieces = parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let arena = setting.arena;
    let file = arena.common_file(Fs::Ext4, parameters.length(), libc::O_DIRECT)?;
    evict(&file)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::UringRead, Fs::Ext4.object())
            .ops(calls)
            .class(Class::Direct, bytes)
            .evidence(arena.direct_evidence(Fs::Ext4)),
    );
    let prepared = Prepared::new(expected, move || {
        read(&mut quick()?, &file, pieces, page_size())
    });
    Ok(Ready::new(bytes, prepared))
}
