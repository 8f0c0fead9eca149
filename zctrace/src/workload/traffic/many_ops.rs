//! Very many operations of one byte, from two threads and with interrupts in between: a counter
//! that loses an update shows.

use std::{os::fd::AsRawFd as _, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::{
    socket::{MsgFlags, recv, send},
    uio::pread,
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Group, Prepared, Traffic, scene::mounts::Fs, stage::sockets::udp_pair,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "many-ops",
    "--ops operations of one byte: one thread reads a file, one sends to itself",
    prepare,
)
.group(Group::Volume)];

fn prepare(arena: &Arena) -> Result<Prepared> {
    let sent = arena.sizes.ops / 4;
    let reads = arena.sizes.ops - 2 * sent;
    let file = arena.file(Fs::Tmpfs, 1)?;
    let (near, far) = udp_pair()?;
    let expected = Expected::new()
        .moves(Op::Read, "file:tmpfs", Class::CopiedToUser, reads, reads)
        .moves(Op::Send, "udp", Class::CopiedFromUser, sent, sent)
        .moves(Op::Recv, "udp", Class::CopiedToUser, sent, sent);
    let mut prepared = Prepared::new(expected, move || {
        let reader = thread::spawn(move || {
            let mut byte = [0];
            for _ in 0..reads {
                whole(pread(&file, &mut byte, 0))?;
            }
            Ok(())
        });
        let mut byte = [1];
        for _ in 0..sent {
            whole(send(near.as_raw_fd(), &byte, MsgFlags::empty()))?;
            whole(recv(far.as_raw_fd(), &mut byte, MsgFlags::empty()))?;
        }
        reader.join().map_err(|_| anyhow!("a thread panicked"))?
    });
    prepared.seconds = 3600;
    Ok(prepared)
}

fn whole(result: nix::Result<usize>) -> Result<()> {
    ensure!(result.context("a byte")? == 1, "no byte");
    Ok(())
}
