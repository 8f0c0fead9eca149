//! Reads of a key: copies in a call that is no operation and that no site sees. Only samples of where time
//! goes tell of them.

use std::io;

use anyhow::{Result, ensure};
use nix::{
    libc,
    unistd::{self, pipe},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic, stage::buffer::Buffer, truth::exact::calls,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "keys",
    "reads of a key: copied in a call that the ledger does not follow",
    prepare,
)];

/// The most that a key of type `user` holds.
const MOST: usize = 32_767;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let reads = calls(arena.sizes.bytes, MOST);
    // A process of which nothing at all is seen is in no report.
    let length = MOST as u64;
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, 1, length)
        .moves(Op::Read, "pipe", Class::CopiedToUser, 1, length);
    Ok(Prepared::new(expected, move || {
        let (from, into) = pipe()?;
        let mut payload = Buffer::filled(MOST)?;
        ensure!(unistd::write(&into, &payload)? == MOST, "not all written");
        ensure!(unistd::read(&from, &mut payload)? == MOST, "not all read");
        let key = add(&payload)?;
        let mut to = Buffer::zeroed(MOST)?;
        for _ in 0..reads {
            read(key, &mut to)?;
        }
        Ok(())
    }))
}

/// Makes a key that ends with the process.
fn add(payload: &[u8]) -> Result<libc::c_long> {
    const PROCESS_KEYRING: libc::c_long = -2;
    // SAFETY: the kernel reads two strings and `payload.len()` bytes.
    let key = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            c"zctrace-traffic".as_ptr(),
            payload.as_ptr(),
            payload.len(),
            PROCESS_KEYRING,
        )
    };
    ensure!(key >= 0, "add_key: {}", io::Error::last_os_error());
    Ok(key)
}

fn read(key: libc::c_long, to: &mut [u8]) -> Result<()> {
    const KEYCTL_READ: libc::c_long = 11;
    // SAFETY: the kernel writes at most `to.len()` bytes.
    let length = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_READ,
            key,
            to.as_mut_ptr(),
            to.len(),
        )
    };
    ensure!(length >= 0, "keyctl: {}", io::Error::last_os_error());
    ensure!(usize::try_from(length)? == to.len(), "read {length} bytes");
    Ok(())
}
