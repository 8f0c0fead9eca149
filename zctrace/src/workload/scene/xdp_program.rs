//! The programs that traffic puts on network devices (`zctrace-ebpf/src/traffic/xdp.rs`).

use std::{
    cell::RefCell,
    os::fd::{AsRawFd as _, OwnedFd},
    rc::Rc,
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::XskMap,
    programs::{Xdp, XdpMode},
};

use nix::net::if_::if_nametoindex;

use crate::workload::scene::object;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/traffic-xdp"));

/// An XDP program that lets every frame pass, in the driver of a device. It can go to another thread.
#[derive(Debug)]
pub(in crate::workload) struct Attached(
    #[expect(dead_code, reason = "the program goes when this is dropped")] Ebpf,
);

impl Attached {
    /// Puts it on a device of the caller's network namespace.
    pub(in crate::workload) fn on(device: &str) -> Result<Self> {
        let mut ebpf = object::load(OBJECT)?;
        attach(&mut ebpf, "pass", if_nametoindex(device)?, XdpMode::Driver)?;
        Ok(Self(ebpf))
    }
}

/// An XDP program on a device, removed when the last handle of it is dropped.
#[derive(Clone)]
pub(in crate::workload) struct Program(Rc<RefCell<Ebpf>>);

impl Program {
    /// Puts one on a device that lets every frame pass. For it, the kernel puts each frame into one
    /// linear buffer, as simple network cards do.
    pub(in crate::workload) fn linear(device: u32) -> Result<Self> {
        Self::put("pass", device)
    }

    /// Puts one on a device that hands frames of one type over to a socket, before the kernel's own stack.
    pub(in crate::workload) fn on(device: u32) -> Result<Self> {
        Self::put("to_socket", device)
    }

    fn put(name: &str, device: u32) -> Result<Self> {
        let mut ebpf = object::load(OBJECT)?;
        // Any device can do it in this mode.
        attach(&mut ebpf, name, device, XdpMode::Skb)?;
        Ok(Self(Rc::new(RefCell::new(ebpf))))
    }

    /// Chooses the socket that gets the frames.
    pub(in crate::workload) fn redirect_to(&self, socket: &OwnedFd) -> Result<()> {
        let mut ebpf = self.0.borrow_mut();
        let map = ebpf.map_mut("SOCKETS").context("no map of sockets")?;
        let mut sockets = XskMap::try_from(map)?;
        sockets
            .set(0, socket.as_raw_fd(), 0)
            .context("putting a socket into the map")
    }
}

fn attach(ebpf: &mut Ebpf, name: &str, device: u32, mode: XdpMode) -> Result<()> {
    let program: &mut Xdp = ebpf
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?
        .try_into()?;
    program.load().map_err(object::refused)?;
    program
        .attach_to_if_index(device, mode)
        .map_err(object::refused)
        .context("putting an XDP program on a device")?;
    Ok(())
}
