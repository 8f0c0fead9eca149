//! Puts bytes into a thing, or takes them out of it, by any call.

use std::os::fd::{AsRawFd as _, RawFd};

use anyhow::Result;
use io_uring::types;
use nix::libc::{self, c_int, c_void};

use super::{
    NOT_MADE, World,
    arrival::{await_bytes, is_ready},
    calls::{answer, splice},
    ends::Ends,
    ring::request,
};
use crate::hunt::operation::{Call, Feed, Operation, Thing};

impl World<'_> {
    /// Something to take out of a thing that has nothing of its own.
    pub(super) fn supply(&mut self, ends: &Ends, thing: Thing, operation: &Operation) {
        if thing.is_socket() || thing == Thing::Pipe {
            let sent = self.put(ends.into.as_raw_fd(), thing, Call::Plain, operation);
            await_bytes(ends, thing, Call::Plain, sent);
        }
    }

    /// Puts bytes into a pipe.
    pub(super) fn feed(&mut self, into: &Ends, feed: Feed, operation: &Operation) -> Result<()> {
        let fd = into.into.as_raw_fd();
        match feed {
            Feed::Write => {
                self.put(fd, Thing::Pipe, Call::Plain, operation);
            }
            Feed::Vmsplice => {
                let (pieces, count) = self.pieces(operation);
                let flags = libc::SPLICE_F_NONBLOCK;
                // SAFETY: the pieces lie within a mapping that lives longer than the pipe.
                unsafe { libc::vmsplice(fd, pieces.as_ptr(), count, flags) };
            }
            Feed::Splice(place) => {
                let file = self.file(place, operation.make)?;
                splice(
                    &file.out_of,
                    &into.into,
                    operation.length,
                    libc::SPLICE_F_NONBLOCK,
                );
            }
        }
        Ok(())
    }

    pub(super) fn put(
        &mut self,
        fd: RawFd,
        thing: Thing,
        call: Call,
        operation: &Operation,
    ) -> i64 {
        self.between(fd, thing, call, operation, true)
    }

    pub(super) fn take(
        &mut self,
        fd: RawFd,
        thing: Thing,
        call: Call,
        operation: &Operation,
    ) -> i64 {
        self.between(fd, thing, call, operation, false)
    }

    fn between(
        &self,
        fd: RawFd,
        thing: Thing,
        call: Call,
        operation: &Operation,
        puts: bool,
    ) -> i64 {
        let base = self.buffer(operation);
        let length = operation.length;
        let (mut pieces, count) = self.pieces(operation);
        if thing == Thing::Netlink && puts {
            // A message that asks for nothing, so that the machine stays as it is.
            let header = [length.max(16) as u32, 1, 0, 0];
            // SAFETY: the buffer is longer.
            unsafe { base.cast::<[u32; 4]>().write_unaligned(header) };
        }
        let memory: *mut c_void = base.cast();
        let vector = pieces.as_mut_ptr();
        // SAFETY: integers and pointers, for which zero is fine.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = vector;
        header.msg_iovlen = count as _;
        let count = count as c_int;
        // SAFETY: the buffer and the vectors are ours and outlive the calls.
        unsafe {
            match (call, puts) {
                (Call::Plain, true) => answer(libc::write(fd, memory, length)),
                (Call::Plain, false) => answer(libc::read(fd, memory, length)),
                (Call::At, true) => answer(libc::pwrite(fd, memory, length, 0)),
                (Call::At, false) => answer(libc::pread(fd, memory, length, 0)),
                (Call::Vector, true) => answer(libc::writev(fd, vector, count)),
                (Call::Vector, false) => answer(libc::readv(fd, vector, count)),
                (Call::VectorAt(flags), true) => {
                    answer(libc::pwritev2(fd, vector, count, 0, flags))
                }
                (Call::VectorAt(flags), false) => {
                    answer(libc::preadv2(fd, vector, count, 0, flags))
                }
                (Call::Message(flags), true) => {
                    answer(libc::send(fd, memory, length, flags | libc::MSG_NOSIGNAL))
                }
                (Call::Message(flags), false) => answer(libc::recv(fd, memory, length, flags)),
                (Call::Header(flags), true) => answer(libc::sendmsg(
                    fd,
                    &raw const header,
                    flags | libc::MSG_NOSIGNAL,
                )),
                (Call::Header(flags), false) => answer(libc::recvmsg(fd, &raw mut header, flags)),
                (Call::Headers(flags), _) => three_messages(fd, &header, flags, puts),
                (Call::Ring(_), _) if !thing.is_file() && !is_ready(fd, thing, puts) => NOT_MADE,
                (Call::Ring(kind), _) => {
                    request(base, types::Fd(fd), kind, operation, &header, puts).unwrap_or(NOT_MADE)
                }
            }
        }
    }
}

/// Three messages in one call, each of the same vectors.
///
/// # Safety
///
/// The vectors of `header` must be ours.
unsafe fn three_messages(fd: RawFd, header: &libc::msghdr, flags: c_int, puts: bool) -> i64 {
    let mut headers = [libc::mmsghdr {
        msg_hdr: *header,
        msg_len: 0,
    }; 3];
    let vector = headers.as_mut_ptr();
    let flags = flags | (libc::MSG_NOSIGNAL * c_int::from(puts));
    // SAFETY: the headers outlive the call, and the caller answers for their vectors.
    let count = unsafe {
        if puts {
            libc::sendmmsg(fd, vector, 3, flags as _)
        } else {
            libc::recvmmsg(fd, vector, 3, flags as _, std::ptr::null_mut())
        }
    };
    if count < 0 {
        return answer(count as isize);
    }
    headers[..count.cast_unsigned() as usize]
        .iter()
        .map(|header| i64::from(header.msg_len))
        .sum()
}
