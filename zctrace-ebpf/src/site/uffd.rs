//! userfaultfd: pages that a process puts into place itself.

use zctrace_common::Acc;

use crate::book::{
    account,
    probe::{fexit, returned},
};

fexit! {
    /// `mfill_atomic_copy`: pages filled with a copy of the caller's memory.
    uffd_fill(ctx) {
        let bytes = returned(ctx);
        if bytes > 0 {
            account::saw(Acc::FromUser, bytes as u64);
        }
    }
}

fexit! {
    /// `mfill_atomic_zeropage`: the zero page, or cleared ones.
    uffd_zero(ctx) {
        let bytes = returned(ctx);
        if bytes > 0 {
            account::saw(Acc::SinkSynthetic, bytes as u64);
        }
    }
}
