//! `MSG_ZEROCOPY`: pages by reference, where the route can gather them; copied later after all, where
//! they do not leave the machine.

use std::{
    any::Any,
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, recv, send},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    scene::{
        tun::{self, Tun},
        veth::{BEYOND, Veth},
    },
    stage::{
        buffer::Buffer,
        shared::Shared,
        sockets::{enlarge, sendmsg, tcp_pair, udp_pair},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "zc-tcp",
        "MSG_ZEROCOPY over TCP on loopback: by reference, and copied later after all",
        tcp_loopback,
    ),
    Traffic::new(
        "zc-tcp-off",
        "MSG_ZEROCOPY over TCP without SO_ZEROCOPY: the flag is ignored",
        without_option,
    ),
    Traffic::new(
        "zc-udp",
        "MSG_ZEROCOPY over UDP on loopback: by reference, and copied later after all",
        udp_loopback,
    ),
    Traffic::new(
        "zc-udp-out",
        "MSG_ZEROCOPY over UDP to another machine: by reference",
        |arena| out(arena, Path::Open),
    ),
    Traffic::new(
        "zc-captured",
        "MSG_ZEROCOPY over UDP to another machine, with a packet capture: copied for it",
        |arena| out(arena, Path::Captured),
    )
    .tag("zc-capt"),
    Traffic::new(
        "zc-captured-late",
        "MSG_ZEROCOPY over UDP to another machine, with a packet capture that begins halfway: copied from then on",
        |arena| out(arena, Path::CapturedLate),
    )
    .tag("zc-late"),
    Traffic::new(
        "zc-tun",
        "MSG_ZEROCOPY over UDP to a tun device: copied for the program that takes its packets",
        |arena| out(arena, Path::Tun),
    ),
    Traffic::new(
        "zc-stamped",
        "MSG_ZEROCOPY over UDP to another machine, with TX time stamps: copied for them",
        |arena| out(arena, Path::Stamped),
    ),
    Traffic::new(
        "zc-udp-nosg",
        "MSG_ZEROCOPY over UDP to another machine, device without scatter-gather: copied at once",
        |arena| out(arena, Path::NotGathering),
    )
    .tag("zc-nosg"),
];

/// A datagram: it fits into one packet of the devices in use.
pub(in crate::workload) const DATAGRAM: usize = 16_000;

/// A notification of a zero-copy send.
const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
/// The kernel copied.
const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;

const ZEROCOPY: MsgFlags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);

/// Asks for `MSG_ZEROCOPY` to be taken seriously.
pub fn allow(socket: &impl AsFd) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop).context("SO_ZEROCOPY")
}

/// Counter of the receives that took a notification.
const TAKEN: usize = 0;
/// Counter of those that found none.
const EMPTY: usize = 1;

/// Adds the receives that looked for notifications, and what was [sent again](count_again).
pub(in crate::workload) fn and_notifications(
    prepared: Prepared,
    object: &'static str,
    shared: Shared,
) -> Prepared {
    prepared.finish(move |expected| {
        let row = ExpectedRow::new(Op::RecvPeek, object)
            .ops(shared.counted(TAKEN))
            .errors(libc::EAGAIN, shared.counted(EMPTY));
        expected.add(row);
        add_again(expected, Op::SendZerocopy, object, shared);
        Ok(())
    })
}

/// Counter of bytes that were sent again: the kernel copies them again.
const AGAIN: usize = 2;

/// Notes what the kernel has sent again of a connection, once everything has arrived.
pub(in crate::workload) fn count_again(socket: &impl AsFd, shared: Shared) -> Result<()> {
    shared.count(AGAIN, sent_again(socket)?);
    Ok(())
}

/// Adds the copies of what was sent again.
pub(in crate::workload) fn add_again(
    expected: &mut Expected,
    op: Op,
    object: &'static str,
    shared: Shared,
) {
    let again = shared.counted(AGAIN);
    if again > 0 {
        expected.add(ExpectedRow::new(op, object).deferred(again));
    }
}

/// Bytes that the kernel has sent again so far: on a busy machine an acknowledgement can be late.
pub(in crate::workload) fn sent_again(socket: &impl AsFd) -> Result<u64> {
    /// Offset of `tcpi_bytes_retrans` in `struct tcp_info`, part of the interface.
    const BYTES_RETRANS: usize = 208;
    let mut info = [0_u8; 256];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).context("TCP_INFO")?;
    let (bytes, _) = info[BYTES_RETRANS..]
        .split_first_chunk()
        .context("a short tcp_info")?;
    Ok(u64::from_ne_bytes(*bytes))
}

/// Reads notifications until `sends` of them have come; returns how many sends were copied.
pub(in crate::workload) fn notified(socket: &impl AsFd, sends: u32, shared: Shared) -> Result<u32> {
    let patience = PollTimeout::from(20_000_u16);
    let (mut seen, mut copied) = (0, 0);
    while seen < sends {
        let mut message = [PollFd::new(socket.as_fd(), PollFlags::empty())];
        ensure!(
            poll(&mut message, patience)? != 0,
            "{seen} of {sends} notified"
        );
        let Some((range, was_copied)) = notification(socket)? else {
            shared.count(EMPTY, 1);
            continue;
        };
        shared.count(TAKEN, 1);
        seen += range;
        copied += if was_copied { range } else { 0 };
    }
    Ok(copied)
}

/// The next notification: how many sends it stands for, and whether they were copied.
///
/// # Errors
///
/// When the socket's error queue cannot be read, or has something else.
pub fn notification(socket: &impl AsFd) -> Result<Option<(u32, bool)>> {
    #[repr(C)]
    struct Control {
        header: libc::cmsghdr,
        error: libc::sock_extended_err,
        rest: [u8; 64],
    }
    // SAFETY: integers, for which zero is fine.
    let (mut control, mut header): (Control, libc::msghdr) = unsafe { std::mem::zeroed() };
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header and the room it points to outlive the call.
    let result = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
    match Errno::result(result) {
        Ok(_) => {}
        Err(Errno::EAGAIN) => return Ok(None),
        Err(errno) => return Err(errno).context("MSG_ERRQUEUE"),
    }
    if control.header.cmsg_type == libc::SO_TIMESTAMPING {
        return Ok(Some((0, false)));
    }
    let error = control.error;
    ensure!(
        error.ee_origin == SO_EE_ORIGIN_ZEROCOPY,
        "a message of origin {}",
        error.ee_origin
    );
    let copied = error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED != 0;
    Ok(Some((error.ee_data - error.ee_info + 1, copied)))
}

/// The row of sends by reference.
fn by_reference(object: &str, calls: u64, bytes: u64) -> ExpectedRow {
    ExpectedRow::new(Op::SendZerocopy, object)
        .ops(calls)
        .class(Class::Spliced, bytes)
}

fn tcp_loopback(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    allow(&near)?;
    let sends = calls(bytes, chunk);
    let expected = Expected::new()
        .row(by_reference("tcp", 2 * sends, 2 * bytes).deferred(2 * bytes))
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 2 * sends, 2 * bytes);
    let shared = arena.shared;
    let prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            send(near.as_raw_fd(), &from[..length], ZEROCOPY)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })?;
        exactly(bytes, chunk, |_, length| {
            sendmsg(&near, &from[..length], libc::MSG_ZEROCOPY)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })?;
        let copied = notified(&near, 2 * sends as u32, shared)?;
        ensure!(u64::from(copied) == 2 * sends, "{copied} of {sends} copied");
        count_again(&near, shared)
    });
    Ok(and_notifications(prepared, "tcp", shared))
}

fn without_option(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    let sends = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::SendZerocopy, "tcp", Class::CopiedFromUser, sends, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, sends, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            send(near.as_raw_fd(), &from[..length], ZEROCOPY)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })
    }))
}

fn udp_loopback(arena: &Arena) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let (near, far) = udp_pair()?;
    allow(&near)?;
    let sends = calls(bytes, DATAGRAM);
    let expected = Expected::new()
        .row(by_reference("udp", sends, bytes).deferred(bytes))
        .moves(Op::Recv, "udp", Class::CopiedToUser, sends, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(DATAGRAM)?;
        let mut to = Buffer::zeroed(DATAGRAM)?;
        exactly(bytes, DATAGRAM, |_, length| {
            send(near.as_raw_fd(), &from[..length], ZEROCOPY)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::empty())
        })
    }))
}

/// What is on the way out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Open,
    Captured,
    CapturedLate,
    Tun,
    Stamped,
    NotGathering,
}

/// A packet capture of everything in this network namespace.
fn capture() -> Result<OwnedFd> {
    const ETH_P_ALL: u16 = 3;
    // SAFETY: no memory is passed.
    let result = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            ETH_P_ALL.to_be().into(),
        )
    };
    match Errno::result(result) {
        // SAFETY: a descriptor that nobody else has.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(Errno::EAFNOSUPPORT) => {
            Err(Skip("this kernel has no packet sockets (CONFIG_PACKET)".into()).into())
        }
        Err(errno) => Err(errno).context("a packet socket"),
    }
}

/// Asks for a time stamp of each packet when it leaves.
fn stamp(socket: &impl AsFd) -> Result<()> {
    let flags = libc::SOF_TIMESTAMPING_TX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
    // SAFETY: the option is an int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (&raw const flags).cast(),
            size_of_val(&flags) as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop).context("SO_TIMESTAMPING")
}

fn out(arena: &Arena, path: Path) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let (device, beyond): (Box<dyn Any>, _) = match path {
        Path::Tun => (Box::new(Tun::new()?), tun::BEYOND),
        _ => (Box::new(Veth::new(path != Path::NotGathering)?), BEYOND),
    };
    let near = UdpSocket::bind("0.0.0.0:0")?;
    near.connect(beyond)?;
    enlarge(&near);
    allow(&near)?;
    let sends = calls(bytes, DATAGRAM);
    // So many are sent before a capture begins.
    let before = if path == Path::CapturedLate {
        sends / 2
    } else {
        0
    };
    let copied = Class::CopiedFromUser;
    let expected = Expected::new();
    let expected = match path {
        Path::Open => expected.row(by_reference("udp", sends, bytes)),
        Path::NotGathering => expected.moves(Op::SendZerocopy, "udp", copied, sends, bytes),
        Path::Captured | Path::Tun | Path::Stamped => {
            expected.row(by_reference("udp", sends, bytes).deferred(bytes))
        }
        Path::CapturedLate => {
            let deferred = bytes - before * DATAGRAM as u64;
            expected.row(by_reference("udp", sends, bytes).deferred(deferred))
        }
    };
    let other = match path {
        Path::Captured => Some(capture()?),
        Path::Stamped => stamp(&near).map(|()| None)?,
        _ => None,
    };
    let shared = arena.shared;
    let mut prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(DATAGRAM)?;
        let (mut left, mut copied) = (bytes as usize, 0);
        let mut late = None;
        for number in 0..sends {
            if path == Path::CapturedLate && number == before {
                late = Some(capture()?);
            }
            let length = left.min(DATAGRAM);
            let sent = send(near.as_raw_fd(), &from[..length], ZEROCOPY)?;
            ensure!(sent == length, "{sent} of {length} bytes");
            left -= length;
            // Each by itself: two notifications that the kernel makes one can lose that it copied.
            copied += notified(&near, 1, shared)?;
        }
        drop(late);
        let wanted = if path == Path::Open {
            0
        } else {
            sends - before
        };
        ensure!(u64::from(copied) == wanted, "{copied} of {sends} copied");
        Ok(())
    });
    prepared.keep.push(Box::new((device, other)));
    Ok(and_notifications(prepared, "udp", shared))
}
