//! Servers of ublk: what they copy for a block device, in each of the ways in which the driver gives it to them.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc,
    sys::uio::{pread, pwrite},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::{
        mounts::Fs,
        ublk::{self, Device, Mode, REQUEST},
    },
    stage::buffer::Buffer,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "ublk-copy",
        "a server of ublk: the driver copies within its commands",
        |arena| serves(arena, Mode::Copy),
    ),
    Traffic::new(
        "ublk-user-copy",
        "the same where the server reads and writes the requests",
        |arena| serves(arena, Mode::UserCopy),
    )
    .tag("ublk-user"),
    Traffic::new(
        "ublk-zero-copy",
        "the same where a file fills the pages of the requests",
        |arena| serves(arena, Mode::ZeroCopy),
    )
    .tag("ublk-zc"),
];

const OBJECT: &str = "char:ublk-char";
/// Requests in each direction. They differ, so that neither can stand for the other.
const WRITES: u64 = 7;
const READS: u64 = 5;

fn serves(arena: &Arena, mode: Mode) -> Result<Prepared> {
    let bytes = WRITES as usize * REQUEST;
    let backing = arena.file(Fs::Ext4, bytes as u64)?;
    let mut device = Device::new(mode, bytes)?;
    let served = device.to_serve();
    let shared = arena.shared;
    let mut prepared = Prepared::new(Expected::new(), move || served.serve(&backing, shared));
    prepared.meanwhile = Some(Box::new(move |server| {
        device.start(server)?;
        use_device(&device)?;
        device.stop()
    }));
    Ok(prepared.finish(move |expected| {
        add_served(expected, mode, |index| shared.counted(index));
        Ok(())
    }))
}

/// The rows of a server that has counted its requests. Its last command fails when the device is stopped.
fn add_served(expected: &mut Expected, mode: Mode, counted: impl Fn(usize) -> u64) {
    let (writes, reads) = (counted(ublk::WRITES), counted(ublk::READS));
    let (written, read) = (counted(ublk::BYTES_WRITTEN), counted(ublk::BYTES_READ));
    let moves = writes + reads;
    let requests = moves + counted(ublk::OTHERS);
    let command = |ops| {
        ExpectedRow::new(Op::UringCmd, OBJECT)
            .ops(ops)
            .errors(libc::ENODEV, 1)
    };
    let row =
        |op, object, class, ops, bytes| ExpectedRow::new(op, object).ops(ops).class(class, bytes);
    let file = "file:ext4";
    let rows = match mode {
        Mode::Copy => vec![
            command(requests)
                .class(Class::CopiedToUser, written)
                .class(Class::CopiedFromUser, read),
        ],
        Mode::UserCopy => vec![
            command(requests),
            row(Op::Read, OBJECT, Class::CopiedToUser, writes, written),
            row(Op::Write, OBJECT, Class::CopiedFromUser, reads, read),
        ],
        // A buffer is registered and removed for each.
        Mode::ZeroCopy => vec![
            command(requests + 2 * moves),
            row(
                Op::UringWriteFixed,
                file,
                Class::CopiedInKernel,
                writes,
                written,
            ),
            row(Op::UringReadFixed, file, Class::CopiedInKernel, reads, read),
        ],
    };
    for row in rows {
        expected.add(row);
    }
}

/// Writes the whole device and reads a part of it again, past the page cache.
fn use_device(device: &Device) -> Result<()> {
    let path = device.block();
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    let from = Buffer::filled(REQUEST)?;
    let mut to = Buffer::zeroed(REQUEST)?;
    for number in 0..WRITES as i64 {
        let written = pwrite(&file, &from, number * REQUEST as i64)?;
        ensure!(written == REQUEST, "{written} bytes written");
    }
    for number in 0..READS as i64 {
        let read = pread(&file, &mut to, number * REQUEST as i64)?;
        ensure!(read == REQUEST && to[..] == from[..], "other bytes");
    }
    Ok(())
}
