//! Splices from files that have no pages to lend: the kernel reads them into fresh pages first, and
//! what that means depends on the file. And the sink that drops everything.

use std::{
    fs::{File, OpenOptions},
    os::fd::AsRawFd as _,
};

use anyhow::{Result, ensure};
use nix::{
    fcntl::{SpliceFFlags, splice},
    libc,
    sys::{
        sendfile::sendfile,
        socket::{MsgFlags, recv},
    },
    unistd::read,
};
use zctrace_common::{Class, Op};

use super::pipe::roomy_pipe;
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    scene::{arena::evict, mounts::Fs},
    stage::{buffer::Buffer, sockets::tcp_pair},
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "sendfile-proc-file",
        "sendfile from procfs to tmpfs: copied in the kernel, twice",
        proc_to_file,
    )
    .tag("sf-proc-f"),
    Traffic::new(
        "sendfile-proc-tcp",
        "sendfile from procfs to a TCP socket: copied once, then by reference",
        proc_to_tcp,
    )
    .tag("sf-proc-tcp"),
    Traffic::new(
        "sendfile-sysfs-tcp",
        "sendfile from sysfs to a TCP socket: copied where no probe is, then by reference",
        sysfs_to_tcp,
    )
    .tag("sf-sysfs"),
    Traffic::new(
        "sendfile-zero-tcp",
        "sendfile from /dev/zero to a TCP socket: made-up bytes",
        zero_to_tcp,
    )
    .tag("sf-zero-tcp"),
    Traffic::new(
        "sendfile-null",
        "sendfile from ext4 to /dev/null: dropped",
        file_to_null,
    )
    .tag("sf-null"),
    Traffic::new(
        "splice-direct-pipe",
        "splice from a file opened with O_DIRECT: past the page cache",
        direct_to_pipe,
    )
    .tag("sp-direct"),
];

/// Counters: how long a file of procfs is shows only when it is read.
const OPS: usize = 0;
const BYTES: usize = 1;
const RECEIVES: usize = 2;

/// A file of procfs that has some kilobytes on every architecture.
const PROC_FILE: &str = "/proc/vmstat";

/// What a file of procfs has in it for one call.
const ASKED: usize = 64 * 1024;

fn proc_to_file(arena: &Arena) -> Result<Prepared> {
    let from = File::open(PROC_FILE)?;
    let to = arena.empty_file(Fs::Tmpfs)?;
    let shared = arena.shared;
    let prepared = Prepared::new(Expected::new(), move || {
        loop {
            let some = sendfile(&to, &from, None, ASKED)?;
            shared.count(OPS, 1);
            shared.count(BYTES, some as u64);
            if some == 0 {
                return Ok(());
            }
        }
    });
    Ok(prepared.finish(move |expected| {
        let bytes = shared.counted(BYTES);
        ensure!(bytes > 0, "procfs gave nothing");
        expected.add(
            ExpectedRow::new(Op::Sendfile, "file:proc->file:tmpfs")
                .ops(shared.counted(OPS))
                .class(Class::CopiedInKernel, bytes)
                .recopied(bytes),
        );
        Ok(())
    }))
}

fn proc_to_tcp(arena: &Arena) -> Result<Prepared> {
    let from = File::open(PROC_FILE)?;
    let (near, far) = tcp_pair()?;
    let shared = arena.shared;
    let prepared = Prepared::new(Expected::new(), move || {
        let mut to = Buffer::zeroed(ASKED)?;
        loop {
            let some = sendfile(&near, &from, None, ASKED)?;
            shared.count(OPS, 1);
            shared.count(BYTES, some as u64);
            if some == 0 {
                return Ok(());
            }
            shared.count(RECEIVES, 1);
            exactly(some as u64, some, |_, length| {
                recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
            })?;
        }
    });
    Ok(prepared.finish(move |expected| {
        let bytes = shared.counted(BYTES);
        ensure!(bytes > 0, "procfs gave nothing");
        expected.add(
            ExpectedRow::new(Op::Sendfile, "file:proc->tcp")
                .ops(shared.counted(OPS))
                .class(Class::CopiedInKernel, bytes),
        );
        expected.add(
            ExpectedRow::new(Op::Recv, "tcp")
                .ops(shared.counted(RECEIVES))
                .class(Class::CopiedToUser, bytes),
        );
        Ok(())
    }))
}

/// A file of sysfs that is longer than [`OF_SYSFS`], on every kernel that can be traced.
const SYSFS_FILE: &str = "/sys/kernel/btf/vmlinux";
const OF_SYSFS: u64 = 256 << 10;
/// What sysfs reads at once.
const PAGE: usize = 4096;

fn sysfs_to_tcp(_: &Arena) -> Result<Prepared> {
    let file = File::open(SYSFS_FILE)?;
    let (near, far) = tcp_pair()?;
    let calls = calls(OF_SYSFS, PAGE);
    let object = "file:sysfs->tcp";
    let expected = Expected::new()
        .moves(Op::Sendfile, object, Class::Unexplained, calls, OF_SYSFS)
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, OF_SYSFS);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(PAGE)?;
        exactly(OF_SYSFS, PAGE, |_, length| {
            sendfile(&near, &file, None, length)?;
            recv(far.as_raw_fd(), &mut to[..length], MsgFlags::MSG_WAITALL)
        })
    }))
}

fn zero_to_tcp(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let zero = spliceable_zero()?;
    let (near, far) = tcp_pair()?;
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(
            Op::Sendfile,
            "char:mem->tcp",
            Class::Synthetic,
            calls,
            bytes,
        )
        .moves(Op::Recv, "tcp", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(chunk)?;
        exactly(bytes, chunk, |_, length| {
            let some = sendfile(&near, &zero, None, length)?;
            recv(far.as_raw_fd(), &mut to[..some], MsgFlags::MSG_WAITALL)
        })
    }))
}

/// `/dev/zero`, if this kernel can splice from it: those before 6.5 accept the call and move
/// nothing.
pub(in crate::workload) fn spliceable_zero() -> Result<File> {
    let zero = File::open("/dev/zero")?;
    let (_out_of, into) = roomy_pipe()?;
    let none = SpliceFFlags::empty();
    if splice(&zero, None, &into, None, 4096, none) == Ok(4096) {
        return Ok(zero);
    }
    let reason = "this kernel cannot splice from /dev/zero";
    Err(Skip(reason.to_owned()).into())
}

fn file_to_null(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let from = arena.file(Fs::Ext4, bytes)?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    let expected = Expected::new().moves(
        Op::Sendfile,
        "file:ext4->char:mem",
        Class::Synthetic,
        calls(bytes, chunk),
        bytes,
    );
    Ok(Prepared::new(expected, move || {
        exactly(bytes, chunk, |_, length| {
            sendfile(&null, &from, None, length)
        })
    }))
}

fn direct_to_pipe(arena: &Arena) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let from = arena.file_with(Fs::Ext4, bytes, libc::O_DIRECT)?;
    evict(&from)?;
    let (out_of, into) = roomy_pipe()?;
    let calls = calls(bytes, ASKED);
    let expected = Expected::new()
        .row(
            ExpectedRow::new(Op::Splice, "file:ext4->pipe")
                .ops(calls)
                .class(Class::Direct, bytes)
                .evidence(arena.direct_evidence(Fs::Ext4)),
        )
        .moves(Op::Read, "pipe", Class::CopiedToUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(ASKED)?;
        exactly(bytes, ASKED, |_, _| {
            // Whole blocks are asked for; the last call gets what is left of the file.
            let none = SpliceFFlags::empty();
            let some = splice(&from, None, &into, None, ASKED, none)?;
            read(&out_of, &mut to[..some])
        })
    }))
}
