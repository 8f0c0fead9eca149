//! A block device that a process serves through ublk. One request is under way at a time.
//!
//! Commands and structs are those of linux/ublk_cmd.h, put together by hand.

use std::{
    fs::{File, OpenOptions},
    num::NonZeroUsize,
    os::fd::{AsRawFd as _, RawFd},
    path::PathBuf,
    ptr::NonNull,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use io_uring::{
    IoUring, cqueue, opcode,
    squeue::{Entry128, Flags},
    types::{Fd, SubmitArgs, Timespec},
};
use nix::{
    errno::Errno,
    libc,
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    unistd::Pid,
};

use super::loop_device::load_module;
use crate::workload::{
    Skip,
    stage::{buffer::Buffer, mapping::page_size, shared::Shared},
};

/// Bytes of the largest request, and of every one that [`Device`]'s user should make.
pub(in crate::workload) const REQUEST: usize = 64 << 10;
const SECTOR: usize = 512;
const PATIENCE: Duration = Duration::from_secs(30);

const ZERO_COPY: u64 = 1 << 0;
const IOCTL_ENCODING: u64 = 1 << 6;
const USER_COPY: u64 = 1 << 7;

const fn control(number: u8) -> u32 {
    nix::request_code_readwrite!(b'u', number, size_of::<Control>()) as u32
}

const fn transfer(number: u8) -> u32 {
    nix::request_code_readwrite!(b'u', number, size_of::<Transfer>()) as u32
}

const ADD: u32 = control(4);
const DELETE: u32 = control(5);
const START: u32 = control(6);
const STOP: u32 = control(7);
const SET_PARAMETERS: u32 = control(8);
const FETCH: u32 = transfer(0x20);
const COMMIT_AND_FETCH: u32 = transfer(0x21);
const REGISTER_BUFFER: u32 = transfer(0x23);
const UNREGISTER_BUFFER: u32 = transfer(0x24);

/// `struct ublksrv_ctrl_cmd`.
#[repr(C)]
#[derive(Default)]
struct Control {
    device: u32,
    queue: u16,
    length: u16,
    address: u64,
    data: u64,
    path_length: u16,
    unused: [u16; 3],
}

/// `struct ublksrv_ctrl_dev_info`.
#[repr(C)]
#[derive(Default)]
struct Info {
    queues: u16,
    depth: u16,
    state: u16,
    unused: u16,
    max_io_bytes: u32,
    device: u32,
    server: i32,
    unused_too: u32,
    flags: u64,
    server_flags: u64,
    owner: [u32; 2],
    reserved: [u64; 2],
}

/// `struct ublk_params` with the basic ones only.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    length: u32,
    types: u32,
    attributes: u32,
    logical_shift: u8,
    physical_shift: u8,
    optimal_shift: u8,
    minimal_shift: u8,
    max_sectors: u32,
    chunk_sectors: u32,
    sectors: u64,
    boundary: u64,
}

/// `struct ublksrv_io_cmd`.
#[repr(C)]
struct Transfer {
    queue: u16,
    tag: u16,
    result: i32,
    address: u64,
}

/// `struct ublksrv_io_desc`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Description {
    operation: u32,
    sectors: u32,
    start: u64,
    address: u64,
}

const _: () = assert!(size_of::<Control>() == 32 && size_of::<Info>() == 64);
const _: () = assert!(size_of::<Parameters>() == 40 && size_of::<Transfer>() == 16);

/// How bytes get between block requests and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workload) enum Mode {
    /// The driver copies, within the server's commands.
    Copy,
    /// The server reads and writes `/dev/ublkc*`.
    UserCopy,
    /// The server registers the pages of the request as a buffer of its ring.
    ZeroCopy,
}

impl Mode {
    const fn flags(self) -> u64 {
        match self {
            Self::Copy => 0,
            Self::UserCopy => USER_COPY,
            Self::ZeroCopy => ZERO_COPY,
        }
    }
}

/// A device of ublk, which disappears with this.
pub(in crate::workload) struct Device {
    control: File,
    ring: IoUring<Entry128, cqueue::Entry>,
    number: u32,
    mode: Mode,
    bytes: usize,
}

impl Device {
    /// Adds a device of `bytes` bytes, which nobody serves yet.
    pub(in crate::workload) fn new(mode: Mode, bytes: usize) -> Result<Self> {
        const CONTROL: &str = "/dev/ublk-control";
        let open = || OpenOptions::new().read(true).write(true).open(CONTROL);
        let control = open()
            .or_else(|_| {
                load_module("ublk_drv");
                open()
            })
            .map_err(|error| Skip(format!("no ublk: {CONTROL}: {error}")))?;
        let ring = IoUring::builder()
            .build(4)
            .map_err(|error| Skip(format!("no ring for ublk: {error}")))?;
        let wanted = mode.flags() | IOCTL_ENCODING;
        let mut info = Info {
            queues: 1,
            depth: 1,
            max_io_bytes: REQUEST as u32,
            device: u32::MAX,
            flags: wanted,
            ..Info::default()
        };
        let mut device = Self {
            control,
            ring,
            number: u32::MAX,
            mode,
            bytes,
        };
        let mut add = Control {
            device: u32::MAX,
            queue: u16::MAX,
            length: size_of::<Info>() as u16,
            address: (&raw mut info).addr() as u64,
            ..Control::default()
        };
        match device.ask(ADD, &mut add)? {
            Err(errno @ (Errno::EINVAL | Errno::EOPNOTSUPP)) => {
                return Err(Skip(format!("this kernel's ublk has no {mode:?}: {errno}")).into());
            }
            added => added.context("adding a device of ublk")?,
        }
        device.number = info.device;
        if info.flags & wanted != wanted {
            return Err(Skip(format!("this kernel's ublk has no {mode:?}")).into());
        }
        let parameters = Parameters {
            length: size_of::<Parameters>() as u32,
            types: 1,
            logical_shift: 12,
            physical_shift: 12,
            optimal_shift: 12,
            minimal_shift: 12,
            max_sectors: (REQUEST / SECTOR) as u32,
            sectors: (bytes / SECTOR) as u64,
            ..Parameters::default()
        };
        let mut set = device.command();
        set.length = size_of::<Parameters>() as u16;
        set.address = (&raw const parameters).addr() as u64;
        device
            .ask(SET_PARAMETERS, &mut set)?
            .context("the parameters of a device of ublk")?;
        Ok(device)
    }

    const fn command(&self) -> Control {
        Control {
            device: self.number,
            queue: u16::MAX,
            length: 0,
            address: 0,
            data: 0,
            path_length: 0,
            unused: [0; 3],
        }
    }

    fn ask(&mut self, operation: u32, command: &mut Control) -> Result<nix::Result<()>> {
        let mut bytes = [0; 80];
        // SAFETY: a struct of integers without padding, shorter than the array.
        unsafe {
            (&raw const *command)
                .cast::<u8>()
                .copy_to_nonoverlapping(bytes.as_mut_ptr(), size_of::<Control>());
        }
        let entry = opcode::UringCmd80::new(Fd(self.control.as_raw_fd()), operation)
            .cmd(bytes)
            .build();
        // SAFETY: what the command points to is on the stack of the caller, which waits.
        unsafe { self.ring.submission().push(&entry) }.context("the submission queue is full")?;
        let patience = Timespec::from(PATIENCE);
        let args = SubmitArgs::new().timespec(&patience);
        self.ring
            .submitter()
            .submit_with_args(1, &args)
            .context("ublk does not answer")?;
        let answer = self.ring.completion().next().context("no completion")?;
        Ok(Errno::result(answer.result())
            .map(drop)
            .map_err(|_| Errno::from_raw(-answer.result())))
    }

    /// What the server opens.
    fn character(&self) -> PathBuf {
        PathBuf::from(format!("/dev/ublkc{}", self.number))
    }

    /// What its user opens, once it is started.
    #[must_use]
    pub(in crate::workload) fn block(&self) -> PathBuf {
        PathBuf::from(format!("/dev/ublkb{}", self.number))
    }

    /// Makes the device usable, as soon as `server` waits for its first request.
    pub(in crate::workload) fn start(&mut self, server: Pid) -> Result<()> {
        let mut start = self.command();
        start.data = server.as_raw() as u64;
        self.ask(START, &mut start)?
            .context("starting a device of ublk")
    }

    /// Ends it. Its server's command fails.
    pub(in crate::workload) fn stop(&mut self) -> Result<()> {
        let mut stop = self.command();
        self.ask(STOP, &mut stop)?
            .context("stopping a device of ublk")
    }

    /// Describes it to its server.
    #[must_use]
    pub(in crate::workload) fn to_serve(&self) -> Served {
        Served {
            character: self.character(),
            mode: self.mode,
            bytes: self.bytes,
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.number != u32::MAX {
            let _ = self.stop();
            let mut delete = self.command();
            let _ = self.ask(DELETE, &mut delete);
        }
    }
}

/// Counters of the shared memory: requests of each kind and their bytes. The kernel reads as well, when it looks for
/// partitions.
pub(in crate::workload) const WRITES: usize = 0;
pub(in crate::workload) const BYTES_WRITTEN: usize = 1;
pub(in crate::workload) const READS: usize = 2;
pub(in crate::workload) const BYTES_READ: usize = 3;
/// Such as a flush.
pub(in crate::workload) const OTHERS: usize = 4;

/// A device as its server knows it.
pub(in crate::workload) struct Served {
    character: PathBuf,
    mode: Mode,
    bytes: usize,
}

/// The descriptions of requests that the driver shares with the server.
struct Descriptions(NonNull<libc::c_void>);

impl Descriptions {
    fn of(device: &File) -> Result<Self> {
        let length = NonZeroUsize::new(page_size()).context("no pages")?;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let at = unsafe { mmap(None, length, ProtFlags::PROT_READ, flags, device, 0) };
        Ok(Self(at.context("the queue of a device of ublk")?))
    }

    fn first(&self) -> Description {
        // SAFETY: the driver writes it before the command completes.
        unsafe { self.0.cast::<Description>().read_volatile() }
    }
}

impl Drop for Descriptions {
    fn drop(&mut self) {
        // SAFETY: nobody else has the mapping.
        let _ = unsafe { munmap(self.0, page_size()) };
    }
}

impl Served {
    /// Serves every request until the device is stopped: from `backing` where the pages of the request are registered,
    /// otherwise from memory.
    pub(in crate::workload) fn serve(&self, backing: &File, shared: Shared) -> Result<()> {
        let device = opened(&self.character)?;
        let mut server = Server {
            descriptions: Descriptions::of(&device)?,
            ring: IoUring::new(8).context("io_uring_setup")?,
            buffer: Buffer::zeroed(REQUEST)?,
            image: vec![0; self.bytes],
            device: device.as_raw_fd(),
            backing: backing.as_raw_fd(),
            mode: self.mode,
            shared,
        };
        if self.mode == Mode::ZeroCopy {
            let sparse = server.ring.submitter().register_buffers_sparse(1);
            sparse.context("a table of registered buffers")?;
        }
        let mut ended = server.command(FETCH, 0)?;
        while ended != -libc::ENODEV {
            ensure!(ended == 0, "the driver answers {ended}");
            let result = server.answer()?;
            ended = server.command(COMMIT_AND_FETCH, result)?;
        }
        Ok(())
    }
}

/// The device node appears a little later on some machines.
fn opened(path: &PathBuf) -> Result<File> {
    let begin = Instant::now();
    loop {
        match OpenOptions::new().read(true).write(true).open(path) {
            Err(_) if begin.elapsed() < Duration::from_secs(5) => {
                thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.with_context(|| path.display().to_string()),
        }
    }
}

struct Server {
    descriptions: Descriptions,
    ring: IoUring,
    buffer: Buffer,
    image: Vec<u8>,
    device: RawFd,
    backing: RawFd,
    mode: Mode,
    shared: Shared,
}

impl Server {
    /// Gives the driver a command for the only tag, and waits for its end.
    fn command(&mut self, operation: u32, result: i32) -> Result<i32> {
        let is_transfer = matches!(operation, FETCH | COMMIT_AND_FETCH);
        let transfer = Transfer {
            queue: 0,
            tag: 0,
            result,
            address: if is_transfer && self.mode == Mode::Copy {
                self.buffer.as_ptr().addr() as u64
            } else {
                // Registered buffer 0 as well.
                0
            },
        };
        // SAFETY: a struct of integers without padding, as long as the array.
        let bytes = unsafe { std::mem::transmute::<Transfer, [u8; 16]>(transfer) };
        let entry = opcode::UringCmd16::new(Fd(self.device), operation)
            .cmd(bytes)
            .build();
        self.wait_for(entry)
    }

    fn wait_for(&mut self, entry: io_uring::squeue::Entry) -> Result<i32> {
        let entry = entry.flags(Flags::empty());
        // SAFETY: the buffers outlive the request, because this waits for its end.
        unsafe { self.ring.submission().push(&entry) }.context("the submission queue is full")?;
        self.ring.submit_and_wait(1).context("io_uring_enter")?;
        let ended = self.ring.completion().next().context("no completion")?;
        Ok(ended.result())
    }

    /// Does what the current request asks for. Returns its result.
    fn answer(&mut self) -> Result<i32> {
        const READ: u32 = 0;
        const WRITE: u32 = 1;
        let request = self.descriptions.first();
        let length = request.sectors as usize * SECTOR;
        let start = usize::try_from(request.start)? * SECTOR;
        let end = start + length;
        let writes = match request.operation & 0xff {
            READ => false,
            WRITE => true,
            _ => {
                self.shared.count(OTHERS, 1);
                return Ok(0);
            }
        };
        ensure!(
            end <= self.image.len() && length <= REQUEST,
            "a request outside the device"
        );
        let (requests, bytes) = if writes {
            (WRITES, BYTES_WRITTEN)
        } else {
            (READS, BYTES_READ)
        };
        self.shared.count(requests, 1);
        self.shared.count(bytes, length as u64);
        if self.mode == Mode::ZeroCopy {
            return self.refer(start, length, writes);
        }
        if writes {
            self.user_copy(length, true)?;
            self.image[start..end].copy_from_slice(&self.buffer[..length]);
        } else {
            self.buffer[..length].copy_from_slice(&self.image[start..end]);
            self.user_copy(length, false)?;
        }
        Ok(i32::try_from(length)?)
    }

    /// Copies between the buffer and the request, if the driver does not do so itself.
    fn user_copy(&mut self, length: usize, from_request: bool) -> Result<()> {
        const BUFFERS: libc::off_t = 0x8000_0000;
        if self.mode != Mode::UserCopy {
            return Ok(());
        }
        // SAFETY: the buffer is that long.
        let moved = unsafe {
            if from_request {
                libc::pread(
                    self.device,
                    self.buffer.as_mut_ptr().cast(),
                    length,
                    BUFFERS,
                )
            } else {
                libc::pwrite(self.device, self.buffer.as_ptr().cast(), length, BUFFERS)
            }
        };
        let moved = Errno::result(moved).context("copying to or from a request")?;
        ensure!(moved as usize == length, "{moved} of {length} bytes");
        Ok(())
    }

    /// Lets the backing file fill the pages of the request, or take what is in them.
    fn refer(&mut self, start: usize, length: usize, writes: bool) -> Result<i32> {
        let registered = self.command(REGISTER_BUFFER, 0)?;
        ensure!(registered == 0, "registering a request: {registered}");
        let (file, at) = (Fd(self.backing), std::ptr::null_mut());
        let count = u32::try_from(length)?;
        let entry = if writes {
            opcode::WriteFixed::new(file, at, count, 0)
                .offset(start as u64)
                .build()
        } else {
            opcode::ReadFixed::new(file, at, count, 0)
                .offset(start as u64)
                .build()
        };
        let result = self.wait_for(entry)?;
        let removed = self.command(UNREGISTER_BUFFER, 0)?;
        ensure!(removed == 0, "removing a request: {removed}");
        Ok(result)
    }
}
