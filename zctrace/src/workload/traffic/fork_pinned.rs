//! Memory that is pinned for a device cannot be shared at a fork, so the fork copies it.

use std::{
    fs::File,
    os::fd::{AsRawFd as _, FromRawFd as _, RawFd},
};

use anyhow::{Context as _, Result};
use nix::{errno::Errno, libc};
use zctrace_common::Op;

use super::fault_anon::succeeded;
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic, comm,
    stage::{
        child,
        mapping::{Mapping, page_size},
    },
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "fork-pinned",
    "a fork of a process with buffers registered with io_uring: copied at the fork",
    prepare,
)];

const PAGES: usize = 32;
const IORING_REGISTER_BUFFERS: libc::c_uint = 0;
const CHILD: &str = "child";

fn prepare(arena: &Arena) -> Result<Prepared> {
    drop(new_ring()?);
    let shared = arena.shared;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::ForkCow, "anon")
            .ops(PAGES as u64)
            .cow((PAGES * page_size()) as u64)
            .at_least(),
    );
    let mut prepared = Prepared::new(expected, move || {
        let ring = new_ring()?;
        let memory = Mapping::absent(PAGES)?;
        memory.write_pages();
        pin(&ring, &memory)?;
        let nothing = Box::new(|| Ok(()));
        let child = child::start(comm("fork-pinned", CHILD), nothing, 60, shared)?;
        shared.set_descendant(child.as_raw().cast_unsigned());
        succeeded(child)
    });
    prepared.descendant = Some(CHILD);
    Ok(prepared)
}

/// A ring of one entry; no request will be made of it.
fn new_ring() -> Result<File> {
    // `struct io_uring_params`; zeros ask for the defaults.
    let mut parameters = [0_u32; 30];
    // SAFETY: io_uring_setup fills in the parameters, which are as long as it expects.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    let ring = Errno::result(result).map_err(|errno| Skip(format!("no io_uring: {errno}")))?;
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { File::from_raw_fd(ring as RawFd) })
}

fn pin(ring: &File, memory: &Mapping) -> Result<()> {
    let piece = libc::iovec {
        iov_base: memory.address().cast(),
        iov_len: memory.length(),
    };
    // SAFETY: one piece of memory of ours. The kernel pins it, which keeps it alive for the ring
    // even when it is unmapped.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            IORING_REGISTER_BUFFERS,
            &raw const piece,
            1,
        )
    };
    Errno::result(result).context("IORING_REGISTER_BUFFERS")?;
    Ok(())
}
