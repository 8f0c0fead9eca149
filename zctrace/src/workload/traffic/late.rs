//! Sends by reference over TCP that leave the machine as far as their sender knows: to another
//! network namespace, over a device that passes pages on, and over one that does not. There the kernel
//! copies every byte after the call, and again what it sends again.
//!
//! An ordinary send copies first, and the same devices copy that again.
//!
//! Who still has a reference, and who a copy, shows by itself: after the first send, its first byte is
//! changed where it was sent from, before anybody receives it. What is sent again is read again, so it shows nothing.

use std::{fs::File, net::TcpStream, os::fd::AsRawFd as _, os::unix::fs::FileExt as _};

use anyhow::{Result, ensure};
use nix::{
    fcntl::{SpliceFFlags, splice},
    libc,
    sys::{
        sendfile::sendfile,
        socket::{MsgFlags, recv, send},
    },
};
use zctrace_common::{Class, Op};

use super::{
    pipe::roomy_pipe,
    zerocopy::{add_again, allow, and_notifications, count_again, notified, sent_again},
};
use crate::workload::{
    Arena, Expected, ExpectedRow, Group, Prepared, Traffic,
    scene::{mounts::Fs, route::Route, veth::Veth},
    stage::{buffer::Buffer, sockets::enlarge},
    truth::exact::{calls, cut},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "sendfile-sg",
        "sendfile from tmpfs over TCP to another machine: by reference",
        |arena| from_file(arena, Route::Plain),
    )
    .tag("sf-sg"),
    Traffic::new(
        "sendfile-nosg",
        "sendfile from tmpfs over TCP, device without scatter-gather: by reference, copied later",
        |arena| from_file(arena, Route::NotGathering),
    )
    .tag("sf-nosg"),
    Traffic::new(
        "splice-nosg",
        "splice from tmpfs over TCP, device without scatter-gather: by reference, copied later",
        |arena| from_pipe(arena, Route::NotGathering),
    )
    .tag("sp-nosg"),
    Traffic::new(
        "zc-tcp-nosg",
        "MSG_ZEROCOPY over TCP, device without scatter-gather: by reference, copied later",
        |arena| from_memory(arena, Route::NotGathering),
    )
    .tag("zc-t-nosg"),
    Traffic::new(
        "send-sg",
        "send over TCP to another machine: copied once",
        |arena| by_copy(arena, Route::Plain),
    )
    .tag("snd-sg")
    .group(Group::Routes),
    Traffic::new(
        "send-nosg",
        "send over TCP, device without scatter-gather: copied, and again later",
        |arena| by_copy(arena, Route::NotGathering),
    )
    .tag("snd-nosg")
    .group(Group::Routes),
    Traffic::new(
        "send-wireguard",
        "send over TCP, through WireGuard: copied, and again later",
        |arena| by_copy(arena, Route::WireGuard),
    )
    .tag("snd-wg")
    .group(Group::Routes),
    Traffic::new(
        "send-fragmented",
        "send over TCP, through a tunnel, cut into fragments by IP: copied, and again later",
        |arena| by_copy(arena, Route::Fragmenting),
    )
    .tag("snd-frag")
    .group(Group::Routes),
    Traffic::new(
        "sendfile-twice",
        "sendfile from tmpfs over TCP, each packet sent twice: by reference",
        |arena| from_file(arena, Route::Twice),
    )
    .tag("sf-twice")
    .group(Group::Routes),
    Traffic::new(
        "splice-twice",
        "splice from tmpfs over TCP, each packet sent twice: by reference",
        |arena| from_pipe(arena, Route::Twice),
    )
    .tag("sp-twice")
    .group(Group::Routes),
];

/// `sendfile`, `splice` and `MSG_ZEROCOPY` on each of these ways.
macro_rules! on_routes {
    ($($name:literal $tag:literal, $route:ident: $way:literal;)+) => {
        pub(in crate::workload) const ON_ROUTES: &[Traffic] = &[$(
            Traffic::new(
                concat!("sendfile-", $name),
                concat!("sendfile from tmpfs over TCP, ", $way),
                |arena| from_file(arena, Route::$route),
            )
            .tag(concat!("sf-", $tag))
            .group(Group::Routes),
            Traffic::new(
                concat!("splice-", $name),
                concat!("splice from tmpfs over TCP, ", $way),
                |arena| from_pipe(arena, Route::$route),
            )
            .tag(concat!("sp-", $tag))
            .group(Group::Routes),
            Traffic::new(
                concat!("zc-", $name),
                concat!("MSG_ZEROCOPY over TCP, ", $way, "; the other end copies what still borrows pages"),
                |arena| from_memory(arena, Route::$route),
            )
            .tag(concat!("zc-", $tag))
            .group(Group::Routes),
        )+];
    };
}

on_routes! {
    "nogso" "nogso", NotSegmenting: "segmented by the kernel: by reference";
    "nocsum" "nocsum", NotSumming: "device without checksum offload: copied later";
    "macvlan" "macvlan", Macvlan: "a macvlan over a device without scatter-gather: copied later";
    "bridge" "bridge", Bridge: "through a bridge: by reference";
    "queued" "nfq", Queued: "to a program that takes segments (nfqueue): copied later";
    "queuedwhole" "nfq-gso", QueuedWhole: "to a program that takes whole packets (nfqueue): by reference";
    "bridgequeued" "br-nfq", QueuedAtBridge: "through a bridge with such a program: copied later";
    "wireguard" "wg", WireGuard: "through WireGuard: copied later";
    "ipsec" "ipsec", Ipsec: "with IPsec: copied later";
    "macsec" "macsec", Macsec: "with MACsec: copied later";
    "fragmented" "frag", Fragmenting: "through a tunnel, cut into fragments by IP: copied later";
    "xdp" "xdp", Xdp: "to an XDP program that takes packets in pages of their own: copied later";
    "relay" "relay", Tun: "to a program that takes segments from a tun device: copied later";
    "relaywhole" "rel-gso", TunWhole: "to a program that takes whole packets from a tun device: by reference";
}

/// What the first byte becomes after it was sent.
const NEW: u8 = 0xee;

/// Both ends of a connection over the device, which is kept.
pub(super) fn connected(route: Route) -> Result<(Veth, TcpStream, TcpStream)> {
    let (veth, listener) = Veth::apart(route)?;
    enlarge(&listener);
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        enlarge(end);
        end.set_nodelay(true)?;
    }
    Ok((veth, near, far))
}

/// Receives what was sent, and says whether its first byte is what was there when it was sent.
fn receive(far: &TcpStream, to: &mut [u8]) -> Result<bool> {
    let received = recv(far.as_raw_fd(), to, MsgFlags::MSG_WAITALL)?;
    ensure!(received == to.len(), "{received} of {} bytes", to.len());
    Ok(to[0] != NEW)
}

/// Receives what was sent first, whose first byte has been changed since, and checks that it was copied or not before
/// that.
fn receive_first(near: &TcpStream, far: &TcpStream, to: &mut [u8], copied: bool) -> Result<()> {
    let is_old = receive(far, to)?;
    let is_witness = sent_again(near)? == 0;
    ensure!(!is_witness || is_old == copied, "copied: {is_old}");
    Ok(())
}

/// The rows of sends from a file whose first byte is changed, of their receives, and of that change.
fn expected(op: Op, object: &str, bytes: u64, calls: u64, copied: bool) -> Expected {
    let sends = ExpectedRow::new(op, object)
        .ops(calls)
        .class(Class::Spliced, bytes);
    Expected::new()
        .row(sends.deferred(if copied { bytes } else { 0 }))
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, bytes)
}

/// Changes the first byte of a file.
fn change(file: &File) -> Result<()> {
    let written = file.write_at(&[NEW], 0)?;
    ensure!(written == 1, "{written} bytes written");
    Ok(())
}

fn from_file(arena: &Arena, route: Route) -> Result<Prepared> {
    const OBJECT: &str = "file:tmpfs->tcp";
    let (bytes, chunk, shared) = (arena.sizes.bytes, arena.sizes.chunk, arena.shared);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (veth, near, far) = connected(route)?;
    let calls = calls(bytes, chunk);
    let copies = route.copies();
    let expected = expected(Op::Sendfile, OBJECT, bytes, calls, copies).moves(
        Op::Write,
        "file:tmpfs",
        Class::CopiedFromUser,
        1,
        1,
    );
    let mut prepared = Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        for (offset, length) in cut(bytes, chunk) {
            let sent = sendfile(&near, &file, None, length)?;
            ensure!(sent == length, "{sent} of {length} bytes");
            if offset == 0 {
                change(&file)?;
                receive_first(&near, &far, &mut to[..length], copies)?;
            } else {
                receive(&far, &mut to[..length])?;
            }
        }
        if copies {
            count_again(&near, shared)?;
        }
        Ok(())
    });
    prepared.keep.push(Box::new(veth));
    Ok(prepared.finish(move |expected| {
        add_again(expected, Op::Sendfile, OBJECT, shared);
        Ok(())
    }))
}

fn from_pipe(arena: &Arena, route: Route) -> Result<Prepared> {
    const OBJECT: &str = "pipe->tcp";
    let (bytes, chunk, shared) = (arena.sizes.bytes, arena.sizes.chunk, arena.shared);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (out_of, into) = roomy_pipe()?;
    let (veth, near, far) = connected(route)?;
    let calls = calls(bytes, chunk);
    let copies = route.copies();
    let expected = expected(Op::Splice, OBJECT, bytes, calls, copies)
        .moves(Op::Splice, "file:tmpfs->pipe", Class::Spliced, calls, bytes)
        .moves(Op::Write, "file:tmpfs", Class::CopiedFromUser, 1, 1);
    let mut prepared = Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        for (offset, length) in cut(bytes, chunk) {
            let none = SpliceFFlags::empty();
            let taken = splice(&file, None, &into, None, length, none)?;
            let sent = splice(&out_of, None, &near, None, length, none)?;
            ensure!(
                taken == length && sent == length,
                "{taken}, {sent} of {length} bytes"
            );
            if offset == 0 {
                change(&file)?;
                receive_first(&near, &far, &mut to[..length], copies)?;
            } else {
                receive(&far, &mut to[..length])?;
            }
        }
        if copies {
            count_again(&near, shared)?;
        }
        Ok(())
    });
    prepared.keep.push(Box::new(veth));
    Ok(prepared.finish(move |expected| {
        add_again(expected, Op::Splice, OBJECT, shared);
        Ok(())
    }))
}

fn from_memory(arena: &Arena, route: Route) -> Result<Prepared> {
    let (bytes, chunk, shared) = (arena.sizes.bytes, arena.sizes.chunk, arena.shared);
    let (veth, near, far) = connected(route)?;
    allow(&near)?;
    let sends = calls(bytes, chunk);
    let expected = expected(Op::SendZerocopy, "tcp", bytes, sends, true);
    let mut prepared = Prepared::new(expected, move || {
        let mut from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let zerocopy = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
        for (offset, length) in cut(bytes, chunk) {
            let sent = send(near.as_raw_fd(), &from[..length], zerocopy)?;
            ensure!(sent == length, "{sent} of {length} bytes");
            if offset == 0 {
                from[0] = NEW;
                // While the packet waits for the program, nobody has copied it yet.
                if route == Route::QueuedWhole {
                    receive(&far, &mut to[..length])?;
                } else {
                    receive_first(&near, &far, &mut to[..length], true)?;
                }
            } else {
                receive(&far, &mut to[..length])?;
            }
        }
        // Of copies that are made when packets are cut up, the kernel tells on some versions only.
        notified(&near, sends as u32, shared)?;
        count_again(&near, shared)
    });
    prepared.keep.push(Box::new(veth));
    Ok(and_notifications(prepared, "tcp", shared))
}

/// The later copies are nobody's, so no row has them.
fn by_copy(arena: &Arena, route: Route) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (veth, near, far) = connected(route)?;
    let sends = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, sends, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, sends, bytes);
    let mut prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        for (_, length) in cut(bytes, chunk) {
            let sent = send(near.as_raw_fd(), &from[..length], MsgFlags::empty())?;
            ensure!(sent == length, "{sent} of {length} bytes");
            receive(&far, &mut to[..length])?;
        }
        Ok(())
    });
    prepared.keep.push(Box::new(veth));
    Ok(prepared)
}
