//! Non-blocking writes of more than there is room for: the kernel takes a part.

use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::socket::{MsgFlags, send},
    unistd::{pipe2, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    stage::{buffer::Buffer, mapping::page_size, sockets::tcp_pair},
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "awkward-short-write",
        "a write of more than a pipe has room for, and one that finds no room",
        pipe,
    )
    .tag("aw-sh-write"),
    Traffic::new(
        "awkward-short-send",
        "a send of more than a TCP socket has room for",
        tcp,
    )
    .tag("aw-sh-send"),
];

fn pipe(_: &Arena) -> Result<Prepared> {
    let (out_of, into) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let capacity = fcntl(&into, FcntlArg::F_GETPIPE_SZ)?;
    let capacity = capacity as usize;
    // PIPE_DEF_BUFFERS.
    ensure!(capacity == 16 * page_size(), "a pipe holds {capacity}");
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Write, "pipe")
            .ops(1)
            .class(Class::CopiedFromUser, capacity as u64)
            .errors(libc::EAGAIN, 1),
    );
    Ok(Prepared::new(expected, move || {
        let _open = out_of;
        let from = Buffer::filled(capacity + 34_465)?;
        let some = write(&into, &from)?;
        ensure!(some == capacity, "{some} bytes written");
        let none = write(&into, &from);
        ensure!(none == Err(Errno::EAGAIN), "{none:?}");
        Ok(())
    }))
}

/// Counter of bytes: how many the socket takes is for it to say.
const BYTES: usize = 0;

fn tcp(arena: &Arena) -> Result<Prepared> {
    const ASKED: usize = 48 << 20;
    let (near, far) = tcp_pair()?;
    fcntl(&near, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("O_NONBLOCK")?;
    let shared = arena.shared;
    let prepared = Prepared::new(Expected::new(), move || {
        let _open = far;
        let from = Buffer::filled(ASKED)?;
        let some = send(near.as_raw_fd(), &from, MsgFlags::empty())?;
        ensure!(some < ASKED, "the socket took all");
        shared.count(BYTES, some as u64);
        Ok(())
    });
    Ok(prepared.finish(move |expected| {
        let row = ExpectedRow::new(Op::Send, "tcp").ops(1);
        expected.add(row.class(Class::CopiedFromUser, shared.counted(BYTES)));
        Ok(())
    }))
}
