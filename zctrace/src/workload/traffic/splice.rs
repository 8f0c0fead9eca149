//! `splice`: pages pass through a pipe by reference, until they have to go into a file.

use std::{
    fs::{File, OpenOptions},
    net::TcpStream,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
};

use anyhow::{Result, ensure};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SpliceFFlags, fcntl, splice},
    libc,
    net::if_::if_nametoindex,
    sys::socket::{MsgFlags, recv, send},
};
use zctrace_common::{Class, Op};

use super::{
    late::connected,
    pipe::{roomy_pipe, take},
    unspliceable::spliceable_zero,
};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::{mounts::Fs, route::Route, xdp_program::Program},
    stage::{buffer::Buffer, mapping::page_size, sockets::tcp_pair},
    truth::exact::{at_most, calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "splice-tmpfs-pipe",
        "splice from tmpfs into a pipe: by reference",
        |arena| file_to_pipe(arena, Fs::Tmpfs),
    )
    .tag("sp-tmpfs"),
    Traffic::new(
        "splice-ext4-pipe",
        "splice from ext4 into a pipe: by reference",
        |arena| file_to_pipe(arena, Fs::Ext4),
    )
    .tag("sp-ext4"),
    Traffic::new(
        "splice-pipe-tmpfs",
        "splice from a pipe to tmpfs: copied once in the kernel",
        |arena| pipe_to_file(arena, Fs::Tmpfs),
    )
    .tag("sp-to-tmpfs"),
    Traffic::new(
        "splice-pipe-ext4",
        "splice from a pipe to ext4: copied once in the kernel",
        |arena| pipe_to_file(arena, Fs::Ext4),
    )
    .tag("sp-to-ext4"),
    Traffic::new(
        "splice-pipe-pipe",
        "splice from a pipe to a pipe: by reference",
        pipe_to_pipe,
    )
    .tag("sp-pipe"),
    Traffic::new(
        "splice-tcp",
        "splice from a pipe to a TCP socket: by reference",
        pipe_to_tcp,
    )
    .tag("sp-to-tcp"),
    Traffic::new(
        "splice-tcp-pipe",
        "splice from a TCP socket to a pipe: by reference",
        tcp_to_pipe,
    )
    .tag("sp-tcp"),
    Traffic::new(
        "splice-tcp-linear",
        "splice from a TCP socket whose packets are linear: copied in the kernel",
        linear_tcp_to_pipe,
    )
    .tag("sp-tcp-lin"),
    Traffic::new(
        "splice-tcp-chained",
        "splice from a TCP socket whose linear packets are chained (GRO): copied in the kernel",
        |arena| chained_tcp_to_pipe(arena, Route::Chained, Class::CopiedInKernel, joined),
    )
    .tag("sp-chain"),
    Traffic::new(
        "splice-tcp-chained-pages",
        "splice from a TCP socket whose packets of pages are chained (GRO): by reference",
        |arena| chained_tcp_to_pipe(arena, Route::ChainedPages, Class::Spliced, unseen),
    )
    .tag("sp-chain-pg"),
    Traffic::new(
        "splice-tcp-chained-heads",
        "splice from a TCP socket whose packets are chained, each in a page of its own (XDP, GRO): by reference",
        |arena| chained_tcp_to_pipe(arena, Route::ChainedHeads, Class::Spliced, apart),
    )
    .tag("sp-chain-hd"),
    Traffic::new(
        "splice-proxy",
        "splice from one TCP socket through a pipe to another: by reference",
        proxy,
    )
    .tag("sp-proxy"),
    Traffic::new(
        "splice-zero-pipe",
        "splice from /dev/zero into a pipe: made-up bytes",
        zero_to_pipe,
    )
    .tag("sp-zero"),
    Traffic::new(
        "splice-pipe-null",
        "splice from a pipe to /dev/null: dropped",
        pipe_to_null,
    )
    .tag("sp-to-null"),
];

/// `splice` without offsets or flags.
fn pass(from: &impl AsFd, to: &impl AsFd, length: usize) -> nix::Result<usize> {
    splice(from, None, to, None, length, SpliceFFlags::empty())
}

/// Splices exactly `length` bytes with one call.
fn pass_whole(from: &impl AsFd, to: &impl AsFd, length: usize) -> Result<()> {
    exactly(length as u64, length, |_, length| pass(from, to, length))
}

fn file_to_pipe(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let file = arena.file(fs, arena.sizes.bytes)?;
    let object = format!("{}->pipe", fs.object());
    into_pipe(arena, file, &object, Class::Spliced)
}

fn zero_to_pipe(arena: &Arena) -> Result<Prepared> {
    let zero = spliceable_zero()?;
    into_pipe(arena, zero, "char:mem->pipe", Class::Synthetic)
}

fn into_pipe(arena: &Arena, from: File, object: &str, class: Class) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Splice, object, class, calls, bytes)
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            let some = pass(&from, &into, length)?;
            nix::unistd::read(&out_of, &mut to[..some])
        })
    }))
}

fn pipe_to_file(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let file = arena.empty_file(fs)?;
    let object = format!("pipe->{}", fs.object());
    out_of_pipe(arena, file, &object, Class::CopiedInKernel)
}

fn pipe_to_null(arena: &Arena) -> Result<Prepared> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    out_of_pipe(arena, null, "pipe->char:mem", Class::Synthetic)
}

fn out_of_pipe(arena: &Arena, to: File, object: &str, class: Class) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Splice, object, class, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        exactly(bytes, chunk, |_, length| {
            nix::unistd::write(&into, &from[..length])?;
            pass(&out_of, &to, length)
        })
    }))
}

fn pipe_to_pipe(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (first, second) = (roomy_pipe()?, roomy_pipe()?);
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Splice, "pipe->pipe", Class::Spliced, calls, bytes)
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            nix::unistd::write(&first.1, &from[..length])?;
            pass(&first.0, &second.1, length)?;
            nix::unistd::read(&second.0, &mut to[..length])
        })
    }))
}

fn pipe_to_tcp(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (out_of, into) = roomy_pipe()?;
    let (near, far) = tcp_pair()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "pipe", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Splice, "pipe->tcp", Class::Spliced, calls, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            nix::unistd::write(&into, &from[..length])?;
            pass(&out_of, &near, length)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })
    }))
}

/// Index of the counter of splices out of a socket, which move what has arrived.
const SPLICES: usize = 0;

/// Splices `length` bytes from a socket into a pipe, in as many calls as it takes.
fn drain(from: &TcpStream, to: &OwnedFd, length: usize) -> Result<u64> {
    at_most(length as u64, length, |left| pass(from, to, left))
}

fn tcp_to_pipe(arena: &Arena) -> Result<Prepared> {
    out_of_tcp(
        arena,
        tcp_pair()?,
        arena.sizes.chunk,
        Class::Spliced,
        unseen,
    )
}

/// In pieces that need no large buffer.
fn linear_tcp_to_pipe(arena: &Arena) -> Result<Prepared> {
    const PIECE: usize = 1000;
    let program = Program::linear(if_nametoindex("lo")?)?;
    let mut prepared = out_of_tcp(arena, tcp_pair()?, PIECE, Class::CopiedInKernel, unseen)?;
    prepared.keep.push(Box::new(program));
    Ok(prepared)
}

/// Checks how a pipe has this many bytes.
type Witness = fn(&OwnedFd, usize) -> Result<()>;

fn unseen(_: &OwnedFd, _: usize) -> Result<()> {
    Ok(())
}

/// Each segment that goes by reference takes a buffer of the pipe for itself.
const SEGMENT: usize = 1448;

/// Fewer buffers than the segments of a whole chunk.
const FEW: usize = 32;

/// Segments were joined by copying them.
fn joined(pipe: &OwnedFd, length: usize) -> Result<()> {
    ensure!(
        length <= FEW * SEGMENT || fits(pipe, FEW)?,
        "the pipe has each segment for itself, as if it had gone by reference"
    );
    Ok(())
}

/// Segments were not copied.
fn apart(pipe: &OwnedFd, length: usize) -> Result<()> {
    ensure!(
        length <= FEW * SEGMENT || !fits(pipe, FEW)?,
        "the pipe has segments together, as if they had been copied"
    );
    Ok(())
}

/// Whether what is in a pipe fits into this many of its buffers: the kernel says so when it shall have no more.
fn fits(pipe: &OwnedFd, buffers: usize) -> Result<bool> {
    let all = fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    let few = (buffers * page_size()) as libc::c_int;
    match fcntl(pipe, FcntlArg::F_SETPIPE_SZ(few)) {
        Ok(_) => {
            fcntl(pipe, FcntlArg::F_SETPIPE_SZ(all))?;
            Ok(true)
        }
        Err(Errno::EBUSY) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Over devices, which join the segments of a packet again.
fn chained_tcp_to_pipe(
    arena: &Arena,
    route: Route,
    class: Class,
    witness: Witness,
) -> Result<Prepared> {
    let (veth, near, far) = connected(route)?;
    let mut prepared = out_of_tcp(arena, (near, far), arena.sizes.chunk, class, witness)?;
    prepared.keep.push(Box::new(veth));
    Ok(prepared)
}

fn out_of_tcp(
    arena: &Arena,
    (near, far): (TcpStream, TcpStream),
    chunk: usize,
    class: Class,
    witness: Witness,
) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Splice, "tcp->pipe", class, 0, bytes)
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, bytes);
    let shared = arena.shared;
    let prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        for length in lengths(bytes, chunk) {
            send(near.as_raw_fd(), &from[..length], MsgFlags::empty())?;
            shared.count(SPLICES, drain(&far, &into, length)?);
            witness(&into, length)?;
            take(&out_of, &mut to[..length])?;
        }
        Ok(())
    });
    Ok(prepared.finish(move |expected| {
        expected.add(ExpectedRow::new(Op::Splice, "tcp->pipe").ops(shared.counted(SPLICES)));
        Ok(())
    }))
}

/// Client and server are the same process too: it sends, passes on, receives.
fn proxy(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (client, from_client) = tcp_pair()?;
    let (to_server, server) = tcp_pair()?;
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Send, "tcp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Splice, "tcp->pipe", Class::Spliced, 0, bytes)
        .moves(Op::Splice, "pipe->tcp", Class::Spliced, calls, bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, bytes);
    let shared = arena.shared;
    let prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        for length in lengths(bytes, chunk) {
            send(client.as_raw_fd(), &from[..length], MsgFlags::empty())?;
            shared.count(SPLICES, drain(&from_client, &into, length)?);
            pass_whole(&out_of, &to_server, length)?;
            exactly(length as u64, length, |_, _| {
                recv(server.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
            })?;
        }
        Ok(())
    });
    Ok(prepared.finish(move |expected| {
        expected.add(ExpectedRow::new(Op::Splice, "tcp->pipe").ops(shared.counted(SPLICES)));
        Ok(())
    }))
}

/// The lengths of the calls that move `total` bytes.
fn lengths(total: u64, chunk: usize) -> impl Iterator<Item = usize> {
    let chunk = chunk as u64;
    (0..total.div_ceil(chunk)).map(move |call| (total - call * chunk).min(chunk) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up() {
        assert_eq!(lengths(25, 10).collect::<Vec<_>>(), [10, 10, 5]);
        assert_eq!(lengths(20, 10).sum::<usize>(), 20);
    }
}
