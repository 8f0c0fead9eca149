//! Connected pairs of sockets on this machine, and calls that nix has no plain form of.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd as _},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{setsockopt, sockopt},
};

/// Room for everything that a family has under way at once.
const SPACE: usize = 4 << 20;

/// Two ends of a TCP connection over the loopback device.
///
/// The buffers are so large that one process can be both ends: what it sends fits until it
/// receives it.
pub fn tcp_pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("binding a TCP socket")?;
    // Inherited by the accepted socket, and before the window is negotiated.
    enlarge(&listener);
    let near = TcpStream::connect(listener.local_addr()?).context("connecting over loopback")?;
    let (far, _) = listener.accept().context("accepting over loopback")?;
    enlarge(&near);
    enlarge(&far);
    for end in [&near, &far] {
        end.set_nodelay(true)?;
    }
    Ok((near, far))
}

/// Two UDP sockets over the loopback device that are connected to each other.
pub fn udp_pair() -> Result<(UdpSocket, UdpSocket)> {
    udp_pair_on("127.0.0.1:0")
}

/// The same on an address of one's own choice.
pub fn udp_pair_on(address: &str) -> Result<(UdpSocket, UdpSocket)> {
    let near = UdpSocket::bind(address).context("binding a UDP socket")?;
    let far = UdpSocket::bind(address)?;
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    enlarge(&near);
    enlarge(&far);
    Ok((near, far))
}

/// Beyond the system's limit where that is allowed.
pub fn enlarge(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::SndBufForce, &SPACE)
        .or_else(|_| setsockopt(socket, sockopt::SndBuf, &SPACE));
    let _ = setsockopt(socket, sockopt::RcvBufForce, &SPACE)
        .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &SPACE));
}

/// Makes a blocking receive on a TCP socket wait for `length` bytes, so that the number of calls
/// does not depend on timing.
pub fn wait_for(socket: &impl AsFd, length: usize) -> nix::Result<()> {
    let low_water = libc::c_int::try_from(length).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the option is an int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const low_water).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// `sendmsg` of two pieces.
pub fn sendmsg(socket: &impl AsFd, bytes: &[u8], flags: i32) -> nix::Result<usize> {
    let mut pieces = halves(bytes);
    let header = header(&mut pieces);
    // SAFETY: the header and the memory it points to outlive the call, which only reads them.
    let result = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, flags) };
    Errno::result(result).map(isize::cast_unsigned)
}

/// `recvmsg` into two pieces.
pub fn recvmsg(socket: &impl AsFd, bytes: &mut [u8], flags: i32) -> nix::Result<usize> {
    let mut pieces = halves_mut(bytes);
    let mut header = header(&mut pieces);
    // SAFETY: the header outlives the call, and the memory it points to is borrowed mutably.
    let result = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
    Errno::result(result).map(isize::cast_unsigned)
}

/// `sendmmsg` of `messages` messages, each all of `bytes`; returns how many were sent.
pub fn sendmmsg(socket: &impl AsFd, bytes: &[u8], messages: usize) -> nix::Result<usize> {
    let mut pieces = vec![halves(bytes); messages];
    let mut headers = headers(&mut pieces);
    // SAFETY: the headers and the memory they point to outlive the call; the kernel writes only
    // to the headers.
    let result = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            messages as libc::c_uint,
            0,
        )
    };
    Errno::result(result).map(|sent| sent as usize)
}

/// `recvmmsg` of as many messages as `bytes` holds pieces of `length`; returns their lengths.
pub fn recvmmsg(
    socket: &impl AsFd,
    bytes: &mut [u8],
    length: usize,
    flags: i32,
) -> nix::Result<Vec<usize>> {
    let mut pieces: Vec<_> = bytes.chunks_exact_mut(length).map(halves_mut).collect();
    let mut headers = headers(&mut pieces);
    // SAFETY: the headers outlive the call, and the memory they point to is borrowed mutably.
    let result = unsafe {
        libc::recvmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            flags as _,
            std::ptr::null_mut(),
        )
    };
    let received = Errno::result(result)? as usize;
    Ok(headers[..received]
        .iter()
        .map(|header| header.msg_len as usize)
        .collect())
}

fn halves(bytes: &[u8]) -> [libc::iovec; 2] {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    [first, second].map(|piece| libc::iovec {
        iov_base: piece.as_ptr().cast_mut().cast(),
        iov_len: piece.len(),
    })
}

fn halves_mut(bytes: &mut [u8]) -> [libc::iovec; 2] {
    let (first, second) = bytes.split_at_mut(bytes.len() / 3);
    [first, second].map(|piece| libc::iovec {
        iov_base: piece.as_mut_ptr().cast(),
        iov_len: piece.len(),
    })
}

/// A message of two pieces, which it points to.
pub fn header(pieces: &mut [libc::iovec; 2]) -> libc::msghdr {
    // SAFETY: integers and pointers, for which zero is fine.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = pieces.as_mut_ptr();
    header.msg_iovlen = pieces.len() as _;
    header
}

fn headers(pieces: &mut [[libc::iovec; 2]]) -> Vec<libc::mmsghdr> {
    pieces
        .iter_mut()
        .map(|pieces| libc::mmsghdr {
            msg_hdr: header(pieces),
            msg_len: 0,
        })
        .collect()
}
