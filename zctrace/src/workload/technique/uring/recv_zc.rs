//! Zero-copy receive: a network device puts the payload of packets into the application's memory. It
//! must split headers off for that, which no virtual device does, and another machine must send:
//! this one can only say what is missing.

use std::{ffi::CStr, os::fd::AsRawFd as _};

use anyhow::Result;
use nix::{errno::Errno, libc, net::if_::if_nametoindex};

use super::super::{super::Skip, Job, Ready, Setting, Technique, Variant};
use crate::workload::{
    scene::veth::{NEAR, Veth},
    stage::mapping::{Mapping, PAGE},
    traffic::uring::ring::needs,
};

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-recv-zc",
    "receive with io_uring's zero-copy receive",
    Job::Receive,
    &[Variant::only("ur-recv-zc", prepare)],
);

/// `IORING_OP_RECV_ZC`, since Linux 6.15.
const RECV_ZC: u8 = 58;

fn prepare(_: &Setting<'_>) -> Result<Ready> {
    needs(&[RECV_ZC])
        .map_err(|_| Skip("this kernel's io_uring has no zero-copy receive".to_owned()))?;
    // The machine's own devices are left alone: a queue that is given away has to restart.
    let _veth = Veth::new(true)?;
    let why = match register(NEAR) {
        Err(errno) => format!("no device here can place packets in user memory: {errno}"),
        Ok(()) => "it needs a second machine that sends".to_owned(),
    };
    Err(Skip(why).into())
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
    offsets: [u64; 4],
    id: u32,
    more: u32,
    reserved: [u64; 3],
}

/// Asks for a queue of a device, as a receiver would.
fn register(device: &CStr) -> nix::Result<()> {
    const REGISTER_ZCRX_IFQ: libc::c_uint = 32;
    const MEM_REGION_TYPE_USER: u32 = 1;
    const ENTRIES: u32 = 64;
    let refused = |_| Errno::ENOMEM;
    let ring = io_uring::IoUring::<io_uring::squeue::Entry, io_uring::cqueue::Entry32>::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(8)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL)))?;
    let packets = Mapping::present(64 * PAGE).map_err(refused)?;
    let refill = Mapping::present(2 * PAGE).map_err(refused)?;
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
        device: if_nametoindex(device)?,
        entries: ENTRIES,
        area: (&raw const area) as u64,
        region: (&raw const region) as u64,
        ..Queue::default()
    };
    // SAFETY: the kernel reads and writes the structures, which outlive the call; the memory they
    // name outlives the ring, which is dropped first.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_ZCRX_IFQ,
            &raw const queue,
            1,
        )
    };
    drop(ring);
    Errno::result(result).map(drop)
}
