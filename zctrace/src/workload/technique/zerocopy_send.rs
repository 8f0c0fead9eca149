//! `MSG_ZEROCOPY`: packets refer to the application's pages. Over loopback the kernel copies them later
//! after all; without `SO_ZEROCOPY` it copies at once.

use std::{
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd as _},
};

use anyhow::Result;
use nix::{
    libc,
    sys::socket::{MsgFlags, send},
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Pieces, Ready, Setting, Technique, Variant,
    receiver::received,
};
use crate::workload::{
    scene::veth::{BEYOND, Veth},
    stage::{
        buffer::Buffer,
        sockets::{enlarge, tcp_pair},
    },
    traffic::zerocopy::{DATAGRAM, allow, and_notifications, count_again, notified},
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "zerocopy-send",
    "send memory with MSG_ZEROCOPY",
    Job::SendMemory,
    &[
        Variant::new(
            "loopback",
            "over TCP to this machine, copied later",
            "zc-send-lo",
            loopback,
        ),
        Variant::new(
            "veth",
            "over UDP to another machine, not copied",
            "zc-send-out",
            out,
        ),
        Variant::new(
            "off",
            "over TCP without SO_ZEROCOPY, copied",
            "zc-send-off",
            off,
        ),
    ],
);

/// Sends that are not yet notified: the kernel bounds them too.
pub(super) const WINDOW: u32 = 16;

pub(super) const ZEROCOPY: MsgFlags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);

/// Sends a buffer over and over, and waits for the notifications now and then.
fn send_all(
    socket: &impl AsFd,
    pieces: Pieces,
    mut wait: impl FnMut(u32) -> Result<()>,
) -> Result<()> {
    let from = Buffer::filled(pieces.chunk())?;
    let fd = socket.as_fd().as_raw_fd();
    let mut under_way = 0;
    let mut failed = Ok(());
    pieces
        .each(|_, length| {
            let sent = send(fd, &from[..length], ZEROCOPY)?;
            under_way += 1;
            if under_way == WINDOW {
                under_way = 0;
                failed = wait(WINDOW);
                if failed.is_err() {
                    return Err(nix::errno::Errno::EIO);
                }
            }
            Ok(sent)
        })
        .or_else(|error| std::mem::replace(&mut failed, Ok(())).and(Err(error)))?;
    wait(under_way)
}

/// Bytes that one send takes in whole.
const MOST: usize = 1 << 20;

fn loopback(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let (near, far) = tcp_pair()?;
    allow(&near)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::SendZerocopy, "tcp")
            .ops(calls)
            .class(Class::Spliced, bytes)
            .deferred(bytes),
    );
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        send_all(&near, pieces, |sends| {
            notified(&near, sends, shared).map(drop)
        })?;
        count_again(&near, shared)
    });
    let prepared = and_notifications(received(prepared, far, bytes), "tcp", shared);
    Ok(Ready::new(bytes, prepared))
}

fn off(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(MOST);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let (near, far) = tcp_pair()?;
    let copied = Class::CopiedFromUser;
    let expected = Expected::new().moves(Op::SendZerocopy, "tcp", copied, calls, bytes);
    let prepared = Prepared::new(expected, move || send_all(&near, pieces, |_| Ok(())));
    Ok(Ready::new(bytes, received(prepared, far, bytes)))
}

fn out(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(DATAGRAM);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let veth = Veth::common()?;
    let near = UdpSocket::bind("0.0.0.0:0")?;
    near.connect(BEYOND)?;
    enlarge(&near);
    allow(&near)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::SendZerocopy, "udp")
            .ops(calls)
            .class(Class::Spliced, bytes),
    );
    let shared = setting.shared;
    let mut prepared = Prepared::new(expected, move || {
        send_all(&near, pieces, |sends| {
            notified(&near, sends, shared).map(drop)
        })
    });
    prepared.keep.push(Box::new(veth));
    Ok(Ready::new(
        bytes,
        and_notifications(prepared, "udp", shared),
    ))
}
