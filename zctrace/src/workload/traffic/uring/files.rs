//! Files and block devices.

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::{Result, ensure};
use io_uring::{opcode, squeue, types::Fd};
use nix::libc;
use zctrace_common::{Class, Evidence, Op};

use super::ring::{DEPTH, Issue, Ring};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared,
    scene::{arena::evict, mounts::Fs, opened_direct::opened_direct},
    stage::{buffer::Buffer, mapping::whole_pages, slots::Slots},
    traffic::direct::WithHoles,
    truth::exact::{calls, cut},
};

/// Buffered I/O: each byte is copied once, whatever the buffers are. Nothing shows that tmpfs does not clear a registered
/// buffer, as it does for a hole.
pub(super) fn buffered(arena: &Arena, issue: Issue, fs: Fs) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let from = arena.file(fs, bytes)?;
    let to = arena.empty_file(fs)?;
    evict(&from)?;
    let mut expected = Expected::new();
    let calls = calls(bytes, chunk);
    for op in [Op::UringRead, Op::UringReadv, Op::UringReadFixed] {
        let class = match (op, fs) {
            (Op::UringReadFixed, Fs::Tmpfs) => Class::Unexplained,
            _ => Class::CopiedToUser,
        };
        expected = expected.moves(op, fs.object(), class, calls, bytes);
    }
    for op in [Op::UringWrite, Op::UringWritev, Op::UringWriteFixed] {
        expected = expected.moves(op, fs.object(), Class::CopiedFromUser, calls, bytes);
    }
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        all_reads(&mut ring, &from, bytes, chunk)?;
        all_writes(&mut ring, &to, bytes, chunk)
    }))
}

/// `O_DIRECT`: the page cache is bypassed.
pub(super) fn direct(arena: &Arena, issue: Issue, fs: Fs) -> Result<Prepared> {
    let bytes = whole_pages(arena.sizes.bytes);
    let from = arena.file_with(fs, bytes, libc::O_DIRECT)?;
    let to = arena.file_with(fs, bytes, libc::O_DIRECT)?;
    evict(&from)?;
    Ok(past_the_cache(
        issue,
        from,
        to,
        bytes,
        fs.object(),
        arena.direct_evidence(fs),
    ))
}

/// The same of a file with holes: those are filled with zeros.
pub(super) fn across_holes(arena: &Arena, issue: Issue, fs: Fs) -> Result<Prepared> {
    const ACROSS: usize = 80 * 1024;
    let holes = WithHoles::new(arena, fs, 12 * 4096)?;
    let mut expected = Expected::new();
    for op in [Op::UringRead, Op::UringReadv, Op::UringReadFixed] {
        let row = ExpectedRow::new(op, fs.object()).ops(calls(holes.bytes, ACROSS));
        expected.add(holes.read_once(row));
    }
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        all_reads(&mut ring, &holes.file, holes.bytes, ACROSS)
    }))
}

pub(super) fn block_device(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let bytes = whole_pages(arena.sizes.bytes);
    let (device, from, to) = opened_direct(arena, bytes)?;
    let mut prepared = past_the_cache(issue, from, to, bytes, "block", device.direct_evidence());
    prepared.keep.push(Box::new(device));
    Ok(prepared)
}

fn past_the_cache(
    issue: Issue,
    from: File,
    to: File,
    bytes: u64,
    object: &str,
    evidence: Evidence,
) -> Prepared {
    const CHUNK: usize = 64 * 1024;
    let mut expected = Expected::new();
    for op in [
        Op::UringRead,
        Op::UringReadv,
        Op::UringReadFixed,
        Op::UringWrite,
        Op::UringWritev,
        Op::UringWriteFixed,
    ] {
        expected.add(
            ExpectedRow::new(op, object)
                .ops(calls(bytes, CHUNK))
                .class(Class::Direct, bytes)
                .evidence(evidence),
        );
    }
    Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        all_reads(&mut ring, &from, bytes, CHUNK)?;
        all_writes(&mut ring, &to, bytes, CHUNK)
    })
}

/// What is done to a file in three ways: with a buffer, a vector, and a registered buffer.
#[derive(Clone, Copy)]
enum Way {
    Read,
    Write,
}

impl Way {
    fn plain(self, fd: Fd, memory: *mut u8, length: u32, offset: u64) -> squeue::Entry {
        match self {
            Self::Read => opcode::Read::new(fd, memory, length).offset(offset).build(),
            Self::Write => opcode::Write::new(fd, memory, length)
                .offset(offset)
                .build(),
        }
    }

    fn vectored(self, fd: Fd, vector: *const libc::iovec, offset: u64) -> squeue::Entry {
        match self {
            Self::Read => opcode::Readv::new(fd, vector, 1).offset(offset).build(),
            Self::Write => opcode::Writev::new(fd, vector, 1).offset(offset).build(),
        }
    }

    fn fixed(self, fd: Fd, memory: *mut u8, length: u32, offset: u64) -> squeue::Entry {
        match self {
            Self::Read => opcode::ReadFixed::new(fd, memory, length, 0)
                .offset(offset)
                .build(),
            Self::Write => opcode::WriteFixed::new(fd, memory, length, 0)
                .offset(offset)
                .build(),
        }
    }
}

pub(super) fn all_reads(ring: &mut Ring, file: &File, bytes: u64, chunk: usize) -> Result<()> {
    all(Way::Read, ring, file, bytes, chunk)
}

pub(super) fn all_writes(ring: &mut Ring, file: &File, bytes: u64, chunk: usize) -> Result<()> {
    all(Way::Write, ring, file, bytes, chunk)
}

fn all(way: Way, ring: &mut Ring, file: &File, bytes: u64, chunk: usize) -> Result<()> {
    let fd = Fd(file.as_raw_fd());
    let mut buffers = Slots::new(DEPTH as usize, chunk)?;
    let mut vectors = vec![no_vector(); DEPTH as usize];
    // SAFETY: the buffers and the vectors outlive the requests, which end before `each` returns,
    // and the registration, which ends with the ring or here.
    unsafe {
        ring.each(cut(bytes, chunk), |slot, offset, length| {
            way.plain(fd, buffers.of(slot as usize), length as u32, offset)
        })?;
        ring.each(cut(bytes, chunk), |slot, offset, length| {
            vectors[slot as usize] = vector(buffers.of(slot as usize), length);
            way.vectored(fd, &raw const vectors[slot as usize], offset)
        })?;
        ring.inner()
            .submitter()
            .register_buffers(&[buffers.whole()])?;
        ring.each(cut(bytes, chunk), |slot, offset, length| {
            way.fixed(fd, buffers.of(slot as usize), length as u32, offset)
        })?;
    }
    ring.inner().submitter().unregister_buffers()?;
    Ok(())
}

const fn no_vector() -> libc::iovec {
    vector(std::ptr::null_mut(), 0)
}

const fn vector(base: *mut u8, length: usize) -> libc::iovec {
    libc::iovec {
        iov_base: base.cast(),
        iov_len: length,
    }
}

/// Reads through the page cache that do not report success.
pub(super) fn silent(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let file = arena.file(Fs::Ext4, silent_bytes(arena))?;
    evict(&file)?;
    let reads = vec![(Way::Read, file)];
    Ok(silent_requests(
        arena,
        issue,
        reads,
        Class::CopiedToUser,
        Evidence::Measured,
    ))
}

/// Reads and writes past the page cache: they end in task work, when the device is done.
pub(super) fn silent_direct(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let file = || arena.file_with(Fs::Ext4, silent_bytes(arena), libc::O_DIRECT);
    let both = vec![(Way::Read, file()?), (Way::Write, file()?)];
    let evidence = arena.direct_evidence(Fs::Ext4);
    Ok(silent_requests(arena, issue, both, Class::Direct, evidence))
}

const SILENT: usize = 8192;

fn silent_bytes(arena: &Arena) -> u64 {
    (arena.sizes.bytes / SILENT as u64).clamp(1, 64) * SILENT as u64
}

/// Each request that says nothing is followed by one that does: links run in order.
fn silent_requests(
    arena: &Arena,
    issue: Issue,
    files: Vec<(Way, File)>,
    class: Class,
    evidence: Evidence,
) -> Prepared {
    let bytes = silent_bytes(arena);
    let mut expected = Expected::new();
    for (way, _) in &files {
        let op = match way {
            Way::Read => Op::UringRead,
            Way::Write => Op::UringWrite,
        };
        // Without functions, the end of a request that reports nothing cannot be seen.
        expected.add(
            ExpectedRow::new(op, Fs::Ext4.object())
                .ops(calls(bytes, SILENT))
                .class(class, bytes)
                .evidence(evidence)
                .needs_functions(),
        );
    }
    Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        let mut memory = Slots::new(1, SILENT)?;
        for (way, file) in &files {
            let fd = Fd(file.as_raw_fd());
            let mut offset = 0;
            while offset < bytes {
                let request = way.plain(fd, memory.of(0), SILENT as u32, offset);
                let chain = [
                    (request, squeue::Flags::SKIP_SUCCESS),
                    (opcode::Nop::new().build(), squeue::Flags::empty()),
                ];
                // SAFETY: the buffer outlives both requests.
                unsafe { ring.push_chain(chain.into_iter()) }?;
                ensure!(ring.complete(0)? == 1, "the request was not silent");
                offset += SILENT as u64;
            }
        }
        Ok(())
    })
}

/// Requests that say nothing, each submitted alone: the next one may use its memory.
pub(super) fn silent_alone(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let bytes = silent_bytes(arena);
    let file = arena.file(Fs::Ext4, bytes)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::UringRead, Fs::Ext4.object())
            .ops(calls(bytes, SILENT))
            .class(Class::CopiedToUser, bytes)
            .needs_functions(),
    );
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        let mut memory = Buffer::zeroed(SILENT)?;
        let fd = Fd(file.as_raw_fd());
        for offset in (0..bytes).step_by(SILENT) {
            memory[SILENT - 1] = 0;
            let request = Way::Read.plain(fd, memory.as_mut_ptr(), SILENT as u32, offset);
            // SAFETY: the buffer outlives the request.
            unsafe {
                ring.submit(request.flags(squeue::Flags::SKIP_SUCCESS), 7)?;
                ring.written(&raw const memory[SILENT - 1])?;
            }
        }
        Ok(())
    }))
}

/// Requests that fail, that find the end of the file, and that get less than they ask for.
pub(super) fn errors(arena: &Arena, issue: Issue) -> Result<Prepared> {
    const SIZE: usize = 10_000;
    const TIMES: u64 = 5;
    let file = arena.file(Fs::Ext4, SIZE as u64)?;
    let readonly = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let expected = Expected::new()
        .row(
            ExpectedRow::new(Op::UringRead, Fs::Ext4.object())
                // The last one starts at the end.
                .ops(2 * TIMES)
                .class(Class::CopiedToUser, TIMES * SIZE as u64),
        )
        .row(ExpectedRow::new(Op::UringWrite, Fs::Ext4.object()).errors(libc::EBADF, TIMES));
    Ok(Prepared::new(expected, move || {
        let mut ring = Ring::new(issue)?;
        let mut to = Buffer::zeroed(2 * SIZE)?;
        let fd = Fd(readonly.as_raw_fd());
        for _ in 0..TIMES {
            for (offset, length) in [(0, SIZE), (SIZE as u64, 0)] {
                let read = opcode::Read::new(fd, to.as_mut_ptr(), to.len() as u32);
                // SAFETY: the buffer outlives the request.
                unsafe { ring.submit(read.offset(offset).build(), 1) }?;
                ring.complete(length)?;
            }
            let write = opcode::Write::new(fd, to.as_ptr(), 100).offset(0).build();
            // SAFETY: as above.
            unsafe { ring.submit(write, 1) }?;
            let done = ring.completion()?;
            ensure!(done.result() == -libc::EBADF, "write: {}", done.result());
        }
        Ok(())
    }))
}
