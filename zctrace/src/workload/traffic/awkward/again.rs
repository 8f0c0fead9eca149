//! Operations that would have to wait, on descriptors that do not wait: errors, nothing moved.

use std::os::{
    fd::{AsFd, AsRawFd as _, OwnedFd},
    unix::net::UnixStream,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::socket::{MsgFlags, recv},
    unistd::{read, write},
};
use zctrace_common::Op;

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    stage::{
        buffer::Buffer,
        sockets::{tcp_pair, udp_pair},
    },
    traffic::pipe::roomy_pipe,
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-eagain",
    "non-blocking calls that would have to wait",
    prepare,
)
.tag("aw-eagain")];

const TIMES: u64 = 5;
const SIZE: usize = 4096;

fn prepare(_: &Arena) -> Result<Prepared> {
    let (empty, _writer) = roomy_pipe()?;
    let (_reader, full) = roomy_pipe()?;
    let (tcp, _tcp_peer) = tcp_pair()?;
    let (udp, _udp_peer) = udp_pair()?;
    let (unix, _unix_peer) = UnixStream::pair()?;
    for descriptor in [
        empty.as_fd(),
        full.as_fd(),
        tcp.as_fd(),
        udp.as_fd(),
        unix.as_fd(),
    ] {
        fcntl(descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("O_NONBLOCK")?;
    }
    fill_up(&full)?;

    let failing = |op, object| ExpectedRow::new(op, object).errors(libc::EAGAIN, TIMES);
    let expected = Expected::new()
        .row(failing(Op::Read, "pipe"))
        .row(failing(Op::Write, "pipe"))
        .row(failing(Op::Read, "tcp"))
        .row(failing(Op::Recv, "tcp"))
        .row(failing(Op::Recv, "udp"))
        .row(failing(Op::Recv, "unix"));
    let peers = (_writer, _reader, _tcp_peer, _udp_peer, _unix_peer);
    Ok(Prepared::new(expected, move || {
        let _open = peers;
        let mut buffer = Buffer::zeroed(SIZE)?;
        for _ in 0..TIMES {
            refused(read(&empty, &mut buffer))?;
            refused(write(&full, &buffer))?;
            refused(read(&tcp, &mut buffer))?;
            for socket in [tcp.as_raw_fd(), udp.as_raw_fd(), unix.as_raw_fd()] {
                refused(recv(socket, &mut buffer, MsgFlags::empty()))?;
            }
        }
        Ok(())
    }))
}

fn fill_up(pipe: &OwnedFd) -> Result<()> {
    let page = Buffer::filled(SIZE)?;
    loop {
        match write(pipe, &page) {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Ok(()),
            Err(errno) => return Err(errno).context("filling a pipe"),
        }
    }
}

fn refused(result: nix::Result<usize>) -> Result<()> {
    ensure!(result == Err(Errno::EAGAIN), "{result:?}");
    Ok(())
}
