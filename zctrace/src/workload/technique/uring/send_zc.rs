//! Zero-copy sends: packets refer to the application's pages until a notification gives them back.
//! Over loopback the kernel copies them later after all.

use std::{
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd as _},
};

use anyhow::Result;
use io_uring::{opcode, types::Fd};
use nix::libc;
use zctrace_common::{Class, Op};

use super::{
    super::{
        super::{Expected, ExpectedRow, Prepared},
        Job, Pieces, Ready, Setting, Technique, Variant,
        receiver::received,
    },
    in_order,
};
use crate::workload::{
    scene::veth::{BEYOND, Veth},
    stage::{
        buffer::Buffer,
        sockets::{enlarge, tcp_pair},
    },
    traffic::{
        uring::ring::{Issue, Ring, needs},
        zerocopy::{DATAGRAM, add_again, count_again},
    },
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-send-zc",
    "send memory with io_uring's zero-copy send",
    Job::SendMemory,
    &[
        Variant::new(
            "loopback",
            "over TCP to this machine, copied later",
            "ur-zc-lo",
            loopback,
        ),
        Variant::new(
            "veth",
            "over UDP to another machine, not copied",
            "ur-zc-out",
            out,
        ),
    ],
);

/// Bytes that one send takes in whole.
const MOST: usize = 1 << 20;

fn loopback(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[opcode::SendZc::CODE])?;
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let (near, far) = tcp_pair()?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::UringSendZc, "tcp")
            .ops(calls)
            .class(Class::Spliced, bytes)
            .deferred(bytes),
    );
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        send_all(&near, pieces)?;
        count_again(&near, shared)
    })
    .finish(move |expected| {
        add_again(expected, Op::UringSendZc, "tcp", shared);
        Ok(())
    });
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}

fn out(setting: &Setting<'_>) -> Result<Ready> {
    needs(&[opcode::SendZc::CODE])?;
    let pieces = setting.parameters.pieces(DATAGRAM);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let veth = Veth::common()?;
    let near = UdpSocket::bind("0.0.0.0:0")?;
    near.connect(BEYOND)?;
    enlarge(&near);
    let expected = Expected::new().moves(Op::UringSendZc, "udp", Class::Spliced, calls, bytes);
    let mut prepared = Prepared::new(expected, move || send_all(&near, pieces));
    prepared.keep.push(Box::new(veth));
    Ok(Ready::new(bytes, prepared))
}

fn send_all(to: &impl AsFd, pieces: Pieces) -> Result<()> {
    let from = Buffer::filled(pieces.chunk())?;
    let fd = Fd(to.as_fd().as_raw_fd());
    let mut ring = Ring::new(Issue::Inline)?;
    // SAFETY: the buffer outlives the requests and their notifications, which come before `in_order`
    // returns.
    unsafe {
        in_order(&mut ring, pieces, 1, |(_, length), requests| {
            let send =
                opcode::SendZc::new(fd, from.as_ptr(), length as u32).flags(libc::MSG_WAITALL);
            requests.push((send.build(), length));
        })
    }
}
