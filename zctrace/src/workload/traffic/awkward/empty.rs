//! Calls with a length of zero, and the empty datagram: operations all the same.

use std::os::fd::AsRawFd as _;

use anyhow::{Result, ensure};
use nix::{
    sys::socket::{MsgFlags, recv, send},
    unistd::{read, write},
};
use zctrace_common::Op;

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic, scene::mounts::Fs, stage::sockets::udp_pair,
    traffic::pipe::roomy_pipe,
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-empty",
    "reads and writes of no bytes, and an empty datagram",
    prepare,
)
.tag("aw-empty")];

const TIMES: u64 = 3;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let file = arena.file(Fs::Tmpfs, 4096)?;
    let (out_of, into) = roomy_pipe()?;
    let (near, far) = udp_pair()?;
    let row = |op, object| ExpectedRow::new(op, object).ops(TIMES);
    let expected = Expected::new()
        .row(row(Op::Read, "file:tmpfs"))
        .row(row(Op::Write, "file:tmpfs"))
        .row(row(Op::Read, "pipe"))
        .row(row(Op::Write, "pipe"))
        .row(row(Op::Send, "udp"))
        .row(row(Op::Recv, "udp"));
    Ok(Prepared::new(expected, move || {
        let mut room = [0; 16];
        for _ in 0..TIMES {
            let moved = read(&file, &mut [])?
                + write(&file, &[])?
                + read(&out_of, &mut [])?
                + write(&into, &[])?
                + send(near.as_raw_fd(), &[], MsgFlags::empty())?
                + recv(far.as_raw_fd(), &mut room, MsgFlags::empty())?;
            ensure!(moved == 0, "{moved} bytes");
        }
        Ok(())
    }))
}
