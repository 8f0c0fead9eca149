//! A multishot receive: submitted once, it completes whenever something has come, in a buffer that
//! the kernel takes out of a ring. What came is copied there.

use anyhow::Result;
use io_uring::opcode;
use nix::sys::socket::{MsgFlags, send};
use std::os::fd::AsRawFd as _;
use zctrace_common::{Class, Op};

use super::super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    stage::{buffer::Buffer, sockets::tcp_pair},
    traffic::uring::{
        provided::received,
        ring::{Issue, needs},
    },
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-recv-ring",
    "receive with io_uring into a ring of buffers",
    Job::Receive,
    &[Variant::only("ur-ring", prepare)],
);

/// Bytes of a buffer of the ring, of which there are several.
const MOST: usize = 16 << 20;
const SOURCE: &str = "source";
/// Counters: completions with bytes, and others.
const OPS: usize = 0;
const UNBUFFERED: usize = 1;
const CANCELLED: usize = 2;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[opcode::Recv::CODE])?;
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let (near, far) = tcp_pair()?;
    let sent = ExpectedRow::new(Op::Send, "tcp")
        .ops(calls)
        .class(Class::CopiedFromUser, bytes)
        .of(SOURCE);
    let shared = setting.shared;
    let prepared = Prepared::new(Expected::new().row(sent), move || {
        let taken = received(&far, Issue::Inline, bytes, pieces.chunk())?;
        shared.count(OPS, taken.ops);
        shared.count(UNBUFFERED, taken.unbuffered);
        shared.count(CANCELLED, taken.cancelled);
        Ok(())
    })
    .beside(SOURCE, move || {
        let from = Buffer::filled(pieces.chunk())?;
        pieces.each(|_, length| send(near.as_raw_fd(), &from[..length], MsgFlags::empty()))
    })
    .finish(move |expected| {
        expected.add(
            ExpectedRow::new(Op::UringRecv, "tcp")
                .ops(shared.counted(OPS))
                .errors(libc::ENOBUFS, shared.counted(UNBUFFERED))
                .errors(libc::ECANCELED, shared.counted(CANCELLED))
                .class(Class::CopiedToUser, bytes),
        );
        Ok(())
    });
    Ok(Ready::new(bytes, prepared))
}
