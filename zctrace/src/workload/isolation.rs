//! Namespaces of our own, so that nothing of a run outlives it, however it ends, and no firewall
//! or packet capture of the machine changes what happens to the bytes.

use std::path::Path;

use anyhow::{Context as _, Result};
use nix::{
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::Skip;

/// What the calling thread has to itself.
#[derive(Debug)]
pub struct Isolation {
    refused: Option<String>,
}

impl Isolation {
    /// Enters the namespaces and mounts a tmpfs on `directory`, or notes why not.
    pub fn new(directory: &Path) -> Result<Self> {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
            let refused = Some(format!("cannot mount, needs root: unshare: {errno}"));
            return Ok(Self { refused });
        }
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("making the mounts private")?;
        mount(
            Some("zctrace-traffic"),
            directory,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("mode=700"),
        )
        .with_context(|| format!("mounting a tmpfs on {}", directory.display()))?;
        // Without one of our own, the machine's loopback serves as well.
        if unshare(CloneFlags::CLONE_NEWNET).is_ok() {
            raise_loopback().context("raising the loopback device")?;
        }
        Ok(Self { refused: None })
    }

    /// Whether mounting leaves no trace; [`Skip`] otherwise.
    pub fn mounts_allowed(&self) -> Result<()> {
        match &self.refused {
            None => Ok(()),
            Some(reason) => Err(Skip(reason.clone()).into()),
        }
    }
}

/// A new network namespace has a loopback device, but it is down.
fn raise_loopback() -> Result<()> {
    use std::os::fd::AsRawFd as _;

    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: an `ifreq` is integers and unions of integers and pointers, for which zero is fine.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an `ifreq`, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    nix::errno::Errno::result(result)?;
    Ok(())
}
