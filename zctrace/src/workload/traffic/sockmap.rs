//! A sockmap whose program puts what one socket sends into the queue of another one: past the network
//! stack, and copied in and out all the same.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{MsgFlags, recv, send},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Skip, Traffic,
    scene::bpf::{self, instruction},
    stage::{
        buffer::Buffer,
        sockets::{recvmsg, sendmsg, tcp_pair},
    },
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "sockmap",
    "messages that a sockmap's program redirects to their receiver",
    prepare,
)];

const SOCKMAP: u32 = 15;
const SK_MSG: u32 = 16;
const SK_MSG_VERDICT: u32 = 7;

/// `return bpf_msg_redirect_map(msg, map, 1, BPF_F_INGRESS);`
fn code(map: &OwnedFd) -> [u64; 6] {
    const MSG_REDIRECT_MAP: i32 = 60;
    const BPF_F_INGRESS: i32 = 1;
    [
        instruction(0x18, 2, 1, 0, map.as_raw_fd()),
        0,
        instruction(0xb7, 3, 0, 0, 1),
        instruction(0xb7, 4, 0, 0, BPF_F_INGRESS),
        instruction(0x85, 0, 0, 0, MSG_REDIRECT_MAP),
        instruction(0x95, 0, 0, 0, 0),
    ]
}

fn refused(errno: Errno) -> anyhow::Error {
    match errno {
        Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP => Skip(format!(
            "this kernel takes no program for a sockmap: {errno}"
        ))
        .into(),
        errno => errno.into(),
    }
}

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let (near, far) = tcp_pair()?;
    let map = bpf::sockets(SOCKMAP, 2)
        .map_err(refused)
        .context("a sockmap")?;
    let program = bpf::load(SK_MSG, &code(&map))
        .map_err(refused)
        .context("a program for it")?;
    bpf::attach(&program, &map, SK_MSG_VERDICT)
        .map_err(refused)
        .context("attaching it")?;
    for (key, socket) in [(0, &near), (1, &far)] {
        bpf::put_socket(&map, key, socket).context("putting a socket into the map")?;
    }
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::Write, "tcp", Class::CopiedFromUser, calls, bytes)
        .moves(Op::Read, "tcp", Class::CopiedToUser, calls, bytes)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 2 * calls, 2 * bytes)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 2 * calls, 2 * bytes)
        .moves(Op::Send, "tcp", Class::CopiedFromUser, 1, 800)
        .moves(Op::RecvPeek, "tcp", Class::CopiedToUser, 1, 800)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, 1, 800);
    let mut prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(chunk)?;
        let mut to = Buffer::zeroed(chunk)?;
        let (near_fd, far_fd) = (near.as_raw_fd(), far.as_raw_fd());
        exactly(bytes, chunk, |_, length| {
            write(&near, &from[..length])?;
            read(&far, &mut to[..length])
        })?;
        exactly(bytes, chunk, |_, length| {
            send(near_fd, &from[..length], MsgFlags::empty())?;
            recv(far_fd, &mut to[..length], MsgFlags::empty())
        })?;
        exactly(bytes, chunk, |_, length| {
            sendmsg(&near, &from[..length], 0)?;
            recvmsg(&far, &mut to[..length], libc::MSG_WAITALL)
        })?;
        send(near_fd, &from[..800], MsgFlags::empty())?;
        for flags in [MsgFlags::MSG_PEEK, MsgFlags::empty()] {
            ensure!(recv(far_fd, &mut to[..800], flags)? == 800, "short recv");
        }
        Ok(())
    });
    prepared.keep.push(Box::new((map, program)));
    Ok(prepared)
}
