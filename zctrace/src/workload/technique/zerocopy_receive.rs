//! `TCP_ZEROCOPY_RECEIVE`: whole pages of packets are mapped, the rest is copied. Sender and receiver
//! are one process; what is sent is by reference, and copied by loopback into pages that can be
//! mapped.

use super::{Job, Ready, Setting, Technique, Variant};
use crate::workload::traffic::zerocopy_receive::{PIECE, over_loopback, pages};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "zerocopy-receive",
    "map received packets with TCP_ZEROCOPY_RECEIVE",
    Job::Receive,
    &[
        Variant::new("aligned", "whole pages", "zc-recv", |setting| {
            received(setting, pages())
        }),
        Variant::new("unaligned", "pages and a piece", "zc-recv-odd", |setting| {
            received(setting, pages() + PIECE)
        }),
    ],
);

fn received(setting: &Setting<'_>, chunk: usize) -> anyhow::Result<Ready> {
    let bytes = setting.parameters.bytes;
    let prepared = over_loopback(bytes, chunk, setting.shared)?;
    Ok(Ready::new(bytes, prepared))
}
