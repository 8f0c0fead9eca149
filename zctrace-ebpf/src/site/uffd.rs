//! userfaultfd: missing pages that a process fills in itself.

use zctrace_common::Acc;

use crate::book::{
    account,
    probe::{program, returned},
};

program! {
    /// `mfill_atomic_copy`: pages filled with a copy of the caller's memory.
    fexit marked uffd_fill(ctx) {
        account::saw_result(Acc::FromUser, returned(ctx));
    }
}

program! {
    /// `mfill_atomic_zeropage`: the zero page, or cleared ones.
    fexit marked uffd_zero(ctx) {
        account::saw_result(Acc::SinkSynthetic, returned(ctx));
    }
}
