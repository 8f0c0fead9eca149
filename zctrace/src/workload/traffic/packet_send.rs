//! Transmit rings of packet sockets: frames over the loopback device, out of a ring.

use std::{
    cell::Cell,
    fs::{self, File},
    mem::offset_of,
    os::fd::AsRawFd,
    sync::atomic::Ordering::SeqCst,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc::{self, tpacket2_hdr},
    sys::{
        mman::MapFlags,
        socket::{MsgFlags, recv},
    },
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::packet_socket::{self, ETHER_TYPE, set, word},
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
    },
    truth::exact::calls,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "packet-send-raw",
        "frames out of the transmit ring of a packet socket: their header is copied",
        |arena| unheard(arena, Layout::raw()),
    )
    .tag("psend-raw"),
    Traffic::new(
        "packet-send-dgram",
        "the same without a header: nothing is copied",
        |arena| unheard(arena, Layout::dgram()),
    )
    .tag("psend-dgram"),
    Traffic::new(
        "packet-send-vnet",
        "the same where the application asks for a longer header (PACKET_VNET_HDR)",
        |arena| unheard(arena, Layout::vnet()),
    )
    .tag("psend-vnet"),
    Traffic::new(
        "packet-send-skipped",
        "the same with frames that are skipped (PACKET_LOSS)",
        skipped,
    )
    .tag("psend-skip"),
    Traffic::new(
        "packet-send-heard",
        "frames out of a transmit ring to a receiver on this machine: most kernels copy them on their way",
        heard,
    )
    .tag("psend-heard"),
];

const OBJECT: &str = "socket:packet";
const SLOTS: usize = 8;
/// Where a frame begins in its place: `TPACKET2_HDRLEN` less the address that is not there.
const START: usize = size_of::<tpacket2_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
/// Length of the header of a frame on the loopback device.
const HEADER: usize = 14;
/// What is to be copied, where the application says so.
const ASKED: usize = 1000;

/// Length of a frame: it crosses from one page to another, where a page is not longer than the loopback device's
/// longest frame.
fn frame_length() -> usize {
    page_size().min(16 << 10) + 1905
}

/// The place of a frame in the ring.
fn slot_length() -> usize {
    2 * page_size()
}

/// `struct virtio_net_hdr`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct VnetHeader {
    flags: u8,
    gso_type: u8,
    header_length: u16,
    gso_size: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

/// How frames lie in a ring, and what the kernel makes of them.
#[derive(Clone, Copy)]
struct Layout {
    kind: i32,
    /// What is before each frame.
    before: Option<VnetHeader>,
    /// Bytes of each frame that are copied.
    copied: usize,
}

impl Layout {
    const fn raw() -> Self {
        Self {
            kind: libc::SOCK_RAW,
            before: None,
            copied: HEADER,
        }
    }

    const fn dgram() -> Self {
        Self {
            kind: libc::SOCK_DGRAM,
            before: None,
            copied: 0,
        }
    }

    const fn vnet() -> Self {
        Self {
            kind: libc::SOCK_RAW,
            before: Some(VnetHeader {
                flags: 0,
                gso_type: 0,
                header_length: ASKED as u16,
                gso_size: 0,
                checksum_start: 0,
                checksum_offset: 0,
            }),
            copied: ASKED,
        }
    }

    /// What the sends add up to that take so many frames out of the ring and send some of them.
    fn row(self, taken: u64, frames: u64) -> ExpectedRow {
        ExpectedRow::new(Op::Send, OBJECT)
            .ops(calls(taken, SLOTS))
            .class(Class::CopiedFromUser, frames * self.copied as u64)
            .class(
                Class::Spliced,
                frames * (frame_length() - self.copied) as u64,
            )
    }
}

fn unheard(arena: &Arena, layout: Layout) -> Result<Prepared> {
    let frames = calls(arena.sizes.bytes, frame_length());
    let expected = Expected::new().row(layout.row(frames, frames));
    Ok(Prepared::new(expected, move || {
        let ring = Ring::new(layout)?;
        batches(frames, |batch| ring.send(batch, 0))
    }))
}

/// Frames are written over when they are sent. A receiver that finds the old bytes has got a copy, which most kernels
/// make because the pages still belong to the ring. Others let the receiver refer to them.
fn heard(arena: &Arena) -> Result<Prepared> {
    /// Counter: bytes that were copied on their way.
    const LATER: usize = 0;
    let layout = Layout::raw();
    let frames = calls(arena.sizes.bytes, frame_length());
    let bytes = frames * frame_length() as u64;
    let copied = Class::CopiedToUser;
    let expected = Expected::new().moves(Op::Recv, OBJECT, copied, frames, bytes);
    let receiver = packet_socket::open(libc::SOCK_RAW, ETHER_TYPE)?;
    let shared = arena.shared;
    Ok(Prepared::new(expected, move || {
        let ring = Ring::new(layout)?;
        let mut to = Buffer::zeroed(frame_length())?;
        let new = Buffer::zeroed(frame_length())?;
        batches(frames, |batch| {
            ring.send(batch, libc::MSG_DONTWAIT)?;
            // The kernel copies a frame when it delivers it, which can be after the call.
            arrived(&receiver, batch as u64)?;
            ring.write_over(&new);
            for _ in 0..batch {
                let received = recv(receiver.as_raw_fd(), &mut to, MsgFlags::empty())?;
                ensure!(received == frame_length(), "{received} bytes received");
                if to[HEADER..] == ring.frame[HEADER..] {
                    shared.count(LATER, (frame_length() - HEADER) as u64);
                } else {
                    ensure!(to[HEADER..] == new[HEADER..], "a frame of both");
                }
                ensure!(to[..HEADER] == ring.frame[..HEADER], "another header");
            }
            Ok(())
        })
    })
    .finish(move |expected| {
        let later = shared.counted(LATER);
        expected.add(layout.row(frames, frames).deferred(later));
        Ok(())
    }))
}

/// Waits until as many frames are in a receiver's queue (`packet_rcv` counts them last).
fn arrived(receiver: &impl AsRawFd, frames: u64) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(10);
    let begin = Instant::now();
    let mut seen = 0;
    while seen < frames {
        ensure!(begin.elapsed() < LIMIT, "{seen} of {frames} frames arrived");
        // SAFETY: a plain C struct for which all zeros are a value.
        let mut counted: libc::tpacket_stats = unsafe { std::mem::zeroed() };
        let mut size = size_of_val(&counted) as libc::socklen_t;
        // SAFETY: a buffer of the size that is given.
        Errno::result(unsafe {
            libc::getsockopt(
                receiver.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counted).cast(),
                &raw mut size,
            )
        })?;
        ensure!(counted.tp_drops == 0, "frames were dropped");
        // Reading the counters clears them.
        seen += u64::from(counted.tp_packets);
        thread::yield_now();
    }
    Ok(())
}

/// Every other frame asks for what the kernel does not know. Some kernels notice it only when the packet is complete,
/// and then have no function that sees which packets leave: nothing is known about the others there.
fn skipped(arena: &Arena) -> Result<Prepared> {
    const UNKNOWN_GSO: u8 = 0x7f;
    let layout = Layout::vnet();
    let frames = calls(arena.sizes.bytes, frame_length()).next_multiple_of(SLOTS as u64 / 2);
    let symbols = fs::read_to_string("/proc/kallsyms").context("/proc/kallsyms")?;
    let row = if symbols.lines().any(|line| line.ends_with(" packet_xmit")) {
        layout.row(2 * frames, frames)
    } else {
        ExpectedRow::new(Op::Send, OBJECT)
            .ops(calls(2 * frames, SLOTS))
            .class(Class::Unexplained, frames * frame_length() as u64)
    };
    Ok(Prepared::new(Expected::new().row(row), move || {
        let ring = Ring::new(layout)?;
        batches(2 * frames, |batch| {
            for slot in 0..batch {
                let gso_type = if slot % 2 == 1 { UNKNOWN_GSO } else { 0 };
                let before = layout
                    .before
                    .map(|before| VnetHeader { gso_type, ..before });
                ring.put(slot, before)?;
            }
            ring.flush(batch / 2, 0)
        })
    }))
}

/// As many frames at a time as the ring holds.
fn batches(frames: u64, mut each: impl FnMut(usize) -> Result<()>) -> Result<()> {
    let mut left = frames;
    while left > 0 {
        let batch = left.min(SLOTS as u64) as usize;
        each(batch)?;
        left -= batch as u64;
    }
    Ok(())
}

/// A packet socket that sends out of a ring.
struct Ring {
    socket: File,
    layout: Layout,
    memory: Mapping,
    frame: Buffer,
    next: Cell<usize>,
}

impl Ring {
    fn new(layout: Layout) -> Result<Self> {
        let socket = packet_socket::open(layout.kind, 0)?;
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set(&socket, libc::PACKET_VERSION, &version).context("PACKET_VERSION")?;
        set(&socket, libc::PACKET_LOSS, &1).context("PACKET_LOSS")?;
        if layout.before.is_some() {
            set(&socket, libc::PACKET_VNET_HDR, &1).context("PACKET_VNET_HDR")?;
        }
        let slots = libc::tpacket_req {
            tp_block_size: slot_length() as u32,
            tp_block_nr: SLOTS as u32,
            tp_frame_size: slot_length() as u32,
            tp_frame_nr: SLOTS as u32,
        };
        set(&socket, libc::PACKET_TX_RING, &slots).context("PACKET_TX_RING")?;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        let memory = Mapping::of_file(&socket, SLOTS * slot_length() / page_size(), flags)?;
        let mut frame = Buffer::filled(frame_length())?;
        if layout.kind == libc::SOCK_RAW {
            frame[..12].fill(0);
            frame[12..HEADER].copy_from_slice(&ETHER_TYPE.to_be_bytes());
        }
        Ok(Self {
            socket,
            layout,
            memory,
            frame,
            next: Cell::new(0),
        })
    }

    /// Sends so many frames.
    fn send(&self, frames: usize, flags: i32) -> Result<()> {
        for _ in 0..frames {
            let slot = self.next.replace((self.next.get() + 1) % SLOTS);
            self.put(slot, self.layout.before)?;
        }
        self.flush(frames, flags)
    }

    /// Writes a frame into the ring.
    fn put(&self, slot: usize, before: Option<VnetHeader>) -> Result<()> {
        let slot = slot * slot_length();
        let status = word(&self.memory, slot + offset_of!(tpacket2_hdr, tp_status));
        ensure!(
            status.load(SeqCst) == libc::TP_STATUS_AVAILABLE,
            "a frame that is still under way"
        );
        let ahead = before.map_or(0, |before| size_of_val(&before));
        let length = word(&self.memory, slot + offset_of!(tpacket2_hdr, tp_len));
        length.store((ahead + frame_length()) as u32, SeqCst);
        // SAFETY: within the slot, which is ours until the status says otherwise.
        unsafe {
            let to = self.memory.address().add(slot + START);
            if let Some(before) = before {
                to.cast::<VnetHeader>().write_unaligned(before);
            }
            let to = to.add(ahead);
            self.frame
                .as_ptr()
                .copy_to_nonoverlapping(to, frame_length());
        }
        status.store(libc::TP_STATUS_SEND_REQUEST, SeqCst);
        Ok(())
    }

    /// Writes over all frames.
    fn write_over(&self, bytes: &[u8]) {
        for slot in 0..SLOTS {
            // SAFETY: within the mapping, and behind the header of a frame.
            unsafe {
                let to = self.memory.address().add(slot * slot_length() + START);
                bytes.as_ptr().copy_to_nonoverlapping(to, bytes.len());
            }
        }
    }

    /// Sends what is in the ring. Without `MSG_DONTWAIT` it waits until a receiver has taken it.
    fn flush(&self, frames: usize, flags: i32) -> Result<()> {
        let to = packet_socket::address(ETHER_TYPE)?;
        // SAFETY: the address outlives the call, which only reads it.
        let result = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                std::ptr::null(),
                0,
                flags,
                (&raw const to).cast(),
                size_of_val(&to) as libc::socklen_t,
            )
        };
        let sent = Errno::result(result).context("a send from the ring")?;
        ensure!(
            sent.cast_unsigned() == frames * frame_length(),
            "{sent} bytes of {frames} frames sent"
        );
        Ok(())
    }
}
