//! Copies that nobody gets: the datagram is in the buffer already when the kernel finds that it
//! cannot say where it came from, and fails the call.

use std::{os::fd::AsRawFd as _, ptr};

use anyhow::{Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{MsgFlags, send},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    stage::{buffer::Buffer, mapping::Mapping, sockets::udp_pair},
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-wasted",
    "receives that fail after the copy, for want of memory for the address",
    prepare,
)
.tag("aw-wasted")];

const TIMES: u64 = 5;
const SIZE: usize = 40_000;

fn prepare(_: &Arena) -> Result<Prepared> {
    let (near, far) = udp_pair()?;
    let bytes = TIMES * SIZE as u64;
    let expected = Expected::new()
        .moves(Op::Send, "udp", Class::CopiedFromUser, TIMES, bytes)
        .row(
            ExpectedRow::new(Op::Recv, "udp")
                .errors(libc::EFAULT, TIMES)
                .wasted(bytes),
        );
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(SIZE)?;
        let mut to = Buffer::zeroed(SIZE)?;
        let memory = Mapping::before_a_hole(1)?;
        for _ in 0..TIMES {
            send(near.as_raw_fd(), &from, MsgFlags::empty())?;
            let mut room = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            // SAFETY: the buffer is borrowed mutably; the address is one that cannot be accessed,
            // which the kernel checks.
            let result = unsafe {
                libc::recvfrom(
                    far.as_raw_fd(),
                    to.as_mut_ptr().cast(),
                    SIZE,
                    0,
                    memory.end().cast(),
                    ptr::from_mut(&mut room),
                )
            };
            let failed = Errno::result(result);
            ensure!(failed == Err(Errno::EFAULT), "{failed:?}");
            ensure!(to[..] == from[..], "the bytes did not arrive");
            to.fill(0);
        }
        Ok(())
    }))
}
