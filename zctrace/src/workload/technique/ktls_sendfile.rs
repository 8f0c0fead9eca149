//! sendfile over kernel TLS in software: pages of the file are encrypted into other pages, which go
//! into packets. That is no copy more, but every byte is read and rewritten.

use std::{net::Shutdown, os::fd::AsRawFd as _};

use anyhow::Result;
use nix::sys::{
    sendfile::sendfile,
    socket::{MsgFlags, recv},
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{buffer::Buffer, sockets::tcp_pair},
    traffic::ktls::{TLS_TX, encrypt, refused},
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "ktls-sendfile",
    "send a file over kernel TLS with sendfile",
    Job::Serve,
    &[Variant::only("ktls", prepare)],
);

/// Counters: receives at the other end, and the bytes they brought.
const RECEIVES: usize = 0;
const RECEIVED: usize = 1;
/// Bytes of a receive.
const CHUNK: usize = 128 << 10;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.source(Fs::Tmpfs)?;
    let (near, far) = tcp_pair()?;
    encrypt(&near, &[TLS_TX]).map_err(refused)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Sendfile, "file:tmpfs->tcp")
            .ops(calls)
            .class(Class::Spliced, bytes)
            .encrypted(bytes),
    );
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        pieces.each(|offset, length| {
            let mut offset = offset.cast_signed();
            sendfile(&near, &file, Some(&mut offset), length)
        })?;
        near.shutdown(Shutdown::Write)?;
        Ok(())
    })
    // What arrives are records: how long they are is up to the kernel.
    .peer(move || {
        let mut to = Buffer::zeroed(CHUNK)?;
        loop {
            let some = recv(far.as_raw_fd(), &mut to, MsgFlags::MSG_WAITALL)?;
            shared.count(RECEIVES, 1);
            shared.count(RECEIVED, some as u64);
            if some == 0 {
                return Ok(());
            }
        }
    })
    .finish(move |expected| {
        expected.add(
            ExpectedRow::new(Op::Recv, "tcp")
                .ops(shared.counted(RECEIVES))
                .class(Class::CopiedToUser, shared.counted(RECEIVED))
                .of(Prepared::PEER),
        );
        Ok(())
    });
    Ok(Ready::new(bytes, prepared))
}
