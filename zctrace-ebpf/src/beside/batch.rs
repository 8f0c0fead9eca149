//! How many requests of io_uring are submitted at a time, and how often a thread waits for completions.

use zctrace_common::Task;

use crate::{
    base::{
        atomic::add,
        kernel::{self, Access as _, Typed},
        maps::offset,
    },
    book::{probe::program, request, target},
};

program! {
    /// A request has been taken out of the submission queue. The kernel writes how far it has come when all of a
    /// submission are taken (`io_commit_sqring`), so before that, one more than is written is the first of them.
    tp_btf marked io_uring_taken(ctx) in task {
        let req: *const u8 = ctx.arg(0);
        let ring = kernel::pointer::<Typed>(req, offset!(req_ctx));
        let rings = kernel::pointer::<Typed>(ring, offset!(ctx_rings));
        let taken: u32 = Typed::load(ring, offset!(ctx_sq_taken));
        let told: u32 = Typed::load(rings, offset!(rings_sq_told));
        let first = u64::from(taken.wrapping_sub(told) == 1);
        count(task, 1, first, 0);
    }
}

program! {
    /// A thread waits for completions: there are fewer than it wants (`io_cqring_wait`).
    tp_btf marked io_uring_cqring_wait(_ctx) in task {
        count(task, 0, 0, 1);
    }
}

#[inline(always)]
fn count(task: &mut Task, taken: u64, submissions: u64, waits: u64) {
    if let Some(slot) = target::proc_slot(task)
        && let Some(counts) = request::counts_of(slot)
    {
        // SAFETY: integers of a map value, which are only added to, atomically.
        unsafe {
            add(&raw mut (*counts).taken, taken);
            add(&raw mut (*counts).submissions, submissions);
            add(&raw mut (*counts).waits, waits);
        }
    }
}
