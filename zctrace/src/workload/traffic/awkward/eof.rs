//! The end of the file: short calls, and calls that move nothing.

use std::os::fd::AsRawFd as _;

use anyhow::{Result, ensure};
use nix::{
    sys::{
        sendfile::sendfile,
        socket::{MsgFlags, recv},
        uio::pread,
    },
    unistd::read,
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::mounts::Fs,
    stage::{buffer::Buffer, sockets::tcp_pair},
};

pub(super) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "awkward-read-eof",
        "reads across the end of a file, and past it",
        read_past_end,
    )
    .tag("aw-eof"),
    Traffic::new(
        "awkward-sendfile-eof",
        "sendfile of more than the file has, and again",
        sendfile_past_end,
    )
    .tag("aw-sf-eof"),
];

const LENGTH: usize = 100_001;
const ASKED: usize = 150_000;

fn read_past_end(arena: &Arena) -> Result<Prepared> {
    let files = [
        arena.file(Fs::Tmpfs, LENGTH as u64)?,
        arena.file(Fs::Ext4, LENGTH as u64)?,
    ];
    let mut expected = Expected::new();
    for fs in [Fs::Tmpfs, Fs::Ext4] {
        expected.add(
            ExpectedRow::new(Op::Read, fs.object())
                .ops(3)
                .class(Class::CopiedToUser, LENGTH as u64),
        );
    }
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(ASKED)?;
        for file in &files {
            let across = read(file, &mut to)?;
            let at_end = read(file, &mut to)?;
            let behind = pread(file, &mut to, 1 << 30)?;
            ensure!(
                (across, at_end, behind) == (LENGTH, 0, 0),
                "read {across}, {at_end}, {behind} bytes"
            );
        }
        Ok(())
    }))
}

fn sendfile_past_end(arena: &Arena) -> Result<Prepared> {
    let file = arena.file(Fs::Tmpfs, LENGTH as u64)?;
    let (near, far) = tcp_pair()?;
    let expected = Expected::new()
        .moves(
            Op::Sendfile,
            "file:tmpfs->tcp",
            Class::Spliced,
            2,
            LENGTH as u64,
        )
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 1, LENGTH as u64);
    Ok(Prepared::new(expected, move || {
        let across = sendfile(&near, &file, None, ASKED)?;
        let at_end = sendfile(&near, &file, None, ASKED)?;
        let mut to = Buffer::zeroed(LENGTH)?;
        let received = recv(far.as_raw_fd(), &mut to, MsgFlags::MSG_WAITALL)?;
        ensure!(
            (across, at_end, received) == (LENGTH, 0, LENGTH),
            "sent {across}, {at_end}, received {received} bytes"
        );
        Ok(())
    }))
}
