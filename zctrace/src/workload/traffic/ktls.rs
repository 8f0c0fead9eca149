//! Kernel TLS in software: a pass of the cipher over every byte, whatever else happens to it.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::fd::AsRawFd as _,
};

use anyhow::Result;
use nix::{errno::Errno, libc, sys::sendfile::sendfile};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    scene::mounts::Fs,
    stage::{buffer::Buffer, sockets::tcp_pair},
    truth::exact::exactly,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "ktls",
    "sendfile and write over kernel TLS in software: encrypted",
    prepare,
)];

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn set(socket: &TcpStream, level: i32, name: i32, value: &[u8]) -> nix::Result<()> {
    // SAFETY: the value outlives the call, which only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// What is sent.
pub const TLS_TX: i32 = 1;
/// What is received.
const TLS_RX: i32 = 2;

/// Puts what goes into these directions from now on into records of TLS 1.2 with AES-GCM; the error
/// of a kernel without it, or without the cipher. No handshake: both ends are given the same keys.
pub fn encrypt(socket: &TcpStream, directions: &[i32]) -> nix::Result<()> {
    const TLS_1_2: u16 = 0x0303;
    const AES_GCM_128: u16 = 51;
    // Version and cipher; then initialization vector, key, salt and number.
    let mut keys = Vec::new();
    keys.extend(TLS_1_2.to_ne_bytes());
    keys.extend(AES_GCM_128.to_ne_bytes());
    keys.extend([3; 8 + 16 + 4 + 8]);
    set(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")?;
    directions
        .iter()
        .try_for_each(|direction| set(socket, libc::SOL_TLS, *direction, &keys))
}

/// What a workload says where [`encrypt`] is refused.
pub(in crate::workload) fn refused(errno: Errno) -> Skip {
    Skip(format!("no kernel TLS with AES-GCM: {errno}"))
}

/// A connection that is encrypted in both directions.
///
/// # Errors
///
/// A [`Skip`] when the kernel has no TLS, or not the cipher.
pub fn connection() -> Result<(TcpStream, TcpStream)> {
    let (near, far) = tcp_pair()?;
    for end in [&near, &far] {
        encrypt(end, &[TLS_TX, TLS_RX]).map_err(refused)?;
    }
    Ok((near, far))
}

/// What is copied before it is encrypted depends on the cipher's driver, so the truth is not held
/// against the rows: `tests/privileged/every_kernel/ktls.rs` does that, for what does not depend on it.
fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (mut near, mut far) = connection()?;
    let expected = Expected::new().row(ExpectedRow::anything_else());
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            near.write_all(&from[..length]).map_err(errno)?;
            far.read_exact(&mut to[..length]).map_err(errno)?;
            Ok(length)
        })?;
        exactly(bytes, chunk, |_, length| {
            let mut left = length;
            while left > 0 {
                left -= sendfile(&near, &file, None, left)?;
            }
            far.read_exact(&mut to[..length]).map_err(errno)?;
            Ok(length)
        })
    }))
}
