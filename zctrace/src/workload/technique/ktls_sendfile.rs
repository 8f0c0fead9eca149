//! sendfile over kernel TLS in software: pages of the file are encrypted into other pages, which go
//! into packets. That is no copy more, but every byte is read and rewritten.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    libc,
    sys::{
        sendfile::sendfile,
        socket::{MsgFlags, recv},
    },
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared, Skip, buffer::Buffer, mounts::Fs, sockets::tcp_pair},
    Job, Ready, Setting, Technique, Variant,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "ktls-sendfile",
    "send a file over kernel TLS with sendfile",
    Job::Serve,
    &[Variant::only("ktls", prepare)],
);

/// Counters: receives at the other end, and the bytes they brought.
const RECEIVES: usize = 0;
const RECEIVED: usize = 1;
/// Bytes of a receive.
const CHUNK: usize = 128 << 10;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let file = setting.source(Fs::Tmpfs)?;
    let (near, far) = tcp_pair()?;
    encrypt(&near)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Sendfile, "file:tmpfs->tcp")
            .ops(calls)
            .class(Class::Spliced, bytes)
            .encrypted(bytes),
    );
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        pieces.each(|offset, length| {
            let mut offset = offset.cast_signed();
            sendfile(&near, &file, Some(&mut offset), length)
        })?;
        near.shutdown(Shutdown::Write)?;
        Ok(())
    })
    // What arrives are records: how long they are is up to the kernel.
    .peer(move || {
        let mut to = Buffer::zeroed(CHUNK)?;
        loop {
            let some = recv(far.as_raw_fd(), &mut to, MsgFlags::MSG_WAITALL)?;
            shared.count(RECEIVES, 1);
            shared.count(RECEIVED, some as u64);
            if some == 0 {
                return Ok(());
            }
        }
    })
    .finish(move |expected| {
        expected.add(
            ExpectedRow::new(Op::Recv, "tcp")
                .ops(shared.counted(RECEIVES))
                .class(Class::CopiedToUser, shared.counted(RECEIVED))
                .of(Prepared::PEER),
        );
        Ok(())
    });
    Ok(Ready::new(bytes, prepared))
}

/// Puts what is sent from now on into records of TLS 1.2 with AES-GCM. No handshake: nobody reads
/// them.
fn encrypt(socket: &TcpStream) -> Result<()> {
    const TLS_TX: i32 = 1;
    const TLS_1_2: u16 = 0x0303;
    const AES_GCM_128: u16 = 51;
    // Initialization vector, key, salt and number.
    const KEYS: [u8; 8 + 16 + 4 + 8] = [3; 36];
    match set(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls") {
        Ok(()) => {}
        Err(errno) => return Err(Skip(format!("no kernel TLS: {errno}")).into()),
    }
    let keys = [
        &TLS_1_2.to_ne_bytes()[..],
        &AES_GCM_128.to_ne_bytes(),
        &KEYS,
    ]
    .concat();
    match set(socket, libc::SOL_TLS, TLS_TX, &keys) {
        Err(errno @ Errno::ENOENT) => Err(Skip(format!("no AES-GCM: {errno}")).into()),
        done => done.context("TLS_TX"),
    }
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
