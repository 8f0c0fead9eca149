//! The few instructions that hand frames of one type over to an AF_XDP socket. Other frames, which
//! the kernel sends over a new device by itself, go their usual way.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::workload::{
    Skip,
    scene::bpf::{self, instruction},
};

/// A type for local experiments (IEEE 802).
pub(in crate::workload) const ETHER_TYPE: u16 = 0x88b5;

/// An XDP program on a device, removed when this is dropped.
pub(in crate::workload) struct Program {
    map: OwnedFd,
    link: OwnedFd,
}

impl Program {
    /// Puts one on a device that lets every frame pass. For it, the kernel puts each frame into one
    /// linear buffer, as simple network cards do.
    pub(in crate::workload) fn linear(device: u32) -> Result<OwnedFd> {
        put(
            &[
                instruction(0xb7, 0, 0, 0, XDP_PASS),
                instruction(0x95, 0, 0, 0, 0),
            ],
            device,
        )
    }

    /// Puts the program on a device, before the kernel's own stack.
    pub(in crate::workload) fn on(device: u32) -> Result<Self> {
        let map = bpf::sockets(XSKMAP, 1)
            .map_err(refused)
            .context("a map of AF_XDP sockets")?;
        let link = put(&code(map.as_raw_fd()), device)?;
        Ok(Self { map, link })
    }

    /// Another handle of the same program.
    pub(in crate::workload) fn try_clone(&self) -> Result<Self> {
        Ok(Self {
            map: self.map.try_clone()?,
            link: self.link.try_clone()?,
        })
    }

    /// Chooses the socket that gets the frames.
    pub(in crate::workload) fn redirect_to(&self, socket: &OwnedFd) -> Result<()> {
        bpf::put_socket(&self.map, 0, socket).context("putting a socket into the map")
    }
}

/// Puts instructions on a device; they go with the descriptor.
fn put(code: &[u64], device: u32) -> Result<OwnedFd> {
    let program = bpf::load(XDP, code)
        .map_err(refused)
        .context("an XDP program")?;
    bpf::descriptor(
        LINK_CREATE,
        &mut LinkCreate {
            program: program.as_raw_fd() as u32,
            device,
            point: POINT_XDP,
            flags: GENERIC,
        },
    )
    .map_err(refused)
    .context("putting an XDP program on a device")
}

fn refused(errno: Errno) -> anyhow::Error {
    match errno {
        Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP => {
            Skip(format!("this kernel takes no XDP program: {errno}")).into()
        }
        errno => errno.into(),
    }
}

const LINK_CREATE: u32 = 28;
const XSKMAP: u32 = 17;
const XDP: u32 = 6;
const POINT_XDP: u32 = 37;
/// `XDP_FLAGS_SKB_MODE`: any device can.
const GENERIC: u32 = 1 << 1;
const XDP_PASS: i32 = 2;

#[repr(C)]
struct LinkCreate {
    program: u32,
    device: u32,
    point: u32,
    flags: u32,
}

/// `if (type == ETHER_TYPE) return bpf_redirect_map(map, 0, XDP_PASS); return XDP_PASS;`
fn code(map: i32) -> [u64; 14] {
    const REDIRECT_MAP: i32 = 51;
    let kind = i32::from(ETHER_TYPE.to_be());
    [
        // r0 = XDP_PASS; r2 = the frame, r3 = its end.
        instruction(0xb7, 0, 0, 0, XDP_PASS),
        instruction(0x61, 2, 1, 0, 0),
        instruction(0x61, 3, 1, 4, 0),
        // A frame without a header, or of another type, passes.
        instruction(0xbf, 4, 2, 0, 0),
        instruction(0x07, 4, 0, 0, 14),
        instruction(0x2d, 4, 3, 7, 0),
        instruction(0x69, 5, 2, 12, 0),
        instruction(0x55, 5, 0, 5, kind),
        // r0 = bpf_redirect_map(r1 = map, r2 = 0, r3 = XDP_PASS)
        instruction(0x18, 1, 1, 0, map),
        0,
        instruction(0xb7, 2, 0, 0, 0),
        instruction(0xb7, 3, 0, 0, XDP_PASS),
        instruction(0x85, 0, 0, 0, REDIRECT_MAP),
        instruction(0x95, 0, 0, 0, 0),
    ]
}
