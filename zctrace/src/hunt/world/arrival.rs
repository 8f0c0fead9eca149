//! Waits for what was sent.

use std::{
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
    thread,
    time::{Duration, Instant},
};

use nix::libc::{self, c_int};

use super::ends::{Ends, option};
use crate::hunt::operation::{Call, Thing};

/// Whether a request to a thing would not wait for bytes, or for room.
pub(super) fn is_ready(fd: RawFd, thing: Thing, puts: bool) -> bool {
    // A hash never waits, and cannot be polled.
    matches!(thing, Thing::Alg(_)) || polled(fd, if puts { libc::POLLOUT } else { libc::POLLIN }, 0)
}

/// Whether one of the events comes within a time in milliseconds.
pub(super) fn polled(fd: RawFd, events: i16, patience: c_int) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, patience) == 1 }
}

/// Milliseconds that bytes have for a way over loopback.
pub(super) const ARRIVAL: c_int = 2000;

/// Waits until what was sent has arrived: on loopback that can be later than the end of the call.
pub(super) fn await_bytes(ends: &Ends, thing: Thing, call: Call, sent: i64) {
    if sent <= 0 {
        return;
    }
    let (near, far) = (&ends.into, &ends.out_of);
    let flags = call.flags();
    let is_more = flags & libc::MSG_MORE != 0;
    match thing {
        Thing::Tcp | Thing::Mptcp | Thing::Ktls | Thing::Vsock(libc::SOCK_STREAM) => {
            if is_more && thing != Thing::Vsock(libc::SOCK_STREAM) {
                // What is held back goes out.
                option(near, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
            }
            let urgent = i64::from(flags & libc::MSG_OOB != 0);
            if thing == Thing::Ktls || thing == Thing::Mptcp {
                // Nobody can ask for bytes of records that have not been opened.
                if settled(near) && !is_more {
                    polled(far.as_raw_fd(), libc::POLLIN, ARRIVAL);
                }
                return;
            }
            option(
                far,
                libc::SOL_SOCKET,
                libc::SO_RCVLOWAT,
                (sent - urgent) as c_int,
            );
            polled(far.as_raw_fd(), libc::POLLIN, ARRIVAL);
        }
        Thing::Udp | Thing::Sctp | Thing::Raw(253) | Thing::Vsock(_) if !is_more => {
            polled(far.as_raw_fd(), libc::POLLIN, ARRIVAL);
        }
        _ => {}
    }
}

/// Whether everything that a socket of TCP sent is acknowledged, within some time.
pub(super) fn settled(socket: &OwnedFd) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(ARRIVAL.unsigned_abs().into()) {
        let mut left: c_int = 0;
        // SAFETY: an int that outlives the call.
        let told = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut left) };
        if told != 0 || left == 0 {
            return true;
        }
        thread::sleep(Duration::from_micros(100));
    }
    false
}
