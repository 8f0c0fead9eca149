//! Does a call as a request to io_uring.

use anyhow::Result;
use io_uring::{IoUring, opcode, squeue, types};
use nix::libc;

use super::ROOM;
use crate::hunt::operation::{Operation, Request};

/// Puts bytes into a thing or takes them out of it; the result. `base` is where the operation's buffer begins.
pub(super) fn request(
    base: *mut u8,
    fd: types::Fd,
    request: Request,
    operation: &Operation,
    header: &libc::msghdr,
    puts: bool,
) -> Result<i64> {
    let length = operation.length as u32;
    let (vector, count) = (header.msg_iov.cast_const(), header.msg_iovlen as u32);
    let whole = libc::iovec {
        iov_base: base.cast(),
        iov_len: ROOM,
    };
    let is_fixed = matches!(request, Request::Fixed | Request::FixedZerocopy);
    let fixed = is_fixed.then_some(whole);
    let mut received = *header;
    let entry = match (request, puts) {
        (Request::Plain, true) => opcode::Write::new(fd, base, length).build(),
        (Request::Plain, false) => opcode::Read::new(fd, base, length).build(),
        (Request::Vector, true) => opcode::Writev::new(fd, vector, count).build(),
        (Request::Vector, false) => opcode::Readv::new(fd, vector, count).build(),
        (Request::Fixed, true) => opcode::WriteFixed::new(fd, base, length, 0).build(),
        (Request::Fixed, false) => opcode::ReadFixed::new(fd, base, length, 0).build(),
        (Request::Message(flags), true) => opcode::Send::new(fd, base, length)
            .flags(flags | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
            .build(),
        (Request::Message(flags), false) => {
            let flags = flags | libc::MSG_DONTWAIT;
            opcode::Recv::new(fd, base, length).flags(flags).build()
        }
        (Request::Header(flags), true) => {
            let flags = flags | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
            let flags = flags.cast_unsigned();
            opcode::SendMsg::new(fd, header).flags(flags).build()
        }
        (Request::Header(flags), false) => {
            let flags = (flags | libc::MSG_DONTWAIT).cast_unsigned();
            opcode::RecvMsg::new(fd, &raw mut received)
                .flags(flags)
                .build()
        }
        (Request::Zerocopy, true) => opcode::SendZc::new(fd, base, length)
            .flags(libc::MSG_DONTWAIT)
            .build(),
        (Request::FixedZerocopy, true) => opcode::SendZc::new(fd, base, length)
            .flags(libc::MSG_DONTWAIT)
            .buf_index(Some(0))
            .build(),
        (Request::HeaderZerocopy, true) => opcode::SendMsgZc::new(fd, header)
            .flags(libc::MSG_DONTWAIT.cast_unsigned())
            .build(),
        (Request::Zerocopy | Request::FixedZerocopy | Request::HeaderZerocopy, false) => {
            opcode::Recv::new(fd, base, length)
                .flags(libc::MSG_DONTWAIT)
                .build()
        }
    };
    ring(entry, fixed)
}

/// Does one request, in a ring of its own; its result.
pub(super) fn ring(entry: squeue::Entry, fixed: Option<libc::iovec>) -> Result<i64> {
    let mut ring = IoUring::new(8)?;
    if let Some(fixed) = fixed {
        // SAFETY: our own memory, which outlives the ring.
        unsafe { ring.submitter().register_buffers(&[fixed]) }?;
    }
    // SAFETY: callers keep what the entry points to until this returns, which waits for the request.
    unsafe { ring.submission().push(&entry.user_data(1)) }?;
    let patience = types::Timespec::new().sec(10);
    let patience = types::SubmitArgs::new().timespec(&patience);
    loop {
        ring.submitter().submit_with_args(1, &patience)?;
        if let Some(completion) = ring.completion().next() {
            return Ok(completion.result().into());
        }
    }
}
