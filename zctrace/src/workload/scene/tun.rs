//! A tun device: packets that a program takes, as virtual machines and VPNs do.

use std::{
    ffi::CStr,
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result};
use nix::{errno::Errno, libc};

use super::interface::{Interfaces, request};
use crate::workload::Skip;

const NAME: &CStr = c"zcttun";
/// Its address.
const ADDRESS: [u8; 4] = [203, 0, 113, 1];
/// An address beyond it.
pub(in crate::workload) const BEYOND: &str = "203.0.113.2:9";
/// The largest packet.
const MTU: libc::c_int = 20_000;

/// The device; it goes when this is dropped. Packets stay in its queue: nobody reads them.
#[derive(Debug)]
pub(in crate::workload) struct Tun(#[expect(dead_code, reason = "keeps the device")] File);

impl Tun {
    /// Makes the device in the network namespace of the caller.
    pub(in crate::workload) fn new() -> Result<Self> {
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
        let mut request = request(NAME);
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the request is an `ifreq`, which outlives the call.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        match Errno::result(result) {
            Ok(_) => {}
            Err(Errno::EPERM) => {
                return Err(Skip("making a network device needs root".into()).into());
            }
            Err(errno) => return Err(errno).context("TUNSETIFF"),
        }
        // Only a device that takes packets without a checksum gets pages by reference
        // (`__ip_append_data`).
        // SAFETY: no memory is passed.
        let result =
            unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::TUN_F_CSUM) };
        Errno::result(result).context("TUNSETOFFLOAD")?;
        let interfaces = Interfaces::new()?;
        interfaces.set_mtu(NAME, MTU)?;
        interfaces.set_address(NAME, ADDRESS)?;
        interfaces.raise(NAME, 0)?;
        Ok(Self(file))
    }
}
