//! Makes sockets.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::Result;
use nix::{
    errno::Errno,
    libc::{self, c_int},
};

use super::ends::{Ends, of, owned};
use crate::{hunt::operation::Cipher, workload::stage::sockets};

pub(super) fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: no memory is passed.
    unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }
}

/// Lets a socket refuse every packet.
pub(super) fn refuse(socket: &OwnedFd) -> Result<()> {
    // Return 0: keep no byte.
    let mut refuses = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &raw mut refuses,
    };
    // SAFETY: the program outlives the call.
    Errno::result(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    })?;
    Ok(())
}

pub(super) fn pair(kind: c_int) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: two ints, which outlive the call.
    Errno::result(unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            kind | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        )
    })?;
    let (near, far) = (owned(ends[0])?, owned(ends[1])?);
    for end in [&near, &far] {
        sockets::enlarge(end);
    }
    Ok((near, far))
}

pub(super) fn address(host: u32, port: u16) -> libc::sockaddr_in {
    // SAFETY: integers, for which zero is fine.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port;
    address.sin_addr.s_addr = host.to_be();
    address
}

pub(super) fn connect_to(socket: &OwnedFd, host: u32, port: u16) -> Result<()> {
    let address = address(host, port);
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    Errno::result(unsafe {
        libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length)
    })?;
    Ok(())
}

/// Binds a socket to an address of its family and listens there; the address becomes the one that it got.
pub(super) fn listen<A>(listener: &OwnedFd, own: &mut A) -> Result<()> {
    let mut length = size_of::<A>() as libc::socklen_t;
    let (listener, own) = (listener.as_raw_fd(), &raw mut *own);
    // SAFETY: the address outlives the calls.
    unsafe {
        Errno::result(libc::bind(listener, own.cast_const().cast(), length))?;
        Errno::result(libc::listen(listener, 1))?;
        Errno::result(libc::getsockname(listener, own.cast(), &raw mut length))?;
    }
    Ok(())
}

/// A connection over loopback of another protocol than TCP.
pub(super) fn stream(protocol: c_int) -> Result<Ends> {
    let listener = owned(socket(libc::AF_INET, libc::SOCK_STREAM, protocol))?;
    let near = owned(socket(libc::AF_INET, libc::SOCK_STREAM, protocol))?;
    for end in [&listener, &near] {
        sockets::enlarge(end);
    }
    let mut own = address(libc::INADDR_LOOPBACK, 0);
    listen(&listener, &mut own)?;
    connect_to(&near, libc::INADDR_LOOPBACK, own.sin_port)?;
    let null = std::ptr::null_mut();
    // SAFETY: no memory is passed.
    let far = owned(unsafe { libc::accept(listener.as_raw_fd(), null, null.cast()) })?;
    Ok(of(near, far))
}

/// A connection of this machine with itself over vsock.
pub(super) fn vsock(kind: c_int) -> Result<Ends> {
    const LOCAL: u32 = 1;
    let listener = owned(socket(libc::AF_VSOCK, kind, 0))?;
    let near = owned(socket(libc::AF_VSOCK, kind, 0))?;
    // SAFETY: integers, for which zero is fine.
    let mut own: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    own.svm_family = libc::AF_VSOCK as u16;
    own.svm_cid = LOCAL;
    own.svm_port = u32::MAX;
    listen(&listener, &mut own)?;
    let length = size_of_val(&own) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    let far = unsafe {
        own.svm_cid = LOCAL;
        Errno::result(libc::connect(
            near.as_raw_fd(),
            (&raw const own).cast(),
            length,
        ))?;
        let null = std::ptr::null_mut();
        owned(libc::accept(listener.as_raw_fd(), null, null.cast()))?
    };
    Ok(of(near, far))
}

/// A socket that hashes, or deciphers, what is sent to it.
pub(super) fn algorithm(cipher: Cipher) -> Result<Ends> {
    let (kind, algorithm) = match cipher {
        Cipher::Hash => (c"hash", c"sha256"),
        Cipher::Cipher => (c"skcipher", c"ecb(aes)"),
    };
    let transform = owned(socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0))?;
    // SAFETY: integers, for which zero is fine.
    let mut name: libc::sockaddr_alg = unsafe { std::mem::zeroed() };
    name.salg_family = libc::AF_ALG as u16;
    name.salg_type[..kind.count_bytes()].copy_from_slice(kind.to_bytes());
    name.salg_name[..algorithm.count_bytes()].copy_from_slice(algorithm.to_bytes());
    let length = size_of_val(&name) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    Errno::result(unsafe { libc::bind(transform.as_raw_fd(), (&raw const name).cast(), length) })?;
    if cipher == Cipher::Cipher {
        let key = [7_u8; 16];
        // SAFETY: a key that outlives the call.
        Errno::result(unsafe {
            libc::setsockopt(
                transform.as_raw_fd(),
                libc::SOL_ALG,
                libc::ALG_SET_KEY,
                key.as_ptr().cast(),
                key.len() as libc::socklen_t,
            )
        })?;
    }
    let null = std::ptr::null_mut();
    // SAFETY: no memory is passed.
    let fd = owned(unsafe { libc::accept(transform.as_raw_fd(), null, null.cast()) })?;
    let other = fd.try_clone()?;
    Ok(Ends {
        _keep: vec![transform],
        ..of(fd, other)
    })
}

/// A packet socket that sends to the loopback device and receives nothing.
pub(super) fn packet(kind: c_int) -> Result<Ends> {
    let fd = owned(socket(libc::AF_PACKET, kind, 0))?;
    // SAFETY: integers, for which zero is fine.
    let mut own: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    own.sll_family = libc::AF_PACKET as u16;
    // The loopback device is the first of every network namespace.
    own.sll_ifindex = 1;
    let length = size_of_val(&own) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    Errno::result(unsafe { libc::bind(fd.as_raw_fd(), (&raw const own).cast(), length) })?;
    let other = fd.try_clone()?;
    Ok(of(fd, other))
}
