//! `TCP_ZEROCOPY_RECEIVE`: whole pages of packets are mapped, the rest is copied.
//!
//! Packets over loopback have mappable pages if each holds just one: with a segment size of a page,
//! sent with `MSG_ZEROCOPY`, so that the kernel puts a copy into a page of its own.

use std::{
    net::{TcpListener, TcpStream},
    num::NonZeroUsize,
    os::fd::AsRawFd as _,
    ptr::NonNull,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::{
        mman::{MapFlags, ProtFlags, mmap, munmap},
        socket::{MsgFlags, recv, send, setsockopt, sockopt},
    },
};
use zctrace_common::{Class, Op};

use super::zerocopy::{add_again, allow, count_again};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    stage::{
        buffer::Buffer,
        mapping::page_size,
        shared::Shared,
        sockets::{enlarge, wait_for},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "zc-receive",
    "TCP_ZEROCOPY_RECEIVE: pages mapped, the rest copied into the buffer beside",
    prepare,
)];

/// What makes them ragged.
pub(in crate::workload) const PIECE: usize = 100;

/// Counters: what the receives said.
const RECEIVES: usize = 0;
const MAPPED: usize = 1;
// 2 is that of `count_again`.
const COPIED: usize = 5;
/// Receives without it, where it says that it cannot go on, and their bytes.
const PLAIN_CALLS: usize = 3;
const PLAIN: usize = 4;

/// A page and the time stamp option.
fn segment() -> u32 {
    page_size() as u32 + 12
}

/// Bytes of a send, in whole pages.
pub(in crate::workload) fn pages() -> usize {
    16 * page_size()
}

fn prepare(arena: &Arena) -> Result<Prepared> {
    over_loopback(arena.sizes.bytes, pages() + PIECE, arena.shared)
}

/// Sends `bytes` in pieces of `chunk`, and receives them.
pub(in crate::workload) fn over_loopback(
    bytes: u64,
    chunk: usize,
    shared: Shared,
) -> Result<Prepared> {
    let (near, far) = pair()?;
    allow(&near)?;
    let sends = calls(bytes, chunk);
    // A packet of a page and the option is a copy of one page.
    let expected = Expected::new().row(
        ExpectedRow::new(Op::SendZerocopy, "tcp")
            .ops(sends)
            .class(Class::Spliced, bytes)
            .deferred(bytes),
    );
    let prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut beside = Buffer::zeroed(chunk)?;
        let window = Window::new(&far)?;
        let flags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
        exactly(bytes, chunk, |_, length| {
            send(near.as_raw_fd(), &from[..length], flags)?;
            let mut left = length;
            while left > 0 {
                // All that is to come is there, so that no receive ends early.
                wait_for(&far, left)?;
                readable(&far)?;
                let received = window.receive(&far, &mut beside[..page_size()])?;
                let (mapped, copied) = (received.length as usize, received.copied as usize);
                shared.count(RECEIVES, 1);
                shared.count(MAPPED, mapped as u64);
                shared.count(COPIED, copied as u64);
                left -= mapped + copied;
                let skip = (received.skip as usize).min(left);
                if skip > 0 {
                    let some = recv(far.as_raw_fd(), &mut beside[..skip], MsgFlags::MSG_WAITALL)?;
                    shared.count(PLAIN_CALLS, 1);
                    shared.count(PLAIN, some as u64);
                    left -= some;
                }
            }
            Ok(length)
        })?;
        ensure!(
            shared.counted(MAPPED) > 0 || bytes < pages() as u64,
            "nothing could be mapped"
        );
        count_again(&near, shared)
    });
    Ok(prepared.finish(move |expected| {
        add_again(expected, Op::SendZerocopy, "tcp", shared);
        expected.add(
            ExpectedRow::new(Op::RecvZerocopy, "tcp")
                .ops(shared.counted(RECEIVES))
                .class(Class::Mapped, shared.counted(MAPPED))
                .class(Class::CopiedToUser, shared.counted(COPIED)),
        );
        if shared.counted(PLAIN_CALLS) > 0 {
            expected.add(
                ExpectedRow::new(Op::Recv, "tcp")
                    .ops(shared.counted(PLAIN_CALLS))
                    .class(Class::CopiedToUser, shared.counted(PLAIN)),
            );
        }
        Ok(())
    }))
}

/// A connection over loopback with segments of a page.
fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    enlarge(&listener);
    setsockopt(&listener, sockopt::TcpMaxSeg, &segment()).context("TCP_MAXSEG")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        enlarge(end);
        end.set_nodelay(true)?;
    }
    Ok((near, far))
}

/// Waits until a socket has what [`wait_for`] asked for.
fn readable(socket: &TcpStream) -> nix::Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    poll(
        &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
        PollTimeout::NONE,
    )
    .map(drop)
}

/// `struct tcp_zerocopy_receive`, as far as it is used here.
#[repr(C)]
#[derive(Default)]
struct Receive {
    address: u64,
    length: u32,
    skip: u32,
    queued: u32,
    error: i32,
    beside: u64,
    copied: i32,
    flags: u32,
}

/// The memory that pages are mapped into.
struct Window(NonNull<libc::c_void>);

impl Window {
    fn length() -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add(64 * page_size() - 1)
    }

    fn new(socket: &TcpStream) -> Result<Self> {
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let address = unsafe {
            mmap(
                None,
                Self::length(),
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                socket,
                0,
            )
        };
        Ok(Self(address.context("mapping a socket")?))
    }

    /// Maps what can be mapped; copies less than `beside` into it.
    fn receive(&self, socket: &TcpStream, beside: &mut [u8]) -> nix::Result<Receive> {
        const TCP_ZEROCOPY_RECEIVE: libc::c_int = 35;
        let mut receive = Receive {
            address: self.0.as_ptr() as u64,
            length: Self::length().get() as u32,
            beside: beside.as_mut_ptr() as u64,
            copied: beside.len() as i32,
            ..Receive::default()
        };
        let mut size = size_of::<Receive>() as libc::socklen_t;
        // SAFETY: the structure and the buffer it points to outlive the call; the window is mapped
        // from this socket.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                TCP_ZEROCOPY_RECEIVE,
                (&raw mut receive).cast(),
                &raw mut size,
            )
        };
        Errno::result(result)?;
        Ok(receive)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; nobody else has the address.
        let _ = unsafe { munmap(self.0, Self::length().get()) };
    }
}
