//! The other end of a TCP connection: takes everything in.

use std::{net::TcpStream, os::fd::AsRawFd as _};

use anyhow::Result;
use nix::sys::socket::{MsgFlags, recv};
use zctrace_common::{Class, Op};

use super::super::{ExpectedRow, Prepared};
use crate::workload::{
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

/// Bytes per call: what iperf3 uses too.
const CHUNK: usize = 128 << 10;

/// Adds a process that receives `bytes`, and its truth.
pub(super) fn received(prepared: Prepared, far: TcpStream, bytes: u64) -> Prepared {
    let mut prepared = prepared.peer(move || {
        let mut to = Buffer::zeroed(CHUNK)?;
        receive(&far, &mut to, bytes)
    });
    prepared.expected.add(row(calls(bytes, CHUNK), bytes));
    prepared
}

/// Receives `bytes`, in full buffers.
pub(super) fn receive(from: &TcpStream, to: &mut [u8], bytes: u64) -> Result<()> {
    let chunk = to.len();
    exactly(bytes, chunk, |_, length| {
        recv(from.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
    })
}

/// The truth about the process that receives.
pub(super) fn row(calls: u64, bytes: u64) -> ExpectedRow {
    ExpectedRow::new(Op::Recv, "tcp")
        .ops(calls)
        .class(Class::CopiedToUser, bytes)
        .of(Prepared::PEER)
}
