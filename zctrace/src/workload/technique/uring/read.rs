//! A buffered read is copied out of the page cache, whoever asks for it.

use anyhow::Result;
use zctrace_common::{Class, Op};

use super::{
    super::{
        super::{Expected, Prepared},
        Job, Ready, Setting, Technique, Variant,
    },
    MOST, cold, quick, read,
};
use crate::workload::{scene::mounts::Fs, traffic::uring::ring::needs};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-read",
    "read a file with io_uring",
    Job::ReadFile,
    &[Variant::only("ur-read", prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[])?;
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = cold(setting)?;
    let copied = Class::CopiedToUser;
    let expected = Expected::new().moves(Op::UringRead, Fs::Ext4.object(), copied, calls, bytes);
    let prepared = Prepared::new(expected, move || read(&mut quick()?, &file, pieces, 1));
    Ok(Ready::new(bytes, prepared))
}
