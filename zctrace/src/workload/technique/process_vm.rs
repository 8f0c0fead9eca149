//! The memory of another process is read: one copy, where a pipe takes two.

use std::io::IoSliceMut;

use anyhow::Result;
use nix::{
    sys::{
        signal::{Signal, kill},
        uio::{RemoteIoVec, process_vm_readv},
        wait::waitpid,
    },
    unistd::pause,
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, Prepared, comm},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::stage::{buffer::Buffer, child};

const TAG: &str = "proc-vm-b";
const OWNER: &str = "owner";

pub(super) const TECHNIQUE: Technique = Technique::new(
    "process-vm",
    "read the memory of another process",
    Job::Pass,
    &[Variant::only(TAG, prepare)],
);

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let shared = setting.shared;
    let expected = Expected::new().moves(Op::ProcessVm, "anon", Class::CopiedToUser, calls, bytes);
    let mut prepared = Prepared::new(expected, move || {
        let mut far = Buffer::filled(pieces.chunk())?;
        let mut near = Buffer::zeroed(pieces.chunk())?;
        // The child has it at the same address.
        let base = far.as_mut_ptr() as usize;
        let wait = Box::new(|| {
            loop {
                pause();
            }
        });
        let owner = child::start(comm(TAG, OWNER), wait, 120, shared)?;
        shared.set_descendant(owner.as_raw().cast_unsigned());
        shared.begin();
        let done = pieces.each(|_, length| {
            let mut local = [IoSliceMut::new(&mut near[..length])];
            process_vm_readv(owner, &mut local, &[RemoteIoVec { base, len: length }])
        });
        kill(owner, Signal::SIGKILL)?;
        waitpid(owner, None)?;
        done
    });
    prepared.descendant = Some(OWNER);
    Ok(Ready::new(bytes, prepared))
}
