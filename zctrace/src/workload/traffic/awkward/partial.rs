//! Buffers that end where memory ends: the call does what it can and reports that, and the next
//! one, which can do nothing, fails.

use std::{fs::File, os::fd::AsRawFd as _};

use anyhow::{Result, ensure};
use nix::{errno::Errno, libc};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::mounts::Fs,
    stage::mapping::{Mapping, page_size},
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "awkward-partial-read",
        "reads into a buffer that ends in unmapped memory",
        read,
    )
    .tag("aw-read"),
    Traffic::new(
        "awkward-partial-write",
        "writes from a buffer that ends in unmapped memory",
        write,
    )
    .tag("aw-write"),
];

/// How many pages of the buffer are there; one more is asked for.
const PAGES: usize = 3;
fn done() -> usize {
    PAGES * page_size()
}

fn asked() -> usize {
    done() + page_size()
}

fn read(arena: &Arena) -> Result<Prepared> {
    let file = arena.file(Fs::Tmpfs, 2 * asked() as u64)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Read, "file:tmpfs")
            .ops(1)
            .class(Class::CopiedToUser, done() as u64)
            .errors(libc::EFAULT, 1),
    );
    Ok(Prepared::new(expected, move || {
        let memory = Mapping::before_a_hole(PAGES)?;
        let read = |to: *mut u8| {
            // SAFETY: the kernel checks the memory itself; nothing refers to it.
            let result = unsafe { libc::read(file.as_raw_fd(), to.cast(), asked()) };
            Errno::result(result)
        };
        check(read(memory.address()), read(memory.end()))
    }))
}

/// Into a file that is in the page cache: the filesystem has no reason to refuse a part.
fn write(arena: &Arena) -> Result<Prepared> {
    let file: File = arena.file(Fs::Tmpfs, 2 * asked() as u64)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Write, "file:tmpfs")
            .ops(1)
            .class(Class::CopiedFromUser, done() as u64)
            .errors(libc::EFAULT, 1),
    );
    Ok(Prepared::new(expected, move || {
        let memory = Mapping::before_a_hole(PAGES)?;
        let write = |from: *mut u8| {
            // SAFETY: the kernel checks the memory itself, and only reads it.
            let result = unsafe { libc::write(file.as_raw_fd(), from.cast(), asked()) };
            Errno::result(result)
        };
        check(write(memory.address()), write(memory.end()))
    }))
}

fn check(first: nix::Result<isize>, second: nix::Result<isize>) -> Result<()> {
    ensure!(first == Ok(done().cast_signed()), "{first:?}");
    ensure!(second == Err(Errno::EFAULT), "{second:?}");
    Ok(())
}
