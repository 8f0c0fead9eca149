//! vhost-net as a hypervisor uses it: two rings in memory of the caller, and a thread of the kernel that carries packets
//! between them and a tap device.
//!
//! The caller's memory is the guest's: its addresses are the guest's physical addresses too.

use std::{
    fs::{File, OpenOptions},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd},
    sync::atomic::{AtomicU16, Ordering::SeqCst},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::eventfd::{EfdFlags, EventFd},
};

use super::loop_device::load_module;
use crate::workload::{
    Skip,
    stage::mapping::{Mapping, page_size},
};

/// `struct virtio_net_hdr_mrg_rxbuf`, before each packet.
pub(in crate::workload) const HEADER: usize = 12;
/// Entries of a ring, and the buffers of one direction.
pub(in crate::workload) const ENTRIES: usize = 64;
/// Length of a buffer.
const BUFFER: usize = 2048;
/// A queue's memory: its descriptors, what is available, and what is used, a page each.
const QUEUE: usize = 3;

/// Requests of vhost.h.
mod requests {
    use nix::libc::c_ulong;

    pub(super) const GET_FEATURES: c_ulong = 0x8008_af00;
    pub(super) const SET_FEATURES: c_ulong = 0x4008_af00;
    pub(super) const SET_OWNER: c_ulong = 0xaf01;
    pub(super) const SET_MEM_TABLE: c_ulong = 0x4008_af03;
    pub(super) const SET_VRING_NUM: c_ulong = 0x4008_af10;
    pub(super) const SET_VRING_ADDR: c_ulong = 0x4028_af11;
    pub(super) const SET_VRING_BASE: c_ulong = 0x4008_af12;
    pub(super) const SET_VRING_KICK: c_ulong = 0x4008_af20;
    pub(super) const SET_VRING_CALL: c_ulong = 0x4008_af21;
    pub(super) const NET_SET_BACKEND: c_ulong = 0x4008_af30;
}

/// What the caller of a queue writes.
#[repr(C)]
struct Descriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

/// The kernel writes to the buffer.
const WRITE: u16 = 2;

#[repr(C)]
struct Memory {
    regions: u32,
    padding: u32,
    guest_address: u64,
    size: u64,
    user_address: u64,
    flags: u64,
}

#[repr(C)]
struct Addresses {
    index: u32,
    flags: u32,
    descriptors: u64,
    used: u64,
    available: u64,
    log: u64,
}

/// Which queue of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workload) enum Way {
    /// From the tap device to the guest.
    Receive = 0,
    /// From the guest to the tap device.
    Send = 1,
}

/// What tells the kernel that there is something in a queue. Its maker keeps one, so that another process can tell.
pub(in crate::workload) struct Kicks([EventFd; 2]);

impl Kicks {
    pub(in crate::workload) fn new() -> Result<Self> {
        let kick = || EventFd::from_flags(EfdFlags::empty()).context("eventfd");
        Ok(Self([kick()?, kick()?]))
    }

    pub(in crate::workload) fn try_clone(&self) -> Result<Self> {
        let [receive, send] = self
            .0
            .each_ref()
            .map(|kick| kick.as_fd().try_clone_to_owned());
        // SAFETY: descriptors of event counters.
        let kick = |fd| unsafe { EventFd::from_owned_fd(fd) };
        Ok(Self([kick(receive?), kick(send?)]))
    }

    /// Tells that there is something in a queue.
    pub(in crate::workload) fn kick(&self, way: Way) -> Result<()> {
        self.0[way as usize].write(1).context("kicking vhost")?;
        Ok(())
    }

    fn of(&self, way: Way) -> RawFd {
        self.0[way as usize].as_fd().as_raw_fd()
    }
}

/// Opens the device, before anything is traced.
pub(in crate::workload) fn opened() -> Result<File> {
    const DEVICE: &str = "/dev/vhost-net";
    let open = || OpenOptions::new().read(true).write(true).open(DEVICE);
    open()
        .or_else(|_| {
            load_module("vhost_net");
            open()
        })
        .map_err(|error| Skip(format!("no vhost: {DEVICE}: {error}")).into())
}

/// A device of the calling process, whose worker belongs to that.
pub(in crate::workload) struct Vhost {
    device: File,
    memory: Mapping,
    calls: [EventFd; 2],
}

impl Vhost {
    /// Makes the device the caller's, and gives it the tap device.
    pub(in crate::workload) fn start(
        device: File,
        tap: BorrowedFd<'_>,
        kicks: &Kicks,
    ) -> Result<Self> {
        const VERSION_1: u64 = 1 << 32;
        let buffers = (2 * ENTRIES * BUFFER).div_ceil(page_size());
        let memory = Mapping::present((2 * QUEUE + buffers) * page_size())?;
        let call = || EventFd::from_flags(EfdFlags::empty()).context("eventfd");
        let vhost = Self {
            device,
            memory,
            calls: [call()?, call()?],
        };
        vhost
            .ask(requests::SET_OWNER, &0_u64)
            .context("SET_OWNER")?;
        ensure!(vhost.features()? & VERSION_1 != 0, "an old vhost");
        vhost.ask(requests::SET_FEATURES, &VERSION_1)?;
        let address = vhost.memory.address().addr() as u64;
        let memory = Memory {
            regions: 1,
            padding: 0,
            guest_address: address,
            size: vhost.memory.length() as u64,
            user_address: address,
            flags: 0,
        };
        vhost
            .ask(requests::SET_MEM_TABLE, &memory)
            .context("SET_MEM_TABLE")?;
        for way in [Way::Receive, Way::Send] {
            vhost.set_up(way, kicks)?;
            let backend = [way as u32, tap.as_raw_fd().cast_unsigned()];
            vhost
                .ask(requests::NET_SET_BACKEND, &backend)
                .context("NET_SET_BACKEND")?;
        }
        Ok(vhost)
    }

    /// Gives the device what a request takes.
    fn ask<T>(&self, request: libc::c_ulong, argument: &T) -> Result<()> {
        // SAFETY: the argument is of the request's type, which only reads it, and outlives the call.
        let result = unsafe {
            libc::ioctl(
                self.device.as_raw_fd(),
                request,
                std::ptr::from_ref(argument),
            )
        };
        Errno::result(result).map(drop).context("asking vhost")
    }

    fn features(&self) -> Result<u64> {
        let mut features = 0_u64;
        // SAFETY: the request writes an integer of 64 bits.
        let result = unsafe {
            libc::ioctl(
                self.device.as_raw_fd(),
                requests::GET_FEATURES,
                &raw mut features,
            )
        };
        Errno::result(result).context("GET_FEATURES")?;
        Ok(features)
    }

    fn set_up(&self, way: Way, kicks: &Kicks) -> Result<()> {
        let index = way as u32;
        self.ask(requests::SET_VRING_NUM, &[index, ENTRIES as u32])?;
        self.ask(requests::SET_VRING_BASE, &[index, 0])?;
        let page = |part| self.queue(way, part).addr() as u64;
        let addresses = Addresses {
            index,
            flags: 0,
            descriptors: page(0),
            available: page(1),
            used: page(2),
            log: 0,
        };
        self.ask(requests::SET_VRING_ADDR, &addresses)?;
        let call = self.calls[way as usize].as_fd().as_raw_fd();
        self.ask(
            requests::SET_VRING_KICK,
            &[index, kicks.of(way).cast_unsigned()],
        )?;
        self.ask(requests::SET_VRING_CALL, &[index, call.cast_unsigned()])
    }

    /// A page of a queue's memory.
    fn queue(&self, way: Way, part: usize) -> *mut u8 {
        self.memory.page(way as usize * QUEUE + part).as_ptr()
    }

    fn buffer(&self, way: Way, entry: usize) -> *mut u8 {
        let first = self.memory.page(2 * QUEUE).as_ptr();
        // SAFETY: within the mapping.
        unsafe { first.add((way as usize * ENTRIES + entry) * BUFFER) }
    }

    /// Puts a buffer into a queue: a packet of `length` bytes with its header, or room for one.
    pub(in crate::workload) fn put(&self, way: Way, number: u16, length: usize) {
        let entry = usize::from(number) % ENTRIES;
        let buffer = self.buffer(way, entry);
        let (length, flags) = match way {
            Way::Send => (HEADER + length, 0),
            Way::Receive => (BUFFER, WRITE),
        };
        let descriptor = Descriptor {
            address: buffer.addr() as u64,
            length: length as u32,
            flags,
            next: 0,
        };
        let descriptors = self.queue(way, 0).cast::<Descriptor>();
        let available = self.queue(way, 1).cast::<u16>();
        // SAFETY: within the pages of the queue; the kernel does not look at what is not available yet.
        unsafe {
            descriptors.add(entry).write_volatile(descriptor);
            available.add(2 + entry).write_volatile(entry as u16);
        }
        index(self.queue(way, 1)).store(number.wrapping_add(1), SeqCst);
    }

    /// How many buffers the kernel has used so far.
    #[must_use]
    pub(in crate::workload) fn used(&self, way: Way) -> u16 {
        index(self.queue(way, 2)).load(SeqCst)
    }

    /// Waits until the kernel has used as many buffers as that.
    pub(in crate::workload) fn wait(&self, way: Way, used: u16) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(60);
        let begin = Instant::now();
        while self.used(way) < used {
            ensure!(begin.elapsed() < PATIENCE, "vhost does not use the buffers");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// How many bytes the kernel wrote into the buffer that it used at `number`.
    #[must_use]
    pub(in crate::workload) fn written(&self, way: Way, number: u16) -> usize {
        let used = self.queue(way, 2).cast::<u32>();
        let entry = usize::from(number) % ENTRIES;
        // SAFETY: within the page; the kernel has written it before it moved its index.
        unsafe { used.add(1 + 2 * entry + 1).read_volatile() as usize }
    }

    /// Writes a packet of `length` bytes behind an empty header.
    pub(in crate::workload) fn fill(&self, number: u16, packet: &[u8]) {
        let buffer = self.buffer(Way::Send, usize::from(number) % ENTRIES);
        // SAFETY: within the buffer, of which the kernel has nothing now.
        unsafe {
            buffer.write_bytes(0, HEADER);
            buffer
                .add(HEADER)
                .copy_from_nonoverlapping(packet.as_ptr(), packet.len());
        }
    }
}

/// The index of a queue's part, which lies behind its flags.
fn index<'a>(part: *mut u8) -> &'a AtomicU16 {
    // SAFETY: within a page that lives as long as the device, aligned, and shared with the kernel.
    unsafe { &*part.add(2).cast() }
}
