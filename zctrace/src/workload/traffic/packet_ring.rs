//! Receive rings of packet sockets: frames over the loopback device, into a ring.

use std::{
    fs::File,
    mem::offset_of,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::atomic::Ordering::SeqCst,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc::{self, tpacket_block_desc, tpacket_hdr, tpacket2_hdr, tpacket3_hdr},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        mman::MapFlags,
        socket::{MsgFlags, send},
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
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "packet-ring-v1",
        "frames into the receive ring of a packet socket, first version",
        |arena| receives(arena, Version::V1),
    )
    .tag("ring-v1"),
    Traffic::new(
        "packet-ring-v2",
        "frames into the receive ring of a packet socket, second version",
        |arena| receives(arena, Version::V2),
    )
    .tag("ring-v2"),
    Traffic::new(
        "packet-ring-v3",
        "frames into the receive ring of a packet socket, third version",
        |arena| receives(arena, Version::V3),
    )
    .tag("ring-v3"),
];

/// Length of a frame. It fits into a page behind its header in the ring.
const FRAME: usize = 3000;
/// Frames under way.
const BATCH: usize = 16;

/// How the frames in a ring are described (`enum tpacket_versions`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
    V3,
}

/// A frame in each page: none is dropped however long the receiver takes. In larger blocks of the third version there
/// would be as few, if the kernel hands a block over before the next frame comes.
const PAGES: usize = 2 * BATCH;

fn receives(arena: &Arena, version: Version) -> Result<Prepared> {
    let frames = arena.sizes.bytes.div_ceil(FRAME as u64);
    let bytes = frames * FRAME as u64;
    let from = packet_socket::open(libc::SOCK_RAW, 0)?;
    let received = ExpectedRow::new(Op::Recv, "socket:packet")
        .ops(frames)
        .class(Class::CopiedToUser, bytes)
        .needs_functions();
    let copied = Class::CopiedFromUser;
    let expected =
        Expected::new()
            .row(received)
            .moves(Op::Send, "socket:packet", copied, frames, bytes);
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(version)?;
        let mut frame = frame()?;
        let mut left = frames;
        while left > 0 {
            let batch = left.min(BATCH as u64) as usize;
            for last in 0..batch {
                frame[FRAME - 1] = last as u8;
                let sent = send(from.as_raw_fd(), &frame[..FRAME], MsgFlags::empty())?;
                ensure!(sent == FRAME, "{sent} bytes sent");
            }
            ring.receive(batch)?;
            left -= batch as u64;
        }
        Ok(())
    }))
}

impl Version {
    const fn number(self) -> libc::c_int {
        match self {
            Self::V1 => libc::tpacket_versions::TPACKET_V1 as _,
            Self::V2 => libc::tpacket_versions::TPACKET_V2 as _,
            Self::V3 => libc::tpacket_versions::TPACKET_V3 as _,
        }
    }
}

/// A frame from and to the loopback device.
fn frame() -> Result<Buffer> {
    let mut frame = Buffer::filled(FRAME)?;
    frame[..12].fill(0);
    frame[12..14].copy_from_slice(&ETHER_TYPE.to_be_bytes());
    Ok(frame)
}

/// A ring of [`PAGES`], each a block.
fn pages() -> libc::tpacket_req {
    libc::tpacket_req {
        tp_block_size: page_size() as u32,
        tp_block_nr: PAGES as u32,
        tp_frame_size: page_size() as u32,
        tp_frame_nr: PAGES as u32,
    }
}

fn map(socket: &File) -> Result<Mapping> {
    Mapping::of_file(socket, PAGES, MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE)
}

/// A packet socket that receives into a ring.
struct Ring {
    socket: File,
    version: Version,
    memory: Mapping,
    /// The next page, or block, that the kernel fills.
    next: usize,
}

impl Ring {
    fn new(version: Version) -> Result<Self> {
        let socket = packet_socket::open(libc::SOCK_RAW, ETHER_TYPE)?;
        set(&socket, libc::PACKET_VERSION, &version.number()).context("PACKET_VERSION")?;
        if version == Version::V3 {
            let plain = pages();
            let blocks = libc::tpacket_req3 {
                tp_block_size: plain.tp_block_size,
                tp_block_nr: plain.tp_block_nr,
                tp_frame_size: plain.tp_frame_size,
                tp_frame_nr: plain.tp_frame_nr,
                // Milliseconds until a block that is not full is handed over.
                tp_retire_blk_tov: 1,
                tp_sizeof_priv: 0,
                tp_feature_req_word: 0,
            };
            set(&socket, libc::PACKET_RX_RING, &blocks)
        } else {
            set(&socket, libc::PACKET_RX_RING, &pages())
        }
        .context("PACKET_RX_RING")?;
        let memory = map(&socket)?;
        Ok(Self {
            socket,
            version,
            memory,
            next: 0,
        })
    }

    fn word(&self, offset: usize) -> u32 {
        word(&self.memory, offset).load(SeqCst)
    }

    /// Receives so many frames, whose last bytes count up.
    fn receive(&mut self, frames: usize) -> Result<()> {
        let mut received = 0;
        while received < frames {
            let patience = PollTimeout::from(20_000_u16);
            let mut message = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            ensure!(poll(&mut message, patience)? != 0, "{received} of {frames}");
            received = if self.version == Version::V3 {
                self.take_block(received)?
            } else {
                self.take_page(received)?
            };
        }
        ensure!(received == frames, "{received} of {frames}");
        Ok(())
    }

    /// Takes the frame in the next page, if there is one, and returns how many it is then.
    fn take_page(&mut self, received: usize) -> Result<usize> {
        let start = self.next * page_size();
        let (status, length, at) = if self.version == Version::V1 {
            // The lower half of a long.
            (
                offset_of!(tpacket_hdr, tp_status),
                offset_of!(tpacket_hdr, tp_snaplen),
                offset_of!(tpacket_hdr, tp_mac),
            )
        } else {
            (
                offset_of!(tpacket2_hdr, tp_status),
                offset_of!(tpacket2_hdr, tp_snaplen),
                offset_of!(tpacket2_hdr, tp_mac),
            )
        };
        if self.word(start + status) & libc::TP_STATUS_USER == 0 {
            return Ok(received);
        }
        self.look(start, start + length, start + at, received)?;
        word(&self.memory, start + status).store(libc::TP_STATUS_KERNEL, SeqCst);
        self.next = (self.next + 1) % PAGES;
        Ok(received + 1)
    }

    /// Takes the frames in the next block, if there are some.
    fn take_block(&mut self, received: usize) -> Result<usize> {
        const HEADER: usize = offset_of!(tpacket_block_desc, hdr);
        let start = self.next * page_size();
        let status = start + HEADER + offset_of!(libc::tpacket_hdr_v1, block_status);
        if self.word(status) & libc::TP_STATUS_USER == 0 {
            return Ok(received);
        }
        let count = self.word(start + HEADER + offset_of!(libc::tpacket_hdr_v1, num_pkts));
        let first = start + HEADER + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt);
        let mut frame = start + self.word(first) as usize;
        for index in 0..count as usize {
            let length = frame + offset_of!(tpacket3_hdr, tp_snaplen);
            let at = frame + offset_of!(tpacket3_hdr, tp_mac);
            self.look(frame, length, at, received + index)?;
            frame += self.word(frame + offset_of!(tpacket3_hdr, tp_next_offset)) as usize;
        }
        word(&self.memory, status).store(libc::TP_STATUS_KERNEL, SeqCst);
        self.next = (self.next + 1) % PAGES;
        Ok(received + count as usize)
    }

    /// Whether a frame, whose header begins at `start`, is the one with this number.
    fn look(&self, start: usize, length: usize, at: usize, number: usize) -> Result<()> {
        let length = self.word(length);
        ensure!(length == FRAME as u32, "a frame of {length} bytes");
        // The lower half of two shorts.
        let at = start + (self.word(at) & 0xffff) as usize;
        let last = at + FRAME - 1;
        let byte = self.word(last / 4 * 4).to_ne_bytes()[last % 4];
        ensure!(usize::from(byte) == number, "frame {byte}, not {number}");
        Ok(())
    }
}
