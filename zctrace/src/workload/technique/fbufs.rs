//! Fast buffers, after Druschel and Peterson: a pool of buffers is mapped in all three processes of
//! a pipeline, and a buffer goes from one to the next by its descriptor. The pool belongs to the
//! path, so a buffer that comes back is still mapped everywhere.
//!
//! A *volatile* buffer can still be written to by its originator; a *secured* one cannot until it
//! comes back. Beside them: mapping each buffer anew for every transfer, and the same pipeline over
//! pipes and unix sockets. In all of them the first process writes every byte, and the others read
//! every byte.

use std::{
    fs::File,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, ProtFlags},
    },
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Pieces, Ready, Setting, Technique, Variant,
    ring::{Ring, fill, sum},
};
use crate::workload::{
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
        shared::Shared,
        sockets::enlarge,
    },
    traffic::pipe::roomy_pipe,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "fbufs",
    "pass data through three processes",
    Job::Pass,
    &[
        Variant::new(
            "volatile",
            "buffers mapped by all of them",
            "fbufs",
            |setting| pooled(setting, Protection::Volatile),
        ),
        Variant::new(
            "secured",
            "the first cannot write to them meanwhile",
            "fbufs-sec",
            |setting| pooled(setting, Protection::Secured),
        ),
        Variant::new(
            "remap",
            "buffers mapped for every transfer",
            "fbufs-remap",
            |setting| pooled(setting, Protection::Remapped),
        ),
        Variant::new("pipe", "through pipes", "fbufs-pipe", |setting| {
            let (first, second) = (roomy_pipe()?, roomy_pipe()?);
            let pair = |(out_of, into): (OwnedFd, OwnedFd)| (File::from(into), File::from(out_of));
            Ok(streamed(setting, "pipe", pair(first), pair(second)))
        }),
        Variant::new("unix", "through unix sockets", "fbufs-unix", |setting| {
            Ok(streamed(setting, "unix", unix_pair()?, unix_pair()?))
        }),
    ],
);

const MIDDLE: &str = "middle";
const LAST: &str = "last";

/// Buffers of the pool: enough that no process waits for one while another works.
const BUFFERS: usize = 8;

/// Counters: the sums of what each process wrote or read, and the reads it took.
const WRITTEN: usize = 0;
const SEEN: usize = 1;
const ARRIVED: usize = 2;
const READS: [usize; 2] = [3, 4];

/// What a transfer does to the mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    Volatile,
    Secured,
    Remapped,
}

/// The buffers, of whole pages each.
struct Pool {
    file: File,
    size: usize,
    mapping: Option<Mapping>,
    protection: Protection,
}

impl Pool {
    /// Maps the pool into this process.
    fn join(file: File, size: usize, protection: Protection) -> Result<Self> {
        let mapping = match protection {
            Protection::Volatile | Protection::Secured => {
                let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
                let pages = BUFFERS * size / page_size();
                Some(Mapping::of_file(&file, pages, flags)?)
            }
            Protection::Remapped => None,
        };
        Ok(Self {
            file,
            size,
            mapping,
            protection,
        })
    }

    /// Lets `work` have one of the buffers.
    fn with<T>(&mut self, index: usize, work: impl FnOnce(&mut [u8]) -> T) -> Result<T> {
        let (offset, pages) = (index * self.size, self.size / page_size());
        if let Some(mapping) = &mut self.mapping {
            return Ok(work(&mut mapping.bytes_mut()[offset..][..self.size]));
        }
        let mut mapping = Mapping::of_file_at(&self.file, offset, pages, MapFlags::MAP_SHARED)?;
        Ok(work(mapping.bytes_mut()))
    }

    /// Takes the right to write to a buffer from this process.
    fn secure(&self, index: usize) -> Result<()> {
        self.protect(index, ProtFlags::PROT_READ)
    }

    /// Gives it back.
    fn release(&self, index: usize) -> Result<()> {
        self.protect(index, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)
    }

    fn protect(&self, index: usize, access: ProtFlags) -> Result<()> {
        match (&self.mapping, self.protection) {
            (Some(mapping), Protection::Secured) => mapping
                .protect(index * self.size, self.size, access)
                .context("mprotect"),
            _ => Ok(()),
        }
    }
}

/// A descriptor: which buffer, and how much is in it. Nothing is the end.
fn descriptor(index: usize, length: usize) -> u64 {
    (index as u64) << 32 | length as u64
}

fn parts(descriptor: u64) -> (usize, usize) {
    (
        (descriptor >> 32) as usize,
        (descriptor & 0xffff_ffff) as usize,
    )
}

fn pool_file(size: usize) -> Result<File> {
    let file = File::from(memfd_create(c"zctrace-fbufs", MFdFlags::MFD_CLOEXEC)?);
    file.set_len((BUFFERS * size) as u64)?;
    Ok(file)
}

fn pooled(setting: &Setting<'_>, protection: Protection) -> Result<Ready> {
    let pieces = pieces(setting);
    let bytes = pieces.total();
    let size = pieces.chunk().next_multiple_of(page_size());
    let file = pool_file(size)?;
    let files = [file.try_clone()?, file.try_clone()?];
    let [to_middle, to_last, back] = [Ring::new()?, Ring::new()?, Ring::new()?];
    for index in 0..BUFFERS {
        back.put(descriptor(index, 0));
    }
    let shared = setting.shared;
    let mut expected = Expected::new();
    if protection == Protection::Remapped {
        // Each process maps each buffer anew, and touches every page of it.
        let whole = bytes / pieces.chunk() as u64 * size as u64;
        let rest = (bytes % pieces.chunk() as u64).next_multiple_of(page_size() as u64);
        for role in ["", MIDDLE, LAST] {
            let mapped = ExpectedRow::new(Op::FaultMap, "file:tmpfs")
                .ops(pieces.calls())
                .class(Class::Mapped, whole + rest)
                .at_least()
                .of(role);
            expected.add(mapped);
        }
    }
    let prepared = Prepared::new(expected, move || {
        let mut pool = Pool::join(file, size, protection)?;
        shared.begin();
        let (mut number, mut total) = (0_u64, 0_u64);
        let mut failed = Ok(());
        pieces
            .each(|_, length| {
                let (index, _) = parts(back.take());
                let step = pool.release(index).and_then(|()| {
                    number += 1;
                    let written = pool.with(index, |buffer| fill(&mut buffer[..length], number))?;
                    total = total.wrapping_add(written);
                    pool.secure(index)
                });
                if let Err(error) = step {
                    failed = Err(error);
                    return Err(Errno::EIO);
                }
                to_middle.put(descriptor(index, length));
                Ok(length)
            })
            .or_else(|error| failed.and(Err(error)))?;
        to_middle.put(descriptor(0, 0));
        shared.count(WRITTEN, total);
        Ok(())
    });
    let [middle, last] = files;
    let prepared = prepared
        .beside(MIDDLE, move || {
            let pool = Pool::join(middle, size, protection)?;
            read_pool(pool, to_middle, to_last, SEEN, shared)
        })
        .beside(LAST, move || {
            let pool = Pool::join(last, size, protection)?;
            read_pool(pool, to_last, back, ARRIVED, shared)
        });
    Ok(Ready::new(bytes, checked(prepared, shared)))
}

/// A process that reads what it gets and passes it on.
fn read_pool(mut pool: Pool, from: Ring, to: Ring, counter: usize, shared: Shared) -> Result<()> {
    let mut total = 0_u64;
    loop {
        let next = from.take();
        let (index, length) = parts(next);
        if length == 0 {
            break;
        }
        let seen = pool.with(index, |buffer| sum(&buffer[..length]))?;
        total = total.wrapping_add(seen);
        to.put(next);
    }
    to.put(descriptor(0, 0));
    shared.count(counter, total);
    Ok(())
}

/// What was written must have been seen by all.
fn checked(prepared: Prepared, shared: Shared) -> Prepared {
    prepared.finish(move |_| {
        let written = shared.counted(WRITTEN);
        for reader in [SEEN, ARRIVED] {
            ensure!(
                shared.counted(reader) == written,
                "other bytes than were sent"
            );
        }
        Ok(())
    })
}

/// A unix stream as two files, whose calls are `write` and `read`.
pub(super) fn unix_pair() -> Result<(File, File)> {
    let (near, far) = UnixStream::pair()?;
    enlarge(&near);
    enlarge(&far);
    Ok((OwnedFd::from(near).into(), OwnedFd::from(far).into()))
}

/// Transfers of full buffers; there is no file to begin again with.
fn pieces(setting: &Setting<'_>) -> Pieces {
    let parameters = setting.parameters;
    Pieces::new(parameters.bytes, parameters.buffer, parameters.bytes)
}

/// The pipeline over streams: one end to write to and one to read from, for each transfer.
fn streamed<W, R>(setting: &Setting<'_>, object: &str, first: (W, R), second: (W, R)) -> Ready
where
    W: Write + 'static,
    R: Read + 'static,
{
    let pieces = pieces(setting);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let shared = setting.shared;
    let row = |op, class, calls| ExpectedRow::new(op, object).ops(calls).class(class, bytes);
    let expected = Expected::new()
        .row(row(Op::Write, Class::CopiedFromUser, calls))
        .row(row(Op::Read, Class::CopiedToUser, 0).of(MIDDLE))
        .row(row(Op::Write, Class::CopiedFromUser, calls).of(MIDDLE))
        .row(row(Op::Read, Class::CopiedToUser, 0).of(LAST));
    let (mut to_middle, mut from_first) = first;
    let (mut to_last, mut from_middle) = second;
    let prepared = Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(pieces.chunk())?;
        let (mut number, mut total) = (0_u64, 0_u64);
        pieces.each(|_, length| {
            number += 1;
            total = total.wrapping_add(fill(&mut buffer[..length], number));
            put(&mut to_middle, &buffer[..length])
        })?;
        shared.count(WRITTEN, total);
        Ok(())
    })
    .beside(MIDDLE, move || {
        let mut buffer = Buffer::zeroed(pieces.chunk())?;
        let (mut reads, mut total) = (0, 0_u64);
        pieces.each(|_, length| {
            reads += take(&mut from_first, &mut buffer[..length])?;
            total = total.wrapping_add(sum(&buffer[..length]));
            put(&mut to_last, &buffer[..length])
        })?;
        shared.count(READS[0], reads);
        shared.count(SEEN, total);
        Ok(())
    })
    .beside(LAST, move || {
        let mut buffer = Buffer::zeroed(pieces.chunk())?;
        let (mut reads, mut total) = (0, 0_u64);
        pieces.each(|_, length| {
            reads += take(&mut from_middle, &mut buffer[..length])?;
            total = total.wrapping_add(sum(&buffer[..length]));
            Ok(length)
        })?;
        shared.count(READS[1], reads);
        shared.count(ARRIVED, total);
        Ok(())
    });
    let mut prepared = checked(prepared, shared);
    let object = object.to_owned();
    let check = prepared.finish.take();
    Ready::new(
        bytes,
        prepared.finish(move |expected| {
            for (role, counter) in [MIDDLE, LAST].into_iter().zip(READS) {
                let reads = ExpectedRow::new(Op::Read, &object).ops(shared.counted(counter));
                expected.add(reads.of(role));
            }
            check.map_or(Ok(()), |check| check(expected))
        }),
    )
}

/// One call that must take all of it.
pub(super) fn put(to: &mut impl Write, bytes: &[u8]) -> nix::Result<usize> {
    to.write(bytes).map_err(errno)
}

/// As many calls as it takes; how many that were.
pub(super) fn take(from: &mut impl Read, to: &mut [u8]) -> nix::Result<u64> {
    let (mut got, mut calls) = (0, 0);
    while got < to.len() {
        match from.read(&mut to[got..]).map_err(errno)? {
            0 => return Err(Errno::EPIPE),
            some => got += some,
        }
        calls += 1;
    }
    Ok(calls)
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use nix::{
        sys::{
            signal::Signal,
            wait::{WaitStatus, waitpid},
        },
        unistd::{ForkResult, fork},
    };

    use super::*;

    /// How a process ends that writes to a buffer after it has passed it on.
    fn late_write(protection: Protection, given_back: bool) -> WaitStatus {
        let file = pool_file(page_size()).expect("a pool");
        let mut pool = Pool::join(file, page_size(), protection).expect("mapped");
        pool.with(1, |buffer| fill(buffer, 1)).expect("written");
        pool.secure(1).expect("secured");
        if given_back {
            pool.release(1).expect("released");
        }
        // SAFETY: the child writes to memory and ends, and calls nothing that takes a lock.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Parent { child } => waitpid(child, None).expect("it ends"),
            ForkResult::Child => {
                let _ = pool.with(1, |buffer| buffer[0] = 2);
                // SAFETY: ends the process.
                unsafe { libc::_exit(0) }
            }
        }
    }

    #[test]
    fn only_a_secured_buffer_faults_when_its_originator_writes_late() {
        let ended = late_write(Protection::Secured, false);
        assert!(
            matches!(ended, WaitStatus::Signaled(_, Signal::SIGSEGV, _)),
            "{ended:?}"
        );
        let exited = |ended| matches!(ended, WaitStatus::Exited(_, 0));
        assert!(exited(late_write(Protection::Secured, true)));
        assert!(exited(late_write(Protection::Volatile, false)));
    }

    #[test]
    fn descriptors_survive() {
        assert_eq!(parts(descriptor(7, 16 << 20)), (7, 16 << 20));
    }
}
