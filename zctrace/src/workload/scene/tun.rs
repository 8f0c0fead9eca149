//! A tun device: packets that a program takes, as virtual machines and VPNs do.

use std::{
    ffi::CStr,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use anyhow::{Context as _, Result};
use nix::{errno::Errno, libc};

use super::{
    forked::Forked,
    interface::{Interfaces, request},
};
use crate::workload::Skip;

const NAME: &CStr = c"zcttun";
/// Its address.
const ADDRESS: [u8; 4] = [203, 0, 113, 1];
/// An address beyond it.
pub(in crate::workload) const BEYOND: &str = "203.0.113.2:9";
/// The largest packet.
const MTU: libc::c_int = 20_000;

/// The device; it goes when this is dropped.
#[derive(Debug)]
pub(in crate::workload) struct Tun(File);

impl Tun {
    /// Makes one in the network namespace of the caller that passes pages on. Packets stay in its queue: nobody reads
    /// them.
    pub(in crate::workload) fn new() -> Result<Self> {
        // Only a device that takes packets without a checksum gets pages by reference
        // (`__ip_append_data`).
        let tun = Self::make(NAME, 0, libc::TUN_F_CSUM)?;
        let interfaces = Interfaces::new()?;
        interfaces.set_mtu(NAME, MTU)?;
        interfaces.set_address(NAME, ADDRESS)?;
        interfaces.raise(NAME, 0)?;
        Ok(tun)
    }

    /// Makes one end of a way through a program ([`Relay`]). With `whole` the program takes packets that are still to
    /// be summed and segmented, with a header that says how (`virtio_net_hdr`).
    pub(super) fn end(name: &CStr, address: [u8; 4], whole: bool) -> Result<Self> {
        let (flags, offloads) = if whole {
            (libc::IFF_VNET_HDR, libc::TUN_F_CSUM | libc::TUN_F_TSO4)
        } else {
            (0, 0)
        };
        let tun = Self::make(name, flags, offloads)?;
        let interfaces = Interfaces::new()?;
        interfaces.set_address(name, address)?;
        interfaces.raise(name, 0)?;
        Ok(tun)
    }

    /// Makes one that carries whole frames, each with a header of `header` bytes (`virtio_net_hdr`), for vhost.
    pub(in crate::workload) fn tap(name: &CStr, header: libc::c_int) -> Result<Self> {
        let tap = Self::made(name, libc::IFF_TAP | libc::IFF_VNET_HDR, 0)?;
        set_header(&tap.0, header)?;
        Interfaces::new()?.raise(name, 0)?;
        Ok(tap)
    }

    /// Makes an open macvtap the same.
    pub(super) fn of_macvtap(file: File, name: &CStr, header: libc::c_int) -> Result<Self> {
        set_up(&file, name, libc::IFF_TAP | libc::IFF_VNET_HDR, 0)?;
        set_header(&file, header)?;
        Ok(Self(file))
    }

    fn make(name: &CStr, flags: libc::c_int, offloads: libc::c_uint) -> Result<Self> {
        Self::made(name, flags | libc::IFF_TUN, offloads)
    }

    fn made(name: &CStr, flags: libc::c_int, offloads: libc::c_uint) -> Result<Self> {
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun");
        let file = match open {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Skip("this kernel has no tun devices (CONFIG_TUN)".into()).into());
            }
            other => other.context("/dev/net/tun")?,
        };
        set_up(&file, name, flags, offloads)?;
        Ok(Self(file))
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes an open device what it is to be.
fn set_up(file: &File, name: &CStr, flags: libc::c_int, offloads: libc::c_uint) -> Result<()> {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = (flags | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request is an `ifreq`, which outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    match Errno::result(result) {
        Ok(_) => {}
        Err(Errno::EPERM) => {
            return Err(Skip("making a network device needs root".into()).into());
        }
        Err(errno) => return Err(errno).context("TUNSETIFF"),
    }
    // SAFETY: no memory is passed.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, offloads) };
    Errno::result(result).context("TUNSETOFFLOAD")?;
    Ok(())
}

fn set_header(file: &File, bytes: libc::c_int) -> Result<()> {
    const TUNSETVNETHDRSZ: libc::c_ulong = 0x4004_54d8;
    // SAFETY: the request reads an integer.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETVNETHDRSZ, &raw const bytes) };
    Errno::result(result).context("TUNSETVNETHDRSZ")?;
    Ok(())
}

/// A program that carries packets from one device to another and back, as a VPN does. It waits before it takes any, so
/// that what is changed meanwhile shows whether somebody had copied it.
#[derive(Debug)]
pub(super) struct Relay(#[expect(dead_code, reason = "ends the program")] Forked);

impl Relay {
    /// Starts it. The devices go with it.
    pub(super) fn start(near: Tun, far: Tun) -> Result<Self> {
        // SAFETY: it only makes system calls and uses memory that exists.
        unsafe { Forked::start(&(near.0, far.0), carry) }.map(Self)
    }
}

fn carry((near, far): &(File, File)) -> ! {
    const WAIT: libc::c_uint = 20_000;
    static mut ROOM: [u8; 1 << 17] = [0; 1 << 17];
    // SAFETY: this process has one thread, and nothing else refers to it.
    let room = unsafe { (&raw mut ROOM).as_mut() }.expect("not null");
    let ready = |fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        let mut ends = [near, far].map(|end| ready(end.as_raw_fd()));
        // SAFETY: two records, which outlive the call.
        unsafe { libc::poll(ends.as_mut_ptr(), 2, -1) };
        if ends[0].revents & libc::POLLIN != 0 {
            // SAFETY: a number is passed.
            unsafe { libc::usleep(WAIT) };
            let length = (&*near).read(room).unwrap_or(0);
            let _ = (&*far).write(&room[..length]);
        }
        if ends[1].revents & libc::POLLIN != 0 {
            let length = (&*far).read(room).unwrap_or(0);
            let _ = (&*near).write(&room[..length]);
        }
    }
}
