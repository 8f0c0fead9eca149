//! Calls that libraries do not have, or not in this form.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::{
    errno::Errno,
    libc::{self, c_int},
};

use crate::kernel::FIDEDUPERANGE;

/// What a call answered: bytes, or the negative number of an error.
pub(super) fn answer(result: isize) -> i64 {
    if result < 0 {
        -i64::from(Errno::last_raw())
    } else {
        result as i64
    }
}

pub(super) fn splice(from: &OwnedFd, to: &OwnedFd, length: usize, flags: u32) {
    let null = std::ptr::null_mut();
    // SAFETY: no memory is passed.
    unsafe { libc::splice(from.as_raw_fd(), null, to.as_raw_fd(), null, length, flags) };
}

/// A stretch of memory as two vectors.
pub(super) fn halves(base: *mut u8, length: usize) -> [libc::iovec; 2] {
    let half = length / 2;
    [(0, half), (half, length - half)].map(|(at, length)| libc::iovec {
        iov_base: base.wrapping_add(at).cast(),
        iov_len: length,
    })
}

/// `FICLONE`, `FICLONERANGE` or `FIDEDUPERANGE`.
pub(super) fn share(from: &OwnedFd, to: &OwnedFd, kind: u8, length: u64) {
    let (source, sink) = (from.as_raw_fd(), to.as_raw_fd());
    // struct file_clone_range.
    let mut range = [i64::from(source).cast_unsigned(), 0, length, 0];
    // struct file_dedupe_range with one destination.
    let mut same = [0, length, 1, i64::from(sink).cast_unsigned(), 0, 0, 0];
    // SAFETY: the structures outlive the calls.
    unsafe {
        match kind {
            0 => libc::ioctl(sink, libc::FICLONE, source),
            1 => libc::ioctl(sink, libc::FICLONERANGE, range.as_mut_ptr()),
            _ => libc::ioctl(source, FIDEDUPERANGE, same.as_mut_ptr()),
        }
    };
}

/// `TCP_ZEROCOPY_RECEIVE` with a buffer for what cannot be mapped.
pub(super) fn receive(socket: &OwnedFd, buffer: *mut u8, length: usize) {
    const TCP_ZEROCOPY_RECEIVE: c_int = 35;
    // struct tcp_zerocopy_receive: address, length, recv_skip_hint, inq, err, copybuf_address,
    // copybuf_len, flags, and what is about control messages.
    let mut request = [0_u32; 16];
    let address = (buffer as u64).to_ne_bytes();
    for (half, word) in [4..8, 0..4].into_iter().zip([7, 6]) {
        request[word] = u32::from_ne_bytes(address[half].try_into().expect("four bytes"));
    }
    request[8] = length as u32;
    let mut size = size_of_val(&request) as libc::socklen_t;
    // SAFETY: the structure outlives the call, and the buffer is ours.
    unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_ZEROCOPY_RECEIVE,
            request.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
}
