//! Operations that end otherwise than asked: short, failed, interrupted, empty, huge.

mod again;
mod empty;
mod eof;
mod exec;
mod forked;
mod holes;
mod huge;
mod killed;
mod last;
mod partial;
mod short;
mod synced;
mod threads;
mod wasted;

pub use crate::workload::traffic::awkward::exec::resume;

use std::fs::File;

use anyhow::Result;
use nix::sys::uio::pread;
use zctrace_common::{Class, Op};

use crate::workload::{
    ExpectedRow, Traffic,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

/// Every awkward family.
pub(in crate::workload) const TRAFFIC: &[&[Traffic]] = &[
    partial::TRAFFIC,
    eof::TRAFFIC,
    again::TRAFFIC,
    short::TRAFFIC,
    wasted::TRAFFIC,
    empty::TRAFFIC,
    huge::TRAFFIC,
    holes::TRAFFIC,
    synced::TRAFFIC,
    killed::TRAFFIC,
    exec::TRAFFIC,
    threads::TRAFFIC,
    forked::TRAFFIC,
    last::TRAFFIC,
];

/// Reads all `bytes` of a file so many times.
fn read_all(file: &File, bytes: u64, chunk: usize, times: u64) -> Result<()> {
    let mut to = Buffer::zeroed(chunk)?;
    for _ in 0..times {
        exactly(bytes, chunk, |offset, length| {
            pread(file, &mut to[..length], offset.cast_signed())
        })?;
    }
    Ok(())
}

/// What [`read_all`] of a file in memory is in the ledger.
fn reads(bytes: u64, chunk: usize, times: u64) -> ExpectedRow {
    ExpectedRow::new(Op::Read, "file:tmpfs")
        .ops(times * calls(bytes, chunk))
        .class(Class::CopiedToUser, times * bytes)
}
