//! Linux AIO: requests are submitted and collected by system calls. Only with `O_DIRECT` does anything
//! happen in between; a buffered request is copied while it is submitted.

use anyhow::Result;
use nix::libc;
use zctrace_common::{Class, Evidence, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Ready, Setting, Technique, Variant,
    direct_read::aligned,
};
use crate::workload::{
    scene::{arena::evict, mounts::Fs},
    stage::{mapping::page_size, slots::Slots},
    traffic::aio::{Context, DEPTH, IOCB_CMD_PREAD, IOCB_CMD_PWRITE},
};

pub(super) const READ: Technique = Technique::new(
    "aio-read",
    "read a file with Linux AIO",
    Job::ReadFile,
    &[
        Variant::new(
            "direct",
            "with O_DIRECT, past the page cache",
            "aio-r-dir",
            |setting| read(setting, true),
        ),
        Variant::new(
            "buffered",
            "copied while it is submitted",
            "aio-r-buf",
            |setting| read(setting, false),
        ),
    ],
);

pub(super) const WRITE: Technique = Technique::new(
    "aio-write",
    "write a file with Linux AIO",
    Job::WriteFile,
    &[
        Variant::new(
            "direct",
            "with O_DIRECT, past the page cache",
            "aio-w-dir",
            |setting| write(setting, true),
        ),
        Variant::new(
            "buffered",
            "copied while it is submitted",
            "aio-w-buf",
            |setting| write(setting, false),
        ),
    ],
);

const WHOLE: fn(usize) -> usize = |length| length;
/// A ragged end is asked for in whole blocks.
const BLOCKS: fn(usize) -> usize = |length| length.next_multiple_of(page_size());

fn read(setting: &Setting<'_>, direct: bool) -> Result<Ready> {
    drop(Context::new()?);
    let parameters = if direct {
        aligned(setting.parameters)
    } else {
        setting.parameters
    };
    let pieces = parameters.pieces(usize::MAX);
    let (flags, asked, class) = if direct {
        (libc::O_DIRECT, BLOCKS, Class::Direct)
    } else {
        (0, WHOLE, Class::CopiedToUser)
    };
    let arena = setting.arena;
    let file = arena.common_file(Fs::Ext4, parameters.length(), flags)?;
    evict(&file)?;
    let expected = expected(
        setting,
        Op::AioRead,
        class,
        (pieces.calls(), pieces.total()),
    );
    let prepared = Prepared::new(expected, move || {
        let mut buffers = Slots::new(DEPTH, pieces.chunk())?;
        Context::new()?.each(&file, IOCB_CMD_PREAD, pieces.iter(), asked, &mut buffers)
    });
    Ok(Ready::new(pieces.total(), prepared))
}

fn write(setting: &Setting<'_>, direct: bool) -> Result<Ready> {
    drop(Context::new()?);
    let mut parameters = setting.parameters;
    if direct {
        parameters = aligned(parameters);
        parameters.bytes = parameters.bytes.next_multiple_of(page_size() as u64);
        parameters.file = parameters.file.next_multiple_of(page_size() as u64);
    }
    let pieces = parameters.pieces(usize::MAX);
    let (flags, class) = if direct {
        (libc::O_DIRECT, Class::Direct)
    } else {
        (0, Class::CopiedFromUser)
    };
    let file = setting.arena.file_with(Fs::Ext4, 0, flags)?;
    let expected = expected(
        setting,
        Op::AioWrite,
        class,
        (pieces.calls(), pieces.total()),
    );
    let prepared = Prepared::new(expected, move || {
        let mut buffers = Slots::new(DEPTH, pieces.chunk())?;
        Context::new()?.each(&file, IOCB_CMD_PWRITE, pieces.iter(), WHOLE, &mut buffers)
    });
    Ok(Ready::new(pieces.total(), prepared))
}

fn expected(setting: &Setting<'_>, op: Op, class: Class, (calls, bytes): (u64, u64)) -> Expected {
    let evidence = match class {
        Class::Direct => setting.arena.direct_evidence(Fs::Ext4),
        _ => Evidence::Measured,
    };
    Expected::new().row(
        ExpectedRow::new(op, Fs::Ext4.object())
            .ops(calls)
            .class(class, bytes)
            .evidence(evidence),
    )
}
