//! A file as a block device, given back to the kernel when nobody uses it any more.

use std::{
    fs::{File, OpenOptions},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use nix::{errno::Errno, libc};

use crate::workload::Skip;

const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
/// Detach the file when the last user closes the device.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    names_and_keys: [u64; 22],
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopConfig>() == 8 + 232 + 64);

/// A loop device; it is released when this and everything mounted from it is gone.
pub struct LoopDevice {
    path: PathBuf,
    _open: File,
}

impl LoopDevice {
    /// Attaches a new sparse file `image` of `size` bytes.
    pub fn new(image: &Path, size: u64) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(image)
            .with_context(|| format!("making {}", image.display()))?;
        file.set_len(size)?;
        // Another program can take the free device between the two calls.
        for _ in 0..16 {
            let path = free_device()?;
            let device = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .map_err(|error| Skip(format!("no loop device: {}: {error}", path.display())))?;
            let config = LoopConfig {
                fd: file.as_raw_fd().cast_unsigned(),
                block_size: 512,
                device: 0,
                inode: 0,
                rdevice: 0,
                offset: 0,
                size_limit: 0,
                number: 0,
                encrypt_type: 0,
                encrypt_key_size: 0,
                flags: LO_FLAGS_AUTOCLEAR,
                names_and_keys: [0; 22],
                reserved: [0; 8],
            };
            // SAFETY: LOOP_CONFIGURE reads a `loop_config`, which outlives the call.
            let result =
                unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
            match Errno::result(result) {
                Ok(_) => {
                    return Ok(Self {
                        path,
                        _open: device,
                    });
                }
                Err(Errno::EBUSY) => {}
                Err(errno) => bail!(Skip(format!("no loop device: LOOP_CONFIGURE: {errno}"))),
            }
        }
        bail!(Skip("no loop device: all are taken".to_owned()))
    }

    /// The device's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn free_device() -> Result<PathBuf> {
    const CONTROL: &str = "/dev/loop-control";
    let control = File::open(CONTROL).or_else(|_| {
        load_module("loop");
        File::open(CONTROL)
    });
    let control = control.map_err(|error| Skip(format!("no loop device: {CONTROL}: {error}")))?;
    // SAFETY: LOOP_CTL_GET_FREE takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    let number = Errno::result(number)
        .map_err(|errno| Skip(format!("no loop device: LOOP_CTL_GET_FREE: {errno}")))?;
    Ok(PathBuf::from(format!("/dev/loop{number}")))
}

/// Asks for a kernel module. Whether it helped shows when its function is used.
pub fn load_module(name: &str) {
    let _ = Command::new("modprobe")
        .args(["-q", name])
        .stderr(std::process::Stdio::null())
        .status();
}
