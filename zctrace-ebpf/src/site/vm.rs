//! The site of `process_vm_readv` and `process_vm_writev`.

use zctrace_common::Acc;

use crate::{
    base::{kernel, syscalls},
    book::{account, probe::program},
};

program! {
    /// Its only branch copies between the pages of the other process and the caller's buffers.
    at_return process_vm_rw(bytes: i64) {
        if bytes > 0 {
            match kernel::current_nr() {
                syscalls::PROCESS_VM_READV => account::saw(Acc::ToUser, bytes as u64),
                syscalls::PROCESS_VM_WRITEV => account::saw(Acc::FromUser, bytes as u64),
                _ => {}
            }
        }
    }
}
