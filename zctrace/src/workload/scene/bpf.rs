//! The `bpf` system call, for the few instructions that workloads give to the kernel.

use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::{errno::Errno, libc};

const MAP_CREATE: u32 = 0;
const MAP_UPDATE_ELEM: u32 = 2;
const PROG_LOAD: u32 = 5;
const PROG_ATTACH: u32 = 8;

/// A map of `entries` sockets.
pub(in crate::workload) fn sockets(kind: u32, entries: u32) -> nix::Result<OwnedFd> {
    descriptor(
        MAP_CREATE,
        &mut MapCreate {
            kind,
            key_size: 4,
            value_size: 4,
            entries,
        },
    )
}

/// Puts a socket into such a map.
pub(in crate::workload) fn put_socket(
    map: &OwnedFd,
    key: u32,
    socket: &impl AsFd,
) -> nix::Result<()> {
    let value = socket.as_fd().as_raw_fd();
    let mut update = MapUpdate {
        map: map.as_raw_fd() as u32,
        pad: 0,
        key: (&raw const key) as u64,
        value: (&raw const value) as u64,
        flags: 0,
    };
    call(MAP_UPDATE_ELEM, &mut update).map(drop)
}

/// A program of this kind.
pub(in crate::workload) fn load(kind: u32, code: &[u64]) -> nix::Result<OwnedFd> {
    let license = c"Dual MIT/GPL";
    descriptor(
        PROG_LOAD,
        &mut ProgLoad {
            kind,
            count: code.len() as u32,
            code: code.as_ptr() as u64,
            license: license.as_ptr() as u64,
        },
    )
}

/// Attaches a program to a map.
pub(in crate::workload) fn attach(program: &OwnedFd, map: &OwnedFd, point: u32) -> nix::Result<()> {
    let mut attach = ProgAttach {
        target: map.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        point,
        flags: 0,
    };
    call(PROG_ATTACH, &mut attach).map(drop)
}

#[repr(C)]
struct ProgAttach {
    target: u32,
    program: u32,
    point: u32,
    flags: u32,
}

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    kind: u32,
    count: u32,
    code: u64,
    license: u64,
}

/// The system call, with the first fields of its union.
fn call<T>(command: u32, attributes: &mut T) -> nix::Result<i32> {
    // SAFETY: the attributes, and what they point to, outlive the call; the kernel takes what is
    // not passed for zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    Errno::result(result).map(|result| result as i32)
}

/// A command that returns a descriptor.
pub(in crate::workload) fn descriptor<T>(command: u32, attributes: &mut T) -> nix::Result<OwnedFd> {
    // SAFETY: these commands return a descriptor, which nobody else has.
    call(command, attributes).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct bpf_insn`.
pub(in crate::workload) fn instruction(
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    immediate: i32,
) -> u64 {
    let [low, high] = offset.to_ne_bytes();
    let [a, b, c, d] = immediate.to_ne_bytes();
    u64::from_ne_bytes([code, from << 4 | to, low, high, a, b, c, d])
}
