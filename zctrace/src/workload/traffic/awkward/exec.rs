//! A process that becomes another program half way: one process, one set of rows.

use std::{
    ffi::CString,
    fs::File,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use anyhow::{Context as _, Result};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::prctl,
    unistd::{execv, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic, comm,
    stage::buffer::Buffer,
    traffic::pipe::{roomy_pipe, take},
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-exec",
    "a process that executes itself between two reads",
    prepare,
)
.tag(TAG)];

const TAG: &str = "aw-exec";
const BEFORE: usize = 70_001;
const AFTER: usize = 50_003;

/// A new program reads its libraries and more, so other rows are allowed. None of them is a pipe.
fn prepare(_: &Arena) -> Result<Prepared> {
    let (out_of, into) = roomy_pipe()?;
    write_whole(&into, BEFORE + AFTER)?;
    fcntl(&out_of, FcntlArg::F_SETFD(FdFlag::empty())).context("F_SETFD")?;
    let program = CString::new("/proc/self/exe")?;
    let arguments = [
        "zctrace",
        "traffic",
        "--resume",
        &out_of.as_raw_fd().to_string(),
    ]
    .map(CString::new)
    .into_iter()
    .collect::<Result<Vec<_>, _>>()?;
    let bytes = (BEFORE + AFTER) as u64;
    let expected = Expected::new()
        .moves(Op::Read, "pipe", Class::CopiedToUser, 2, bytes)
        .row(ExpectedRow::anything_else());
    let mut prepared = Prepared::new(expected, move || {
        take(&out_of, &mut Buffer::zeroed(BEFORE)?)?;
        let never = execv(&program, &arguments).context("exec")?;
        match never {}
    });
    // So that the pipe has a writer until the end.
    prepared.keep.push(Box::new(into));
    Ok(prepared)
}

fn write_whole(into: &OwnedFd, length: usize) -> Result<()> {
    let bytes = Buffer::filled(length)?;
    anyhow::ensure!(write(into, &bytes)? == length, "the pipe is too small");
    Ok(())
}

/// What the process does as another program: `zctrace traffic --resume DESCRIPTOR`.
pub fn resume(descriptor: RawFd) -> Result<()> {
    prctl::set_name(&CString::new(comm(TAG, ""))?)?;
    // SAFETY: the descriptor was left open for this, and nobody else here knows it.
    let pipe = unsafe { File::from_raw_fd(descriptor) };
    take(&OwnedFd::from(pipe), &mut Buffer::zeroed(AFTER)?)
}
