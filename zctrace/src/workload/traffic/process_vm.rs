//! `process_vm_readv` and `process_vm_writev`: one copy between two address spaces. Here both are
//! the same one, which is no different to the kernel.

use std::io::{IoSlice, IoSliceMut};

use anyhow::Result;
use nix::{
    sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev},
    unistd::Pid,
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "process-vm",
    "process_vm_readv and process_vm_writev",
    prepare,
)];

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let calls = calls(bytes, chunk);
    let expected = Expected::new()
        .moves(Op::ProcessVm, "anon", Class::CopiedToUser, calls, bytes)
        .moves(Op::ProcessVm, "anon", Class::CopiedFromUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut far = Buffer::filled(chunk)?;
        let mut near = Buffer::zeroed(chunk)?;
        let me = Pid::this();
        let base = far.as_mut_ptr() as usize;
        let remote = |len| RemoteIoVec { base, len };
        exactly(bytes, chunk, |_, length| {
            let mut local = [IoSliceMut::new(&mut near[..length])];
            process_vm_readv(me, &mut local, &[remote(length)])
        })?;
        exactly(bytes, chunk, |_, length| {
            process_vm_writev(me, &[IoSlice::new(&near[..length])], &[remote(length)])
        })
    }))
}
