//! A call that is not an operation of the ledger and copies all the same: `BTRFS_IOC_SEND` writes its
//! stream from inside the kernel, here into a file in memory. How long the stream is, the file tells.

use std::{fs::File, io, os::fd::AsRawFd as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::memfd::{MFdFlags, memfd_create},
};
use zctrace_common::{Class, Op};

use crate::workload::{Arena, Expected, ExpectedRow, Prepared, Traffic, scene::mounts::Fs};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "btrfs-send",
    "an ioctl that writes: btrfs sends a snapshot into a file in memory",
    prepare,
)];

const SUBVOL_CREATE: libc::Ioctl = nix::request_code_write!(0x94, 14, size_of::<VolumeArgs>());
const SUBVOL_SETFLAGS: libc::Ioctl = nix::request_code_write!(0x94, 26, size_of::<u64>());
const SEND: libc::Ioctl = nix::request_code_write!(0x94, 38, size_of::<SendArgs>());
const READ_ONLY: u64 = 1 << 1;

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct VolumeArgs {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_send_args`.
#[repr(C)]
#[derive(Default)]
struct SendArgs {
    send_fd: i64,
    clone_sources_count: u64,
    clone_sources: u64,
    parent_root: u64,
    flags: u64,
    version: u32,
    reserved: [u32; 7],
}

const _: () = assert!(size_of::<VolumeArgs>() == 4096 && size_of::<SendArgs>() == 72);

fn prepare(arena: &Arena) -> Result<Prepared> {
    let mount = arena.mount(Fs::Btrfs)?;
    let subvolume = snapshot(mount.path(), arena)?;
    let stream = File::from(memfd_create(c"zctrace-stream", MFdFlags::MFD_CLOEXEC)?);
    let written = stream.try_clone()?;
    let mut prepared = Prepared::new(Expected::new(), move || {
        let args = SendArgs {
            send_fd: stream.as_raw_fd().into(),
            ..SendArgs::default()
        };
        ioctl(&subvolume, SEND, &args).context("BTRFS_IOC_SEND")
    })
    .finish(move |expected| {
        let bytes = written.metadata()?.len();
        ensure!(bytes > 0, "an empty stream");
        let row = ExpectedRow::new(Op::Other, "syscall:ioctl").ops(1);
        expected.add(row.class(Class::CopiedInKernel, bytes));
        Ok(())
    });
    prepared.keep.push(Box::new(mount));
    Ok(prepared)
}

/// A subvolume with a file, made read-only: only such can be sent.
fn snapshot(mount: &Path, arena: &Arena) -> Result<File> {
    let mut args = VolumeArgs {
        fd: 0,
        name: [0; 4088],
    };
    args.name[..4].copy_from_slice(b"sent");
    ioctl(&File::open(mount)?, SUBVOL_CREATE, &args).context("a subvolume")?;
    let path = mount.join("sent");
    arena.fill_file(&path.join("file"), arena.sizes.bytes)?;
    File::open(path.join("file"))?.sync_all()?;
    let subvolume = File::open(&path)?;
    ioctl(&subvolume, SUBVOL_SETFLAGS, &READ_ONLY).context("making a subvolume read-only")?;
    Ok(subvolume)
}

fn ioctl<T>(file: &File, request: libc::Ioctl, argument: &T) -> io::Result<()> {
    // SAFETY: the argument is what the request takes, and outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_ref(argument)) };
    Errno::result(result)?;
    Ok(())
}
