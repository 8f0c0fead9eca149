//! The system call bpf(2), for what the measurements ask of it.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::libc;

/// Commands of bpf(2), from include/uapi/linux/bpf.h.
pub(crate) const PROG_LOAD: i32 = 5;
pub(crate) const PROG_GET_NEXT_ID: i32 = 11;
pub(crate) const PROG_GET_FD_BY_ID: i32 = 13;
const OBJ_GET_INFO_BY_FD: i32 = 15;
pub(crate) const RAW_TRACEPOINT_OPEN: i32 = 17;
pub(crate) const BTF_GET_FD_BY_ID: i32 = 19;
pub(crate) const LINK_GET_FD_BY_ID: i32 = 30;
pub(crate) const LINK_GET_NEXT_ID: i32 = 31;
pub(crate) const ENABLE_STATS: i32 = 32;

/// What bpf(2) takes and gives: fields are where include/uapi/linux/bpf.h has them.
#[repr(C, align(8))]
pub(crate) struct Record([u8; 256]);

impl Record {
    pub(crate) const fn new() -> Self {
        Self([0; 256])
    }

    pub(crate) fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().expect("4 bytes"))
    }

    pub(crate) fn double(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().expect("8 bytes"))
    }

    pub(crate) fn put(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn put_double(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
}

/// The id of the next object, as a command lists them, if there is one.
pub(crate) fn next(command: i32, after: u32) -> Result<Option<u32>> {
    let mut request = Record::new();
    request.put(0, after);
    // SAFETY: the callers' commands take an id, and answer beside it.
    match unsafe { call(command, &mut request) } {
        Ok(_) => Ok(Some(request.word(4))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error).context("listing programs or links"),
    }
}

pub(crate) fn program(fd: BorrowedFd<'_>) -> Result<Record> {
    ask(fd).context("asking about a program")
}

/// What the kernel reports about an object.
pub(crate) fn ask(fd: BorrowedFd<'_>) -> io::Result<Record> {
    let mut info = Record::new();
    let mut request = Record::new();
    request.put(0, fd.as_raw_fd().cast_unsigned());
    request.put(4, info.0.len() as u32);
    request.put_double(8, (&raw mut info) as u64);
    // SAFETY: the request says where the answer goes and how much room there is. Zeros ask for no lists.
    unsafe { call(OBJ_GET_INFO_BY_FD, &mut request) }?;
    Ok(info)
}

/// Opens what a command knows by a number.
pub(crate) fn opened(command: i32, number: u32) -> io::Result<OwnedFd> {
    let mut request = Record::new();
    request.put(0, number);
    // SAFETY: the callers' commands take a number and point to nothing.
    unsafe { open(command, &mut request) }
}

/// Calls bpf(2) with a command that gives a descriptor.
///
/// # Safety
/// As [`call`].
pub(crate) unsafe fn open(command: i32, request: &mut Record) -> io::Result<OwnedFd> {
    // SAFETY: the caller answers for it.
    let fd = unsafe { call(command, request) }?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls bpf(2).
///
/// # Safety
/// What `request` points to must be as the command has it.
unsafe fn call(command: i32, request: &mut Record) -> io::Result<i32> {
    /// All fields that are used here are within. The kernel refuses longer requests only where they are not zero.
    const SIZE: usize = 128;
    // SAFETY: the request has this size; the caller answers for what it points to.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            libc::c_long::from(command),
            (&raw mut *request).cast::<u8>(),
            SIZE,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::try_from(result).unwrap_or(i32::MAX))
}
