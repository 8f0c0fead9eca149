//! Servers of FUSE: what they copy for those who read their file, in each of the ways in which they can answer.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc,
    sys::{
        mman::MapFlags,
        uio::{pread, pwrite},
    },
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    scene::{
        fuse::backed::{self, ANSWER_HEADER, Mode, Mounted, Server},
        mounts::Fs,
    },
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
    },
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "fuse-copy",
        "a FUSE server that reads what it answers",
        |arena| serves(arena, Mode::Copy),
    ),
    Traffic::new("fuse-splice", "the same where it splices", |arena| {
        serves(arena, Mode::Splice)
    }),
    Traffic::new(
        "fuse-move",
        "the same where the kernel takes the pages that it splices",
        |arena| serves(arena, Mode::Move),
    ),
    Traffic::new(
        "fuse-pass",
        "the same where the kernel reads the file by itself",
        |arena| serves(arena, Mode::Passthrough),
    ),
];

const DEVICE: &str = "char:fuse";
const BYTES: u64 = 1 << 20;

fn serves(arena: &Arena, mode: Mode) -> Result<Prepared> {
    // The page cache of vfat has no large folios, which the kernel does not take.
    let fs = if mode == Mode::Move {
        Fs::Vfat
    } else {
        Fs::Ext4
    };
    let backing = arena.file(fs, BYTES)?;
    let path = arena.directory().join(format!("fuse-{mode:?}"));
    fs::create_dir(&path)?;
    let shared = arena.shared;
    let server = Server {
        mode,
        backing: backing.try_clone()?,
        size: BYTES,
        shared,
    };
    let mounted = Mounted::on(path.clone());
    let mut prepared = Prepared::new(Expected::new(), move || server.serve(&path));
    prepared.meanwhile = Some(Box::new(move |_| {
        let used = shared
            .wait_for(backed::MOUNTED, 1)
            .and_then(|()| use_file(&mounted.file(), mode))
            // The kernel withdraws what is not answered when the filesystem is unmounted.
            .and_then(|()| shared.wait_for(backed::RELEASED, 1));
        // Its own word is the better one. Files fail as soon as it stops serving, and it says why after that.
        used.or_else(|error| shared.failure_soon().map_or(Err(error), |_| Ok(())))
    }));
    Ok(prepared.finish(move |expected| {
        let mapping =
            Mapping::of_file(&backing, BYTES as usize / page_size(), MapFlags::MAP_SHARED)?;
        let taken = BYTES - (mapping.resident()? * page_size()) as u64;
        add_served(expected, mode, fs, taken, |index| shared.counted(index));
        Ok(())
    }))
}

/// The rows of a server that has counted what it did. Pages that the kernel took are not in the page cache of the
/// backing file any more. The last request fails when the filesystem is unmounted.
fn add_served(
    expected: &mut Expected,
    mode: Mode,
    fs: Fs,
    taken: u64,
    counted: impl Fn(usize) -> u64,
) {
    let written = |object, ops, bytes| row(Op::Write, object, Class::CopiedFromUser, ops, bytes);
    let (reads, read) = (counted(backed::READS), counted(backed::READ));
    let (requests, requested) = (counted(backed::REQUESTS), counted(backed::REQUESTED));
    let to_user = |object| row(Op::Read, object, Class::CopiedToUser, requests, requested);
    if mode.splices_requests() {
        // The pages of what was written to the file are passed by reference.
        let (op, object) = (Op::Splice, format!("{DEVICE}->pipe"));
        let payload = counted(backed::WRITTEN);
        let copied = requested - payload;
        let taken = row(op, &object, Class::CopiedInKernel, requests, copied);
        expected.add(taken.class(Class::Spliced, payload).errors(libc::ENODEV, 1));
        expected.add(to_user("pipe"));
    } else {
        expected.add(to_user(DEVICE).errors(libc::ENODEV, 1));
    }
    expected.add(written(
        DEVICE,
        counted(backed::ANSWERS),
        counted(backed::ANSWERED),
    ));
    match mode {
        Mode::Passthrough => {}
        Mode::Copy => {
            expected.add(row(Op::Read, fs.object(), Class::CopiedToUser, reads, read));
        }
        Mode::Splice | Mode::Move => {
            let headers = reads * ANSWER_HEADER as u64;
            expected.add(written("pipe", reads, headers));
            let into = format!("{}->pipe", fs.object());
            let spliced = counted(backed::SPLICES);
            expected.add(row(Op::Splice, &into, Class::Spliced, spliced, read));
            let out = row(
                Op::Splice,
                &format!("pipe->{DEVICE}"),
                Class::CopiedInKernel,
                reads,
                headers + read - taken,
            );
            expected.add(out.class(Class::Spliced, taken));
        }
    }
}

fn row(op: Op, object: &str, class: Class, ops: u64, bytes: u64) -> ExpectedRow {
    ExpectedRow::new(op, object).ops(ops).class(class, bytes)
}

fn use_file(path: &Path, mode: Mode) -> Result<()> {
    let mut options = File::options();
    let file = options.read(true).write(true).open(path);
    let file = file.with_context(|| path.display().to_string())?;
    let mut buffer = Buffer::zeroed(64 << 10)?;
    for offset in (0..BYTES).step_by(buffer.len()) {
        let read = pread(&file, &mut buffer, offset.cast_signed())?;
        ensure!(read == buffer.len(), "{read} bytes of the file");
    }
    if mode != Mode::Passthrough {
        for offset in (0..BYTES / 4).step_by(buffer.len()) {
            let written = pwrite(&file, &buffer, offset.cast_signed())?;
            ensure!(written == buffer.len(), "{written} bytes to the file");
        }
    }
    Ok(())
}
