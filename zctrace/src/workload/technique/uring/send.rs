//! Plain sends: copied into packets, as by the system call.

use std::{net::TcpStream, os::fd::AsRawFd as _};

use anyhow::Result;
use io_uring::{opcode, types::Fd};
use nix::libc;
use zctrace_common::{Class, Op};

use super::{
    super::{
        super::{Expected, Prepared},
        Job, Pieces, Ready, Setting, Technique, Variant,
        receiver::received,
    },
    MOST, in_order,
};
use crate::workload::{
    stage::{buffer::Buffer, sockets::tcp_pair},
    traffic::uring::ring::{Issue, Ring, needs},
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-send",
    "send memory with io_uring",
    Job::SendMemory,
    &[Variant::only("ur-send", |setting| {
        prepare(setting, Issue::Inline)
    })],
);

pub(super) fn prepare(setting: &Setting<'_>, issue: Issue) -> Result<Ready> {
    needs(&[opcode::Send::CODE])?;
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let (near, far) = tcp_pair()?;
    let copied = Class::CopiedFromUser;
    let expected = Expected::new().moves(Op::UringSend, "tcp", copied, calls, bytes);
    let prepared = Prepared::new(expected, move || {
        send_all(&mut Ring::new(issue)?, &near, pieces)
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}

fn send_all(ring: &mut Ring, to: &TcpStream, pieces: Pieces) -> Result<()> {
    let from = Buffer::filled(pieces.chunk())?;
    let fd = Fd(to.as_raw_fd());
    // SAFETY: the buffer outlives the requests, which end before `in_order` returns.
    unsafe {
        in_order(ring, pieces, 1, |(_, length), requests| {
            // Without the flag a send ends when the socket has no more room.
            let send = opcode::Send::new(fd, from.as_ptr(), length as u32).flags(libc::MSG_WAITALL);
            requests.push((send.build(), length));
        })
    }
}
