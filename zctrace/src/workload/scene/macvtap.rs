//! A macvtap: frames that a program sends leave by the device below it, and those that arrive there are the program's.

use std::{ffi::CStr, fs::OpenOptions, io};

use anyhow::{Context as _, Result};
use nix::{libc, net::if_::if_nametoindex};

use super::{program::run, tun::Tun, veth::Veth};
use crate::workload::Skip;

/// Makes one over the near end of a pair of devices, with a header of `header` bytes before each frame.
pub(in crate::workload) fn made(name: &CStr, header: libc::c_int) -> Result<(Tun, Veth)> {
    let veth = Veth::between_sockets()?;
    let text = name.to_string_lossy();
    run(&format!(
        "ip link add link zctnear name {text} type macvtap mode passthru"
    ))?;
    run(&format!("ip link set {text} up"))?;
    let index = if_nametoindex(name).context("a macvtap")?;
    let device = format!("/dev/tap{index}");
    let file = match OpenOptions::new().read(true).write(true).open(&device) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Skip(format!("nothing makes {device}")).into());
        }
        other => other.context(device)?,
    };
    Ok((Tun::of_macvtap(file, name, header)?, veth))
}
