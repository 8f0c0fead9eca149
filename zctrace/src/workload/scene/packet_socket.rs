//! Packet sockets on the loopback device, and the memory that they share with the kernel.

use std::{
    ffi::CStr,
    fs::File,
    os::fd::{AsRawFd as _, FromRawFd as _},
    sync::atomic::AtomicU32,
};

use anyhow::{Context as _, Result};
use nix::{errno::Errno, libc, net::if_::if_nametoindex};

use crate::workload::{Skip, stage::mapping::Mapping};

/// The type of the frames: one for experiments (IEEE 802), so that they are the only ones of it.
pub(in crate::workload) const ETHER_TYPE: u16 = 0x88b6;
const LOOPBACK: &CStr = c"lo";

/// A packet socket of a kind (`SOCK_RAW`, `SOCK_DGRAM`) on the loopback device, which gets frames of one type, or none
/// for 0.
pub(in crate::workload) fn open(kind: i32, ether_type: u16) -> Result<File> {
    // SAFETY: no memory is passed.
    let result = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) };
    let socket = match Errno::result(result) {
        // SAFETY: a descriptor that nobody else has.
        Ok(fd) => unsafe { File::from_raw_fd(fd) },
        Err(Errno::EAFNOSUPPORT) => {
            return Err(Skip("this kernel has no packet sockets (CONFIG_PACKET)".into()).into());
        }
        Err(Errno::EPERM) => return Err(Skip("a packet socket needs root".into()).into()),
        Err(errno) => return Err(errno).context("a packet socket"),
    };
    let address = address(ether_type)?;
    // SAFETY: the address outlives the call, which only reads it.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    Errno::result(result).context("binding a packet socket")?;
    Ok(socket)
}

/// The address of frames of one type on the loopback device.
pub(in crate::workload) fn address(ether_type: u16) -> Result<libc::sockaddr_ll> {
    address_on(LOOPBACK, ether_type)
}

/// The same on another device.
pub(in crate::workload) fn address_on(device: &CStr, ether_type: u16) -> Result<libc::sockaddr_ll> {
    // SAFETY: integers, for which zero is fine.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ether_type.to_be();
    address.sll_ifindex = if_nametoindex(device).context("a device")? as i32;
    Ok(address)
}

/// Sets an option of a packet socket.
pub(in crate::workload) fn set<T>(socket: &File, name: i32, value: &T) -> nix::Result<()> {
    // SAFETY: the value outlives the call, which only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// A number in a ring.
pub(in crate::workload) fn word(ring: &Mapping, offset: usize) -> &AtomicU32 {
    assert!(offset.is_multiple_of(4) && offset < ring.length());
    // SAFETY: within the mapping, aligned, and shared with the kernel, which uses it as a number too.
    unsafe { &*ring.address().add(offset).cast() }
}
