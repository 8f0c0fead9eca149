//! Zero-copy receive: a network device puts the payload of packets into the application's memory. It
//! must split headers off for that, which no virtual device does, and another machine must send. Without
//! a device the kernel copies (`ZCRX_REG_NODEV`), which is what runs here.

use std::os::fd::AsRawFd as _;

use anyhow::Result;
use nix::sys::socket::{MsgFlags, send};
use zctrace_common::{Class, Op};

use super::super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    stage::{buffer::Buffer, sockets::tcp_pair},
    traffic::uring::zcrx::Receiver,
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-recv-zc",
    "receive with io_uring's zero-copy receive",
    Job::Receive,
    &[Variant::only("ur-recv-zc", prepare)],
);

/// Less than the memory that packets are received into.
const MOST: usize = 1 << 20;
const SOURCE: &str = "source";

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    drop(Receiver::new(None)?);
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let (near, far) = tcp_pair()?;
    let expected = Expected::new()
        .row(
            ExpectedRow::new(Op::Send, "tcp")
                .ops(calls)
                .class(Class::CopiedFromUser, bytes)
                .of(SOURCE),
        )
        // As many operations as times that something had come.
        .row(
            ExpectedRow::new(Op::UringRecvZc, "tcp")
                .ops(1)
                .class(Class::CopiedToUser, bytes)
                .at_least()
                .needs_functions(),
        );
    let prepared = Prepared::new(expected, move || {
        let mut receiver = Receiver::new(None)?;
        receiver.begin(far.as_raw_fd())?;
        for (_, length) in pieces.iter() {
            receiver.take(length)?;
        }
        Ok(())
    })
    .beside(SOURCE, move || {
        let from = Buffer::filled(pieces.chunk())?;
        pieces.each(|_, length| send(near.as_raw_fd(), &from[..length], MsgFlags::empty()))
    });
    Ok(Ready::new(bytes, prepared))
}
