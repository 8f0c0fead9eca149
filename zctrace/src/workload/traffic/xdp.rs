//! AF_XDP in copy mode: frames out of one socket's memory, over a pair of devices, into another's.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    scene::{
        interface::{FAR, NEAR},
        veth::Veth,
        xdp_program::Program,
    },
    stage::mapping::{Mapping, page_size},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "xdp",
    "AF_XDP in copy mode: frames out of the application's memory and into it",
    prepare,
)];

/// Length of a frame. It fits into a part of the sockets' memory, with room before it.
pub(in crate::workload) const FRAME: usize = 3000;
/// Parts of a socket's memory, and entries of each ring.
const PARTS: u32 = 32;
/// Frames under way.
pub(in crate::workload) const BATCH: u32 = 16;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let wire = Wire::new()?;
    let frames = arena.sizes.bytes.div_ceil(FRAME as u64);
    let bytes = frames * FRAME as u64;
    let row = |op, class| {
        let row = ExpectedRow::new(op, "socket:xdp");
        row.ops(frames).class(class, bytes).needs_functions()
    };
    let expected = Expected::new()
        .row(row(Op::Send, Class::CopiedFromUser))
        .row(row(Op::Recv, Class::CopiedToUser));
    let program = wire.program.clone();
    let mut prepared = Prepared::new(expected, move || {
        let mut near = Socket::new(NEAR)?;
        let mut far = Socket::new(FAR)?;
        program.redirect_to(&far.fd)?;
        far.offer_all();
        let mut left = frames;
        while left > 0 {
            let batch = left.min(BATCH.into()) as u32;
            near.send(batch, FRAME)?;
            far.receive(batch, FRAME)?;
            left -= u64::from(batch);
        }
        Ok(())
    });
    prepared.keep.push(Box::new(wire));
    Ok(prepared)
}

/// Two devices, of which the far one hands over the frames that it gets.
pub(in crate::workload) struct Wire {
    pub(in crate::workload) program: Program,
    _veth: Veth,
}

impl Wire {
    pub(in crate::workload) fn new() -> Result<Self> {
        let veth = Veth::between_sockets()?;
        let program = Program::on(if_nametoindex(FAR).context("the far device")?)?;
        Ok(Self {
            program,
            _veth: veth,
        })
    }
}

/// A ring that is shared with the kernel.
struct Ring<T> {
    memory: NonNull<u8>,
    length: usize,
    offsets: libc::xdp_ring_offset,
    of: std::marker::PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    fn new(socket: &OwnedFd, offsets: libc::xdp_ring_offset, offset: libc::off_t) -> Result<Self> {
        let length = offsets.desc as usize + PARTS as usize * size_of::<T>();
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let memory = unsafe {
            nix::sys::mman::mmap(
                None,
                length.try_into().context("an empty ring")?,
                nix::sys::mman::ProtFlags::PROT_READ | nix::sys::mman::ProtFlags::PROT_WRITE,
                nix::sys::mman::MapFlags::MAP_SHARED | nix::sys::mman::MapFlags::MAP_POPULATE,
                socket,
                offset,
            )
        };
        Ok(Self {
            memory: memory.context("mapping a ring")?.cast(),
            length,
            offsets,
            of: std::marker::PhantomData,
        })
    }

    fn position(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: the kernel says that a position is there, within the mapping and aligned.
        unsafe {
            self.memory
                .add(offset as usize)
                .cast::<AtomicU32>()
                .as_ref()
        }
    }

    fn entry(&self, position: u32) -> NonNull<T> {
        let index = (position % PARTS) as usize;
        // SAFETY: the mapping ends behind the last entry.
        unsafe {
            self.memory
                .add(self.offsets.desc as usize)
                .cast::<T>()
                .add(index)
        }
    }

    /// Hands entries over to the kernel.
    fn push(&self, entries: impl IntoIterator<Item = T>) {
        let producer = self.position(self.offsets.producer);
        let mut position = producer.load(SeqCst);
        for entry in entries {
            // SAFETY: the entry is ours until the position tells of it.
            unsafe { self.entry(position).write_volatile(entry) };
            position = position.wrapping_add(1);
        }
        producer.store(position, SeqCst);
    }

    /// Takes what the kernel has handed over.
    fn pop(&self) -> Vec<T> {
        let consumer = self.position(self.offsets.consumer);
        let end = self.position(self.offsets.producer).load(SeqCst);
        let mut position = consumer.load(SeqCst);
        let mut entries = Vec::new();
        while position != end {
            // SAFETY: the entry is ours until the position tells that it is taken.
            entries.push(unsafe { self.entry(position).read_volatile() });
            position = position.wrapping_add(1);
        }
        consumer.store(position, SeqCst);
        entries
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping of this ring; nothing refers to it any more. A failure leaves it to
        // the end of the process.
        let _ = unsafe { nix::sys::mman::munmap(self.memory.cast(), self.length) };
    }
}

/// A socket with memory for frames.
pub(in crate::workload) struct Socket {
    pub(in crate::workload) fd: OwnedFd,
    memory: Mapping,
    offered: Ring<u64>,
    done: Ring<u64>,
    received: Ring<libc::xdp_desc>,
    sent: Ring<libc::xdp_desc>,
}

impl Socket {
    /// A socket on a device, in copy mode.
    pub(in crate::workload) fn new(device: &std::ffi::CStr) -> Result<Self> {
        let fd = open()?;
        let memory = Mapping::present(PARTS as usize * page_size())?;
        // SAFETY: integers, for which zero is fine.
        let mut area: libc::xdp_umem_reg = unsafe { std::mem::zeroed() };
        area.addr = memory.page(0).as_ptr() as u64;
        area.len = (PARTS as usize * page_size()) as u64;
        area.chunk_size = page_size() as u32;
        set(&fd, libc::XDP_UMEM_REG, &area).context("XDP_UMEM_REG")?;
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            set(&fd, ring, &PARTS).context("the size of a ring")?;
        }
        let offsets = offsets(&fd)?;
        let offered = Ring::new(&fd, offsets.fr, libc::XDP_UMEM_PGOFF_FILL_RING as _)?;
        let done = Ring::new(&fd, offsets.cr, libc::XDP_UMEM_PGOFF_COMPLETION_RING as _)?;
        let received = Ring::new(&fd, offsets.rx, libc::XDP_PGOFF_RX_RING)?;
        let sent = Ring::new(&fd, offsets.tx, libc::XDP_PGOFF_TX_RING)?;
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_COPY,
            sxdp_ifindex: if_nametoindex(device)?,
            sxdp_queue_id: 0,
            sxdp_shared_umem_fd: 0,
        };
        // SAFETY: the address outlives the call, which only reads it.
        let result = unsafe {
            libc::bind(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        Errno::result(result).context("binding an AF_XDP socket")?;
        Ok(Self {
            fd,
            memory,
            offered,
            done,
            received,
            sent,
        })
    }

    fn part(&self, address: u64) -> *mut u8 {
        self.memory.page(address as usize / page_size()).as_ptr()
    }

    /// Gives the kernel all memory for frames to come.
    pub(in crate::workload) fn offer_all(&self) {
        self.offered
            .push((0..PARTS).map(|part| u64::from(part) * page_size() as u64));
    }

    /// Sends frames of `length` bytes, at most [`FRAME`], and at most as many as there are parts.
    pub(in crate::workload) fn send(&mut self, frames: u32, length: usize) -> Result<()> {
        let part = |part: u32| u64::from(part) * page_size() as u64;
        for frame in 0..frames {
            // SAFETY: the part is longer than the frame, and ours until it is sent.
            let bytes = unsafe { std::slice::from_raw_parts_mut(self.part(part(frame)), length) };
            bytes.fill(frame as u8);
            bytes[..HEADER.len()].copy_from_slice(&HEADER);
        }
        self.sent.push((0..frames).map(|frame| libc::xdp_desc {
            addr: part(frame),
            len: length as u32,
            options: 0,
        }));
        let mut left = frames as usize;
        while left > 0 {
            // SAFETY: no memory is passed.
            let result = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            match Errno::result(result) {
                Ok(_) | Err(Errno::EAGAIN | Errno::EBUSY | Errno::ENOBUFS) => {}
                Err(errno) => return Err(errno).context("waking up an AF_XDP socket"),
            }
            let done = self.done.pop().len();
            ensure!(done <= left, "{done} frames sent instead of {left}");
            left -= done;
        }
        Ok(())
    }

    /// Receives frames of `length` bytes, and gives their memory back.
    pub(in crate::workload) fn receive(&mut self, frames: u32, length: usize) -> Result<()> {
        let patience = PollTimeout::from(20_000_u16);
        let mut left = frames as usize;
        while left > 0 {
            let mut message = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            ensure!(poll(&mut message, patience)? != 0, "{left} frames missing");
            let received = self.received.pop();
            ensure!(received.len() <= left, "more frames than were sent");
            left -= received.len();
            for descriptor in &received {
                ensure!(descriptor.len == length as u32, "{} bytes", descriptor.len);
                let start = self.part(descriptor.addr);
                // SAFETY: the frame is in this part, which is ours until it is offered again.
                let last = unsafe {
                    start
                        .add(descriptor.addr as usize % page_size() + length - 1)
                        .read()
                };
                ensure!(u32::from(last) < BATCH, "another frame");
            }
            let parts = received.iter().map(|d| d.addr & !(page_size() as u64 - 1));
            self.offered.push(parts);
        }
        Ok(())
    }
}

/// The start of a frame: two addresses that do not matter, and the type that the program looks for.
const HEADER: [u8; 14] = {
    let [high, low] = zctrace_common::EXPERIMENT_ETHER_TYPE.to_be_bytes();
    [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, high, low]
};

fn open() -> Result<OwnedFd> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: no memory is passed.
    let result = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    match Errno::result(result) {
        // SAFETY: a descriptor that nobody else has.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(Errno::EAFNOSUPPORT) => {
            Err(Skip("this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)".into()).into())
        }
        Err(errno) => Err(errno).context("an AF_XDP socket"),
    }
}

fn set<T>(socket: &OwnedFd, name: i32, value: &T) -> nix::Result<()> {
    // SAFETY: the value outlives the call, which only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

fn offsets(socket: &OwnedFd) -> Result<libc::xdp_mmap_offsets> {
    // SAFETY: integers, for which zero is fine.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&offsets) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut offsets).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).context("XDP_MMAP_OFFSETS")?;
    Ok(offsets)
}
