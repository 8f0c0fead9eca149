//! A block device of the arena's, opened with `O_DIRECT`.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::Result;
use nix::libc;

use super::block_device::BlockDevice;
use crate::workload::Arena;

/// A device of at least `bytes`, and two descriptors of it with `O_DIRECT`: one to read from, one to
/// write to.
pub(in crate::workload) fn opened_direct(
    arena: &Arena,
    bytes: u64,
) -> Result<(BlockDevice, File, File)> {
    let image = arena.directory().join("direct.image");
    let device = BlockDevice::new(&image, bytes)?;
    if !device.is_disk() {
        fs::remove_file(image)?;
    }
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(device.path())
    };
    let (from, to) = (open()?, open()?);
    Ok((device, from, to))
}
