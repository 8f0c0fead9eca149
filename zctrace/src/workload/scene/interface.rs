//! Settings of network interfaces.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

/// The near end of a veth pair.
pub(in crate::workload) const NEAR: &CStr = c"zctnear";
/// The far end.
pub(in crate::workload) const FAR: &CStr = c"zctfar";

/// The interfaces of the caller's network namespace.
pub(in crate::workload) struct Interfaces(OwnedFd);

impl Interfaces {
    pub(in crate::workload) fn new() -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        Ok(Self(socket(
            AddressFamily::Inet,
            SockType::Datagram,
            flags,
            None,
        )?))
    }

    /// Makes the request `number` (netdevice(7)) of what `fill` puts in.
    pub(in crate::workload) fn set(
        &self,
        name: &CStr,
        number: libc::Ioctl,
        fill: &dyn Fn(&mut libc::ifreq),
    ) -> nix::Result<()> {
        let mut request = request(name);
        fill(&mut request);
        // SAFETY: the request is an `ifreq`, which outlives the call, like what it points to.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), number, &raw mut request) };
        Errno::result(result).map(drop)
    }

    /// Sets the size of its largest packets.
    pub(in crate::workload) fn set_mtu(&self, name: &CStr, bytes: libc::c_int) -> Result<()> {
        self.set(name, libc::SIOCSIFMTU, &|r| r.ifr_ifru.ifru_mtu = bytes)
            .context("SIOCSIFMTU")
    }

    /// Gives it an address, in a network of 24 bits.
    pub(in crate::workload) fn set_address(&self, name: &CStr, address: [u8; 4]) -> Result<()> {
        self.set(name, libc::SIOCSIFADDR, &|r| {
            r.ifr_ifru.ifru_addr = inet(address);
        })
        .context("SIOCSIFADDR")?;
        self.set(name, libc::SIOCSIFNETMASK, &|r| {
            r.ifr_ifru.ifru_netmask = inet([255, 255, 255, 0]);
        })
        .context("SIOCSIFNETMASK")
    }

    /// Turns something on or off that it does with packets.
    pub(super) fn set_feature(&self, name: &CStr, feature: Feature, on: bool) -> Result<()> {
        const SIOCETHTOOL: libc::Ioctl = 0x8946;
        let mut value = EthtoolValue {
            command: feature as u32,
            data: u32::from(on),
        };
        let data = (&raw mut value).cast::<libc::c_char>();
        self.set(name, SIOCETHTOOL, &|r| r.ifr_ifru.ifru_data = data)
            .with_context(|| format!("turning {feature:?} {}", if on { "on" } else { "off" }))
    }

    /// Brings it up, with these flags besides.
    pub(in crate::workload) fn raise(&self, name: &CStr, flags: libc::c_int) -> Result<()> {
        let flags = flags | libc::IFF_UP | libc::IFF_RUNNING;
        self.set(name, libc::SIOCSIFFLAGS, &|r| {
            r.ifr_ifru.ifru_flags = flags as libc::c_short;
        })
        .context("SIOCSIFFLAGS")
    }
}

/// What a device does with packets, by the number of the request that changes it (linux/ethtool.h).
#[derive(Clone, Copy, Debug)]
pub(super) enum Feature {
    /// Gathers the pages of a packet.
    ScatterGather = 0x19,
    /// Segments packets of TCP.
    Segmentation = 0x1f,
    /// Joins segments that arrive (GRO).
    ReceiveOffload = 0x2c,
}

#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

pub(in crate::workload) fn request(name: &CStr) -> libc::ifreq {
    // SAFETY: an `ifreq` is integers and unions of integers and pointers, for which zero is fine.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *to = *from as libc::c_char;
    }
    request
}

fn inet(address: [u8; 4]) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address) {
        *to = from as libc::c_char;
    }
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: data,
    }
}
