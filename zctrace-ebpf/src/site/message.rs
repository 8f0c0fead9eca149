//! Message queues, POSIX and System V. Both keep a message in memory of the kernel. `load_msg` copies it in,
//! `store_msg` copies it out, and there is no other way in or out.

use zctrace_common::Acc;

use crate::{
    base::{
        abi::MAX_ERRNO,
        kernel::{self, Access as _, Typed},
        maps::offset,
        syscalls,
    },
    book::{
        account,
        probe::{program, returned, returned_int},
        target,
    },
};

program! {
    /// Copies a message into memory of the kernel. (`msgrcv` with `MSG_COPY` makes room for its copy by loading the
    /// receiver's buffer, a copy that nothing needs.)
    fexit marked load_msg(ctx) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if (returned(ctx) as u64) < MAX_ERRNO.wrapping_neg() && let Some(task) = unsafe { target::current_or_adopt() } {
            let acc = if kernel::current_nr() == syscalls::MSGRCV {
                Acc::SourceCopy
            } else {
                Acc::FromUser
            };
            account::saw_in(task, acc, ctx.arg(1));
        }
    }
}

program! {
    /// Copies the message of a queue into that room (`MSG_COPY`).
    fexit marked copy_msg(ctx) {
        if (returned(ctx) as u64) < MAX_ERRNO.wrapping_neg() {
            account::saw(Acc::SourceCopy, Typed::load(ctx.arg(0), offset!(msg_size)));
        }
    }
}

program! {
    /// Copies a message out of memory of the kernel.
    fexit marked store_msg(ctx) {
        if returned_int(ctx) == 0 {
            account::saw(Acc::ToUser, ctx.arg(2));
        }
    }
}
