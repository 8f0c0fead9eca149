//! A FUSE server of one file, whose bytes are those of a file of another filesystem. It can bring them to the kernel in
//! several ways. What is written to the file it takes and forgets.

use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _, pipe},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SpliceFFlags, fcntl, splice},
    libc,
    mount::{MntFlags, umount2},
    sys::uio::pread,
};

use super::{
    MAX_WRITE, ROOT, Request, attr, attr_out, entry_out, init, mounted, reply, u32_at, u64_at,
};
use crate::workload::{Skip, stage::shared::Shared};

/// How the server takes requests, and answers one to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workload) enum Mode {
    /// It reads and writes `/dev/fuse`.
    Copy,
    /// It splices requests and bytes, and lets the kernel copy them.
    Splice,
    /// It splices bytes alone, and lets the kernel take the pages (`SPLICE_F_MOVE`).
    Move,
    /// The kernel reads the file by itself, and never asks (Linux 6.9 and later).
    Passthrough,
}

impl Mode {
    /// Whether the server splices requests.
    #[must_use]
    pub(in crate::workload) const fn splices_requests(self) -> bool {
        matches!(self, Self::Splice)
    }
}

/// Counters of the shared memory.
pub(in crate::workload) const MOUNTED: usize = 0;
/// Requests, and their bytes.
pub(in crate::workload) const REQUESTS: usize = 1;
pub(in crate::workload) const REQUESTED: usize = 2;
/// Answers that are written, and their bytes.
pub(in crate::workload) const ANSWERS: usize = 3;
pub(in crate::workload) const ANSWERED: usize = 4;
/// Requests to read, and the bytes of their answers without headers.
pub(in crate::workload) const READS: usize = 5;
pub(in crate::workload) const READ: usize = 6;
/// Splices of the file into the pipe.
pub(in crate::workload) const SPLICES: usize = 7;
/// Bytes that are written to the file.
pub(in crate::workload) const WRITTEN: usize = 8;
/// Answers to the file's last close.
pub(in crate::workload) const RELEASED: usize = 9;

/// The size of `fuse_out_header`.
pub(in crate::workload) const ANSWER_HEADER: usize = 16;
const NAME: &[u8] = b"file";
const NODE: u64 = ROOT + 1;

/// A mounted file, unmounted on drop. Whoever runs [`Server::serve`] mounts it.
pub(in crate::workload) struct Mounted(PathBuf);

impl Mounted {
    /// It will be mounted on this directory.
    pub(in crate::workload) const fn on(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file.
    #[must_use]
    pub(in crate::workload) fn file(&self) -> PathBuf {
        self.0.join("file")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// The server, before it is mounted.
pub(in crate::workload) struct Server {
    pub(in crate::workload) mode: Mode,
    pub(in crate::workload) backing: File,
    pub(in crate::workload) size: u64,
    pub(in crate::workload) shared: Shared,
}

impl Server {
    /// Mounts the file below `path` and serves it until that is unmounted.
    pub(in crate::workload) fn serve(&self, path: &Path) -> Result<()> {
        let mut device = mounted(path)?;
        let mut pages = pipe().context("pipe")?;
        fcntl(&pages.1, FcntlArg::F_SETPIPE_SZ(1 << 20)).context("the size of a pipe")?;
        self.shared.count(MOUNTED, 1);
        let mut buffer = vec![0; MAX_WRITE + 4096];
        loop {
            let length = match self.take(&mut device, &mut pages, &mut buffer) {
                Ok(length) => length,
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
                Err(error) => return Err(error).context("reading a request"),
            };
            self.shared.count(REQUESTS, 1);
            self.shared.count(REQUESTED, length as u64);
            self.answer(&Request(&buffer[..length]), &mut device, &mut pages)?;
        }
    }

    /// Takes a request.
    fn take(
        &self,
        device: &mut File,
        (out, into): &mut (PipeReader, PipeWriter),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if !self.mode.splices_requests() {
            return device.read(buffer);
        }
        let none = SpliceFFlags::empty();
        let length = splice(device, None, into, None, buffer.len(), none)?;
        out.read_exact(&mut buffer[..length])?;
        Ok(length)
    }

    fn answer(
        &self,
        request: &Request<'_>,
        device: &mut File,
        pages: &mut (PipeReader, PipeWriter),
    ) -> Result<()> {
        const LOOKUP: u32 = 1;
        const FORGET: u32 = 2;
        const GETATTR: u32 = 3;
        const OPEN: u32 = 14;
        const READ_FILE: u32 = 15;
        const WRITE_FILE: u32 = 16;
        const RELEASE: u32 = 18;
        const FLUSH: u32 = 25;
        const INIT: u32 = 26;
        const INTERRUPT: u32 = 36;
        const BATCH_FORGET: u32 = 42;
        let body = match request.opcode() {
            FORGET | BATCH_FORGET | INTERRUPT => return Ok(()),
            READ_FILE => {
                let offset = u64_at(request.body(), 8);
                let asked = u64::from(u32_at(request.body(), 16));
                let length = asked.min(self.size.saturating_sub(offset));
                self.shared.count(READS, 1);
                self.shared.count(READ, length);
                return self.give(request.unique(), offset, length as usize, device, pages);
            }
            WRITE_FILE => {
                let size = u32_at(request.body(), 16);
                self.shared.count(WRITTEN, u64::from(size));
                Ok([size, 0].map(u32::to_ne_bytes).concat())
            }
            INIT => Ok(self.init()),
            LOOKUP if request.name(0) == NAME => Ok(entry_out(NODE, &self.attr(NODE))),
            LOOKUP => Err(Errno::ENOENT),
            GETATTR => Ok(attr_out(&self.attr(request.node()))),
            OPEN => Ok(self.opened(device)?),
            RELEASE | FLUSH => Ok(Vec::new()),
            _ => Err(Errno::ENOSYS),
        };
        self.write(device, &reply(request.unique(), body))?;
        if request.opcode() == RELEASE {
            self.shared.count(RELEASED, 1);
        }
        Ok(())
    }

    fn attr(&self, node: u64) -> Vec<u8> {
        attr(node, (node != ROOT).then_some(self.size))
    }

    fn write(&self, device: &mut File, answer: &[u8]) -> Result<()> {
        let written = device.write(answer).context("writing an answer")?;
        ensure!(written == answer.len(), "{written} bytes of an answer");
        self.shared.count(ANSWERS, 1);
        self.shared.count(ANSWERED, written as u64);
        Ok(())
    }

    /// Answers a request to read.
    fn give(
        &self,
        unique: u64,
        offset: u64,
        length: usize,
        device: &mut File,
        (out, into): &mut (PipeReader, PipeWriter),
    ) -> Result<()> {
        let mut answer = reply(unique, Ok(vec![0; length]));
        let flags = match self.mode {
            Mode::Passthrough => bail!("the kernel asks for bytes that it can read by itself"),
            Mode::Copy => {
                let bytes = &mut answer[ANSWER_HEADER..];
                let read = pread(&self.backing, bytes, offset.cast_signed())?;
                ensure!(read == length, "{read} bytes of the file");
                return self.write(device, &answer);
            }
            Mode::Splice => SpliceFFlags::empty(),
            Mode::Move => SpliceFFlags::SPLICE_F_MOVE,
        };
        into.write_all(&answer[..ANSWER_HEADER])
            .context("the header of an answer")?;
        let mut at = offset.cast_signed();
        let mut left = length;
        while left > 0 {
            let none = SpliceFFlags::empty();
            let moved = splice(&self.backing, Some(&mut at), &mut *into, None, left, none)?;
            ensure!(moved > 0, "the file ends early");
            self.shared.count(SPLICES, 1);
            left -= moved;
        }
        let moved = splice(&mut *out, None, device, None, answer.len(), flags)?;
        ensure!(moved == answer.len(), "{moved} bytes of an answer");
        Ok(())
    }

    /// `fuse_init_out`.
    fn init(&self) -> Vec<u8> {
        const INIT_EXT: u32 = 1 << 30;
        /// Of the second word of flags.
        const PASSTHROUGH: u32 = 1 << 5;
        let mut reply = init();
        if self.mode == Mode::Passthrough {
            reply[12..16].copy_from_slice(&INIT_EXT.to_ne_bytes());
            reply[32..36].copy_from_slice(&PASSTHROUGH.to_ne_bytes());
            // How many filesystems may be stacked on another one.
            reply[36..40].copy_from_slice(&1_u32.to_ne_bytes());
        }
        reply
    }

    /// `fuse_open_out`.
    fn opened(&self, device: &File) -> Result<Vec<u8>> {
        const PASSTHROUGH: u32 = 1 << 7;
        /// `_IOW(229, 1, struct fuse_backing_map)`.
        const BACKING_OPEN: libc::c_ulong = 0x4010_e501;
        let mut reply = vec![0; 16];
        if self.mode == Mode::Passthrough {
            let map = [self.backing.as_raw_fd(), 0, 0, 0];
            // SAFETY: `struct fuse_backing_map` is a descriptor and zeros.
            let id = unsafe { libc::ioctl(device.as_raw_fd(), BACKING_OPEN, map.as_ptr()) };
            let id = Errno::result(id).map_err(|errno| match errno {
                Errno::ENOTTY | Errno::EOPNOTSUPP => {
                    Skip(format!("no passthrough of FUSE: {errno}")).into()
                }
                errno => anyhow::Error::from(errno).context("a backing file of FUSE"),
            })?;
            reply[8..12].copy_from_slice(&PASSTHROUGH.to_ne_bytes());
            reply[12..16].copy_from_slice(&id.to_ne_bytes());
        }
        Ok(reply)
    }
}
