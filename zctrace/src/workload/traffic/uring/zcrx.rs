//! Zero-copy receive. A device puts the payload of packets into the application's memory, or there is none: then
//! (`ZCRX_REG_NODEV`, Linux 7.2) the kernel copies every byte there, to let programs be tested.

use std::{
    os::fd::{AsRawFd as _, RawFd},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, bail, ensure};
use io_uring::{IoUring, cqueue, opcode, squeue, types::Fd};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{MsgFlags, send},
};
use zctrace_common::{Class, Op};

use super::ring::needs;
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
        sockets::tcp_pair,
    },
    truth::exact::{calls, cut},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::request(
    "uring-recv-zc",
    "io_uring: zero-copy receives of TCP without a device that places packets: copied",
    prepare,
)
.tag("u-recv-zc")];

/// Bytes that arrive at once: a single packet.
const ARRIVAL: usize = 16_000;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    drop(Receiver::new(None)?);
    let (near, far) = tcp_pair()?;
    let arrivals = calls(bytes, ARRIVAL);
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, arrivals, bytes)
        .row(
            ExpectedRow::new(Op::UringRecvZc, "tcp")
                .ops(arrivals)
                .class(Class::CopiedToUser, bytes)
                // It goes on until the ring goes.
                .errors(libc::ECANCELED, 1)
                .needs_functions(),
        );
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(ARRIVAL)?;
        let mut receiver = Receiver::new(None)?;
        receiver.begin(far.as_raw_fd())?;
        for (_, length) in cut(bytes, ARRIVAL) {
            let sent = send(near.as_raw_fd(), &from[..length], MsgFlags::empty())?;
            ensure!(sent == length, "{sent} of {length} bytes");
            receiver.take(length)?;
        }
        Ok(())
    }))
}

/// `struct io_uring_zcrx_area_reg` of include/uapi/linux/io_uring.h.
#[repr(C)]
#[derive(Default)]
struct Area {
    address: u64,
    length: u64,
    token: u64,
    flags: u32,
    dmabuf: u32,
    reserved: [u64; 2],
}

/// `struct io_uring_region_desc`.
#[repr(C)]
#[derive(Default)]
struct Region {
    address: u64,
    size: u64,
    flags: u32,
    id: u32,
    offset: u64,
    reserved: [u64; 4],
}

/// `struct io_uring_zcrx_ifq_reg`.
#[repr(C)]
#[derive(Default)]
struct Queue {
    device: u32,
    queue: u32,
    entries: u32,
    flags: u32,
    area: u64,
    region: u64,
    head: u32,
    tail: u32,
    buffers: u32,
    padding: u32,
    reserved: [u64; 2],
    id: u32,
    buffer_length: u32,
    more: [u64; 3],
}

/// `struct zcrx_ctrl`.
#[repr(C)]
#[derive(Default)]
struct Control {
    id: u32,
    operation: u32,
    reserved: [u64; 8],
}

/// A ring with memory that packets are received into.
pub(in crate::workload) struct Receiver {
    // Dropped first: the kernel uses the memory until then.
    ring: IoUring<squeue::Entry, cqueue::Entry32>,
    _packets: Mapping,
    refill: Mapping,
    queue: Queue,
    token: u64,
    given: u32,
    /// Bytes that have come and that nobody has taken.
    surplus: usize,
}

/// Buffers, of a page each, and places for those that are given back.
const ENTRIES: u32 = 1024;

impl Receiver {
    /// Asks for a queue of a device, by its number, or for none. A [`Skip`] where the kernel has no such thing.
    pub(in crate::workload) fn new(device: Option<u32>) -> Result<Self> {
        needs(&[opcode::RecvZc::CODE])
            .map_err(|_| Skip("this kernel's io_uring has no zero-copy receive".to_owned()))?;
        Self::registered(device).map_err(|errno| {
            let text = format!("no device here can place packets in user memory: {errno}");
            Skip(text).into()
        })
    }

    fn registered(device: Option<u32>) -> nix::Result<Self> {
        const REGISTER_ZCRX_IFQ: libc::c_uint = 32;
        const MEM_REGION_TYPE_USER: u32 = 1;
        const NODEV: u32 = 2;
        let refused = |_| Errno::ENOMEM;
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(2 * ENTRIES)
            .build(8)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL)))?;
        let packets = Mapping::present(ENTRIES as usize * page_size()).map_err(refused)?;
        let refill = Mapping::present(8 * page_size()).map_err(refused)?;
        let area = Area {
            address: packets.address() as u64,
            length: packets.length() as u64,
            ..Area::default()
        };
        let region = Region {
            address: refill.address() as u64,
            size: refill.length() as u64,
            flags: MEM_REGION_TYPE_USER,
            ..Region::default()
        };
        let queue = Queue {
            device: device.unwrap_or_default(),
            entries: ENTRIES,
            flags: if device.is_none() { NODEV } else { 0 },
            area: (&raw const area) as u64,
            region: (&raw const region) as u64,
            ..Queue::default()
        };
        // SAFETY: the kernel reads and writes the structures, which outlive the call; the memory they name outlives the
        // ring, which is dropped first.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                ring.as_raw_fd(),
                REGISTER_ZCRX_IFQ,
                &raw const queue,
                1,
            )
        };
        Errno::result(result)?;
        // SAFETY: the kernel has written it.
        let token = unsafe { (&raw const area.token).read_volatile() };
        // SAFETY: as above.
        let queue = unsafe { (&raw const queue).read_volatile() };
        Ok(Self {
            ring,
            _packets: packets,
            refill,
            queue,
            token,
            given: 0,
            surplus: 0,
        })
    }

    /// Begins to receive from a TCP socket, which stays open.
    pub(in crate::workload) fn begin(&mut self, socket: RawFd) -> Result<()> {
        let receive = opcode::RecvZc::new(Fd(socket), 0)
            .ifq(self.queue.id)
            .build();
        // SAFETY: the request names no memory but that of the queue.
        unsafe { self.ring.submission().push(&receive) }.context("the submission queue is full")?;
        self.ring.submit().context("io_uring_enter")?;
        Ok(())
    }

    /// Waits until so many bytes have come, and gives their buffers back.
    pub(in crate::workload) fn take(&mut self, bytes: usize) -> Result<()> {
        const AREA: u64 = 0xffff << 48;
        while self.surplus < bytes {
            self.ring.submit_and_wait(1).context("io_uring_enter")?;
            let came: Vec<_> = self.ring.completion().collect();
            for completion in came {
                let length = completion.result();
                ensure!(length > 0, "{}", Errno::from_raw(-length));
                ensure!(cqueue::more(completion.flags()), "the request has ended");
                self.surplus += length as usize;
                let [offset, _] = *completion.big_cqe();
                self.give_back(offset & !AREA | self.token, length as u32);
            }
        }
        self.surplus -= bytes;
        self.flush()
    }

    /// Puts a buffer into the queue of those that the kernel can use again (`struct io_uring_zcrx_rqe`).
    fn give_back(&mut self, offset: u64, length: u32) {
        let index = (self.given % self.queue.entries) as usize;
        let at = self.queue.buffers as usize + 16 * index;
        assert!(at + 16 <= self.refill.length());
        // SAFETY: within the memory, aligned, and not the kernel's until the tail is moved.
        unsafe {
            let entry = self.refill.address().add(at).cast::<u64>();
            entry.write(offset);
            entry.add(1).write(length.into());
        }
        self.given = self.given.wrapping_add(1);
        // SAFETY: within the memory, aligned, and shared with the kernel, which uses it as a number too.
        let tail = unsafe {
            &*self
                .refill
                .address()
                .add(self.queue.tail as usize)
                .cast::<AtomicU32>()
        };
        tail.store(self.given, Ordering::Release);
    }

    /// Makes the kernel take what was given back: without a device nothing else does.
    fn flush(&self) -> Result<()> {
        const REGISTER_ZCRX_CTRL: libc::c_uint = 36;
        let control = Control {
            id: self.queue.id,
            ..Control::default()
        };
        // SAFETY: the kernel reads the structure, which outlives the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.ring.as_raw_fd(),
                REGISTER_ZCRX_CTRL,
                &raw const control,
                0,
            )
        };
        match Errno::result(result) {
            Ok(_) => Ok(()),
            Err(errno) => bail!("giving buffers back: {errno}"),
        }
    }
}
