//! Filesystems to work on, each mounted for this run only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{block_device::BlockDevice, fuse::Daemon, loop_device::load_module};
use crate::workload::{Skip, stage::mapping::page_size};

/// Large enough for the smallest xfs; the image is sparse.
const IMAGE_SIZE: u64 = 512 << 20;

/// A filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fs {
    /// In memory.
    Tmpfs,
    /// On a disk, or a loop device.
    Ext4,
    /// On a disk, or a loop device.
    Xfs,
    /// On a disk, or a loop device.
    Btrfs,
    /// On a disk, or a loop device.
    Vfat,
    /// On a disk, or a loop device.
    Exfat,
    /// Over two directories of a tmpfs.
    Overlay,
    /// In user space.
    Fuse,
}

impl Fs {
    /// How many bytes at the begin of a file may be copied when its extents are shared: btrfs may keep a first block
    /// within its metadata, and overlayfs does not tell what is below it.
    #[must_use]
    pub fn inline(self) -> u64 {
        match self {
            Self::Btrfs | Self::Overlay => page_size() as u64,
            _ => 0,
        }
    }

    /// As the kernel calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tmpfs => "tmpfs",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Exfat => "exfat",
            Self::Overlay => "overlay",
            Self::Fuse => "fuse",
        }
    }

    /// As the ledger calls a file on it.
    #[must_use]
    pub const fn object(self) -> &'static str {
        match self {
            Self::Tmpfs => "file:tmpfs",
            Self::Ext4 => "file:ext4",
            Self::Xfs => "file:xfs",
            Self::Btrfs => "file:btrfs",
            Self::Vfat => "file:vfat",
            Self::Exfat => "file:exfat",
            Self::Overlay => "file:overlay",
            Self::Fuse => "file:fuse",
        }
    }
}

/// A mounted filesystem, unmounted on drop.
pub struct Mount {
    path: PathBuf,
    device: Option<BlockDevice>,
    daemon: Option<Daemon>,
}

impl Mount {
    /// Mounts `fs` somewhere below `directory`.
    pub fn new(fs: Fs, directory: &Path) -> Result<Self> {
        let path = directory.join(fs.name());
        fs::create_dir(&path)?;
        let mut device = None;
        let mut daemon = None;
        match fs {
            Fs::Tmpfs => attach(fs, "zctrace-traffic", &path, "mode=700")?,
            Fs::Overlay => {
                let layers = ["lower", "upper", "work"].map(|name| directory.join(name));
                for layer in &layers {
                    fs::create_dir(layer)?;
                }
                let [lower, upper, work] = layers.each_ref().map(|layer| layer.display());
                let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
                attach(fs, "zctrace-traffic", &path, &options)?;
            }
            Fs::Fuse => daemon = Some(Daemon::mount(&path)?),
            Fs::Ext4 | Fs::Xfs | Fs::Btrfs | Fs::Vfat | Fs::Exfat => {
                let image = directory.join(format!("{}.image", fs.name()));
                let device = device.insert(BlockDevice::new(&image, IMAGE_SIZE)?);
                make_filesystem(fs, device.path())?;
                attach(fs, &device.path().to_string_lossy(), &path, "")?;
            }
        }
        Ok(Self {
            path,
            device,
            daemon,
        })
    }

    /// Its root directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lower layer of an overlay.
    #[must_use]
    pub fn lower(&self) -> PathBuf {
        self.path.with_file_name("lower")
    }

    /// Whether a real disk is below, not a loop device or memory.
    #[must_use]
    pub fn is_disk(&self) -> bool {
        self.device.as_ref().is_some_and(BlockDevice::is_disk)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        drop(self.daemon.take());
    }
}

fn make_filesystem(fs: Fs, device: &Path) -> Result<()> {
    let (program, options): (_, &[&str]) = match fs {
        // Initialized at once: no kernel thread of it works while a family runs.
        Fs::Ext4 => ("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0"]),
        Fs::Xfs => ("mkfs.xfs", &["-q", "-f"]),
        Fs::Btrfs => ("mkfs.btrfs", &["-q", "-f"]),
        // Of a whole device, which needs no partitions.
        Fs::Vfat => ("mkfs.vfat", &["-I"]),
        Fs::Exfat => ("mkfs.exfat", &[]),
        Fs::Tmpfs | Fs::Overlay | Fs::Fuse => bail!("{} needs no mkfs", fs.name()),
    };
    let output = Command::new(program)
        .args(options)
        .arg(device)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Skip(format!("no {program}: {error}")))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", device.display(), message.trim());
    }
    Ok(())
}

fn attach(fs: Fs, source: &str, path: &Path, options: &str) -> Result<()> {
    let attempt = || {
        mount(
            Some(source),
            path,
            Some(fs.name()),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some(options),
        )
    };
    match attempt() {
        Err(nix::errno::Errno::ENODEV) => {
            load_module(fs.name());
            attempt().map_err(|errno| Skip(format!("no {} in this kernel: {errno}", fs.name())))?;
            Ok(())
        }
        other => other.context("mount"),
    }
}
