//! Linux AIO, by its own system calls.

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{errno::Errno, libc};
use zctrace_common::{Class, Evidence, Op};

use super::direct::WithHoles;
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    scene::{arena::evict, mounts::Fs, opened_direct::opened_direct},
    stage::{mapping::whole_pages, slots::Slots},
    truth::exact::{calls, cut},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::request(
        "aio-file",
        "Linux AIO without O_DIRECT on ext4: copied while it is submitted",
        |arena| buffered(arena, Fs::Ext4),
    ),
    Traffic::request("aio-tmpfs", "Linux AIO on tmpfs", |arena| {
        buffered(arena, Fs::Tmpfs)
    }),
    Traffic::request("aio-direct", "Linux AIO with O_DIRECT on ext4", |arena| {
        direct(arena, Fs::Ext4)
    }),
    Traffic::request(
        "aio-direct-xfs",
        "Linux AIO with O_DIRECT on xfs",
        |arena| direct(arena, Fs::Xfs),
    )
    .tag("aio-dir-xfs"),
    Traffic::request(
        "aio-direct-btrfs",
        "Linux AIO reads with O_DIRECT on btrfs",
        direct_btrfs,
    )
    .tag("aio-dir-bt"),
    Traffic::request(
        "aio-direct-holes",
        "Linux AIO reads with O_DIRECT on xfs across holes and unwritten extents",
        direct_holes,
    )
    .tag("aio-dir-h"),
    Traffic::request(
        "aio-block",
        "Linux AIO with O_DIRECT on a block device",
        block_device,
    ),
    Traffic::request(
        "aio-errors",
        "Linux AIO on ext4 between requests that the kernel does not take",
        errors,
    ),
];

pub(in crate::workload) const IOCB_CMD_PREAD: u16 = 0;
pub(in crate::workload) const IOCB_CMD_PWRITE: u16 = 1;
const IOCB_CMD_PREADV: u16 = 7;
const IOCB_CMD_PWRITEV: u16 = 8;

/// `struct iocb` of include/uapi/linux/aio_abi.h, little-endian.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    reqprio: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct IoEvent {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

/// Bytes of a request with `O_DIRECT`.
const DIRECT_CHUNK: usize = 64 * 1024;
/// Requests under way at once.
pub(in crate::workload) const DEPTH: usize = 8;

/// A context of AIO.
pub(in crate::workload) struct Context(libc::c_ulong);

impl Context {
    /// A context for [`DEPTH`] requests.
    pub(in crate::workload) fn new() -> Result<Self> {
        let mut id = 0;
        // SAFETY: the kernel writes an id.
        let result = unsafe { libc::syscall(libc::SYS_io_setup, DEPTH, &raw mut id) };
        match Errno::result(result) {
            Ok(_) => Ok(Self(id)),
            Err(Errno::ENOSYS) => bail!(Skip("this kernel has no Linux AIO".to_owned())),
            Err(errno) => Err(errno).context("io_setup"),
        }
    }

    /// Makes a request for each of `pieces`, an offset and a length, up to [`DEPTH`] at once; each
    /// must move all of its bytes. It asks for `asked` of them.
    pub(in crate::workload) fn each(
        &self,
        file: &File,
        opcode: u16,
        pieces: impl Iterator<Item = (u64, usize)>,
        asked: fn(usize) -> usize,
        buffers: &mut Slots,
    ) -> Result<()> {
        let mut pieces = pieces.fuse();
        let mut requests = [Iocb::default(); DEPTH];
        let mut lengths = [0; DEPTH];
        let mut vectors = [(0_u64, 0_u64); DEPTH];
        let mut free: Vec<usize> = (0..DEPTH).collect();
        loop {
            let mut submitted = Vec::with_capacity(DEPTH);
            while let Some(slot) = free.pop() {
                let Some((offset, length)) = pieces.next() else {
                    free.push(slot);
                    break;
                };
                lengths[slot] = length;
                let address = buffers.of(slot) as u64;
                vectors[slot] = (address, asked(length) as u64);
                let vector = (&raw const vectors[slot]) as u64;
                let (buffer, bytes) = match opcode {
                    IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => (vector, 1),
                    _ => vectors[slot],
                };
                requests[slot] = Iocb {
                    data: slot as u64,
                    opcode,
                    fd: file.as_raw_fd().cast_unsigned(),
                    buffer,
                    bytes,
                    offset: offset.cast_signed(),
                    ..Iocb::default()
                };
                submitted.push(&raw mut requests[slot]);
            }
            if free.len() == DEPTH {
                return Ok(());
            }
            let count = submitted.len();
            // SAFETY: the requests, the vectors and the buffers live until `reap` has seen their
            // ends.
            let result = unsafe {
                libc::syscall(libc::SYS_io_submit, self.0, count, submitted.as_mut_ptr())
            };
            ensure!(
                Errno::result(result)? as usize == count,
                "io_submit took less"
            );
            self.reap(&lengths, &mut free)?;
        }
    }

    /// Submits a request of a file that was not opened for it.
    fn refused(&self, file: &File, opcode: u16, buffers: &mut Slots) -> Result<()> {
        let mut request = Iocb {
            opcode,
            fd: file.as_raw_fd().cast_unsigned(),
            buffer: buffers.of(0) as u64,
            bytes: 1,
            ..Iocb::default()
        };
        let mut requests = [&raw mut request];
        // SAFETY: one request, of which nothing is left when the call returns.
        let result =
            unsafe { libc::syscall(libc::SYS_io_submit, self.0, 1_usize, requests.as_mut_ptr()) };
        let result = Errno::result(result);
        ensure!(result == Err(Errno::EBADF), "io_submit: {result:?}");
        Ok(())
    }

    /// Waits for the end of a request, and takes what else has ended.
    fn reap(&self, lengths: &[usize; DEPTH], free: &mut Vec<usize>) -> Result<()> {
        let mut events = [IoEvent::default(); DEPTH];
        let none = std::ptr::null::<libc::timespec>();
        // SAFETY: there is room for the events.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                self.0,
                1_usize,
                DEPTH,
                &raw mut events,
                none,
            )
        };
        let some = Errno::result(result).context("io_getevents")? as usize;
        for event in &events[..some] {
            let slot = event.data as usize;
            if let Ok(error @ ..0) = i32::try_from(event.result) {
                return Err(Errno::from_raw(-error).into());
            }
            ensure!(
                event.result as usize == lengths[slot],
                "{} of {} bytes",
                event.result,
                lengths[slot]
            );
            free.push(slot);
        }
        Ok(())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: a context of ours, with nothing under way.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

fn all(from: &File, to: &File, bytes: u64, chunk: usize) -> Result<()> {
    some(from, &[IOCB_CMD_PREAD, IOCB_CMD_PREADV], bytes, chunk)?;
    some(to, &[IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV], bytes, chunk)
}

/// All of a file by each of these commands.
fn some(file: &File, opcodes: &[u16], bytes: u64, chunk: usize) -> Result<()> {
    let context = Context::new()?;
    let mut buffers = Slots::new(DEPTH, chunk)?;
    for &opcode in opcodes {
        let pieces = cut(bytes, chunk);
        context.each(file, opcode, pieces, |length| length, &mut buffers)?;
    }
    Ok(())
}

/// AIO has no tracepoints: without functions nothing is seen of it.
fn row(op: Op, object: &str, class: Class, calls: u64, bytes: u64) -> ExpectedRow {
    ExpectedRow::new(op, object)
        .ops(2 * calls)
        .class(class, 2 * bytes)
        .needs_functions()
}

fn buffered(arena: &Arena, fs: Fs) -> Result<Prepared> {
    drop(Context::new()?);
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let from = arena.file(fs, bytes)?;
    let to = arena.empty_file(fs)?;
    evict(&from)?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .row(row(
            Op::AioRead,
            fs.object(),
            Class::CopiedToUser,
            calls,
            bytes,
        ))
        .row(row(
            Op::AioWrite,
            fs.object(),
            Class::CopiedFromUser,
            calls,
            bytes,
        ));
    Ok(Prepared::new(expected, move || {
        all(&from, &to, bytes, chunk)
    }))
}

/// The memory of a request that the kernel does not take is at once that of the next one, which does the
/// opposite. No completion tells of it, so it is not an operation.
fn errors(arena: &Arena) -> Result<Prepared> {
    drop(Context::new()?);
    let (fs, chunk) = (Fs::Ext4, arena.sizes.chunk);
    let bytes = arena.sizes.bytes.min(8 * chunk as u64);
    let file = arena.file(fs, bytes)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let to_read = File::open(&path)?;
    let to_write = File::options().write(true).open(&path)?;
    let calls = calls(bytes, chunk);
    let row = |op, class| {
        ExpectedRow::new(op, fs.object())
            .ops(calls)
            .class(class, bytes)
            .needs_functions()
    };
    let expected = Expected::new()
        .row(row(Op::AioRead, Class::CopiedToUser))
        .row(row(Op::AioWrite, Class::CopiedFromUser));
    Ok(Prepared::new(expected, move || {
        let context = Context::new()?;
        let mut buffers = Slots::new(DEPTH, chunk)?;
        let all = |length| length;
        for piece in cut(bytes, chunk) {
            let one = std::iter::once(piece);
            context.refused(&to_read, IOCB_CMD_PWRITE, &mut buffers)?;
            context.each(&to_read, IOCB_CMD_PREAD, one.clone(), all, &mut buffers)?;
            context.refused(&to_write, IOCB_CMD_PREAD, &mut buffers)?;
            context.each(&to_write, IOCB_CMD_PWRITE, one, all, &mut buffers)?;
        }
        Ok(())
    }))
}

fn direct(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let bytes = whole_pages(arena.sizes.bytes);
    let from = arena.file_with(fs, bytes, libc::O_DIRECT)?;
    let to = arena.file_with(fs, bytes, libc::O_DIRECT)?;
    evict(&from)?;
    Ok(past_the_cache(
        from,
        to,
        bytes,
        fs.object(),
        arena.direct_evidence(fs),
    ))
}

/// Reads only: writes are copied after all where btrfs has checksums (`direct-btrfs-write`).
fn direct_btrfs(arena: &Arena) -> Result<Prepared> {
    let fs = Fs::Btrfs;
    let bytes = whole_pages(arena.sizes.bytes);
    let from = arena.file_with(fs, bytes, libc::O_DIRECT)?;
    evict(&from)?;
    let row = row(
        Op::AioRead,
        fs.object(),
        Class::Direct,
        calls(bytes, DIRECT_CHUNK),
        bytes,
    );
    let expected = Expected::new().row(row.evidence(arena.direct_evidence(fs)));
    Ok(Prepared::new(expected, move || {
        let opcodes = [IOCB_CMD_PREAD, IOCB_CMD_PREADV];
        some(&from, &opcodes, bytes, DIRECT_CHUNK)
    }))
}

fn direct_holes(arena: &Arena) -> Result<Prepared> {
    let fs = Fs::Xfs;
    let holes = WithHoles::new(arena, fs, 12 * 4096)?;
    let row = ExpectedRow::new(Op::AioRead, fs.object())
        .ops(2 * calls(holes.bytes, DIRECT_CHUNK))
        .needs_functions();
    let row = holes.read_once(holes.read_once(row));
    Ok(Prepared::new(Expected::new().row(row), move || {
        let opcodes = [IOCB_CMD_PREAD, IOCB_CMD_PREADV];
        some(&holes.file, &opcodes, holes.bytes, DIRECT_CHUNK)
    }))
}

fn block_device(arena: &Arena) -> Result<Prepared> {
    let bytes = whole_pages(arena.sizes.bytes);
    let (device, from, to) = opened_direct(arena, bytes)?;
    let mut prepared = past_the_cache(from, to, bytes, "block", device.direct_evidence());
    prepared.keep.push(Box::new(device));
    Ok(prepared)
}

fn past_the_cache(from: File, to: File, bytes: u64, object: &str, evidence: Evidence) -> Prepared {
    let calls = calls(bytes, DIRECT_CHUNK);
    let row = |op| row(op, object, Class::Direct, calls, bytes).evidence(evidence);
    let expected = Expected::new().row(row(Op::AioRead)).row(row(Op::AioWrite));
    Prepared::new(expected, move || all(&from, &to, bytes, DIRECT_CHUNK))
}
