//! What messages to the kernel's netlink sockets are made of, and what comes back.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};

/// A netlink attribute, padded.
pub(super) fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = (4 + payload.len()) as u16;
    let mut bytes = Vec::with_capacity(usize::from(length) + 3);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// What the kernel answers to a request.
pub(super) fn answer(netlink: &OwnedFd) -> Result<nix::Result<()>> {
    let mut answer = [0; 1024];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()).context("netlink")?;
    let code = answer[..length]
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
        .context("an answer that is too short")?;
    Ok(match code {
        0 => Ok(()),
        code => Err(Errno::from_raw(-code)),
    })
}
