//! Kernel TLS in software: a pass of the cipher over every byte, whatever else happens to it.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
};

use anyhow::Result;
use nix::{errno::Errno, libc, sys::sendfile::sendfile};

use super::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic, buffer::Buffer, exact::exactly,
    mounts::Fs,
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
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

/// A connection under TLS 1.2 with AES-GCM in both directions; the error of a kernel without it, or without the cipher.
pub fn connection() -> nix::Result<(TcpStream, TcpStream)> {
    const TLS_TX: i32 = 1;
    const TLS_RX: i32 = 2;
    const TLS_1_2: u16 = 0x0303;
    const AES_GCM_128: u16 = 51;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(errno)?;
    let near = listener
        .local_addr()
        .and_then(TcpStream::connect)
        .map_err(errno)?;
    let (far, _) = listener.accept().map_err(errno)?;
    // Version and cipher; then initialization vector, key, salt and number, the same at both ends.
    let mut keys = Vec::new();
    keys.extend(TLS_1_2.to_ne_bytes());
    keys.extend(AES_GCM_128.to_ne_bytes());
    keys.extend([3; 8 + 16 + 4 + 8]);
    for end in [&near, &far] {
        set(end, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")?;
        for direction in [TLS_TX, TLS_RX] {
            set(end, libc::SOL_TLS, direction, &keys)?;
        }
    }
    Ok((near, far))
}

/// What is copied before it is encrypted depends on the cipher's driver, so the truth is not held
/// against the rows: `tests/privileged_ktls.rs` does that, for what does not depend on it.
fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let (mut near, mut far) =
        connection().map_err(|errno| Skip(format!("this kernel has no kernel TLS: {errno}")))?;
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
