//! A block device to overwrite: a loop device, or a disk where there are disks for that.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Result;
use nix::{
    fcntl::{Flock, FlockArg},
    libc,
};
use zctrace_common::Evidence;

use super::loop_device::LoopDevice;

/// Names disks that may be overwritten, with commas between them: in virtual machines only, because
/// what was on them is lost. That direct I/O ends in DMA is proven on disks, not on loop devices.
pub const SCRATCH_DISKS: &str = "ZCTRACE_SCRATCH_DISKS";

/// A device that nobody else uses until this is dropped.
pub struct BlockDevice {
    path: std::path::PathBuf,
    held: Held,
}

enum Held {
    Loop(#[expect(dead_code, reason = "held")] LoopDevice),
    Disk(#[expect(dead_code, reason = "held")] Flock<File>),
}

impl BlockDevice {
    /// A disk that nobody uses; without one, a loop device over the new file `image` of `size` bytes.
    pub fn new(image: &Path, size: u64) -> Result<Self> {
        let disks = std::env::var(SCRATCH_DISKS).unwrap_or_default();
        for disk in disks.split(',').filter(|disk| !disk.is_empty()) {
            if let Some(lock) = take(Path::new(disk)) {
                let path = disk.into();
                let held = Held::Disk(lock);
                return Ok(Self { path, held });
            }
        }
        let device = LoopDevice::new(image, size)?;
        Ok(Self {
            path: device.path().to_owned(),
            held: Held::Loop(device),
        })
    }

    /// The device's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a real disk.
    #[must_use]
    pub const fn is_disk(&self) -> bool {
        matches!(self.held, Held::Disk(_))
    }

    /// The evidence that direct I/O on it can have: below a loop device, a CPU copies.
    #[must_use]
    pub const fn direct_evidence(&self) -> Evidence {
        if self.is_disk() {
            Evidence::Measured
        } else {
            Evidence::Inferred
        }
    }
}

fn take(disk: &Path) -> Option<Flock<File>> {
    // Fails where something is still mounted. Not held, because mkfs opens it like this as well.
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_EXCL)
        .open(disk)
        .ok()?;
    let file = OpenOptions::new().write(true).open(disk).ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}
