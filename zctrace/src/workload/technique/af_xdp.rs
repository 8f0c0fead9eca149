//! AF_XDP in copy mode.

use anyhow::Result;

use super::{super::Skip, Job, Ready, Setting, Technique, Variant};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "af-xdp",
    "receive frames with AF_XDP in copy mode",
    Job::Receive,
    &[Variant::only("af-xdp", prepare)],
);

fn prepare(_: &Setting<'_>) -> Result<Ready> {
    Err(Skip("not yet observed".to_owned()).into())
}
