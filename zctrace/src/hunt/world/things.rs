//! Makes what operations work on.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::Result;
use nix::{
    libc::{self, c_int},
    pty::{OpenptyResult, openpty},
};

use super::{
    World,
    connections::{algorithm, connect_to, packet, pair, refuse, socket, stream, vsock},
    ends::{Ends, of, option, owned},
    files::{opened, pipe, timer},
};
use crate::{
    hunt::operation::{Operation, Thing},
    workload::{stage::sockets, traffic::ktls},
};

impl World<'_> {
    /// Makes a thing.
    pub(super) fn make(&self, thing: Thing, operation: &Operation) -> Result<Ends> {
        let ends = match thing {
            Thing::File(place) => self.file(place, operation.make)?,
            Thing::Pipe => pipe()?,
            Thing::Unix(kind) => {
                let (into, out_of) = pair(kind)?;
                of(into, out_of)
            }
            Thing::Tcp => {
                let (near, far) = sockets::tcp_pair()?;
                of(near.into(), far.into())
            }
            Thing::Ktls => {
                let (near, far) = ktls::connection()?;
                of(near.into(), far.into())
            }
            Thing::Mptcp => stream(262)?,
            Thing::Sctp => stream(libc::IPPROTO_SCTP)?,
            Thing::Udp => {
                let (near, far) = sockets::udp_pair()?;
                of(near.into(), far.into())
            }
            Thing::Vsock(kind) => vsock(kind)?,
            Thing::Alg(cipher) => algorithm(cipher)?,
            // Notices go nowhere: what is sent is answered.
            Thing::Netlink => both(owned(socket(libc::AF_NETLINK, libc::SOCK_RAW, 0))?)?,
            Thing::Raw(protocol) => raw(protocol)?,
            Thing::Packet(kind) => packet(kind)?,
            Thing::Device(name) => opened(name, libc::O_RDWR)?,
            Thing::Terminal => {
                let OpenptyResult { master, slave } = openpty(None, None)?;
                of(master, slave)
            }
            Thing::Generated(name) => generated(name)?,
            // SAFETY: no memory is passed.
            Thing::Event => both(owned(unsafe { libc::eventfd(1, libc::EFD_NONBLOCK) })?)?,
            Thing::Timer => timer()?,
            Thing::Directory => opened("/", libc::O_RDONLY | libc::O_DIRECTORY)?,
            Thing::Huge => huge()?,
        };
        for end in [&ends.into, &ends.out_of] {
            if !thing.is_file() {
                let fd = end.as_raw_fd();
                // SAFETY: the descriptor is ours.
                unsafe {
                    libc::fcntl(
                        fd,
                        libc::F_SETFL,
                        libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK,
                    )
                };
            }
            if thing.is_socket() && operation.zerocopy {
                option(end, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1);
            }
        }
        Ok(ends)
    }
}

/// A thing of which both ends are one descriptor.
fn both(fd: OwnedFd) -> Result<Ends> {
    let other = fd.try_clone()?;
    Ok(of(fd, other))
}

fn raw(protocol: c_int) -> Result<Ends> {
    let fd = owned(socket(libc::AF_INET, libc::SOCK_RAW, protocol))?;
    connect_to(&fd, libc::INADDR_LOOPBACK, 0)?;
    if protocol == libc::IPPROTO_TCP || protocol == libc::IPPROTO_UDP {
        // Everybody's packets would come in.
        refuse(&fd)?;
    }
    both(fd)
}

/// A file that the kernel generates.
fn generated(name: &str) -> Result<Ends> {
    let into = opened(name, libc::O_WRONLY);
    let out_of = opened(name, libc::O_RDONLY)?;
    Ok(match into {
        // Not those of the machine.
        // Nor the name, by which the process is known.
        Ok(into) if name == "/proc/self/oom_score_adj" => of(into.into, out_of.out_of),
        _ => out_of,
    })
}

/// A file of a huge page.
fn huge() -> Result<Ends> {
    // SAFETY: a string that outlives the call.
    let fd = owned(unsafe { libc::memfd_create(c"hunted".as_ptr(), libc::MFD_HUGETLB) })?;
    // SAFETY: the file is ours.
    unsafe { libc::ftruncate(fd.as_raw_fd(), 2 << 20) };
    both(fd)
}
