//! Linux AIO: a buffered request copies while it is submitted. A direct one completes in whatever context its device
//! interrupts.

use zctrace_common::{Op, Request};

use crate::{
    base::{
        kernel::{self, Typed},
        maps::offset,
        words,
    },
    book::{
        object::Ends,
        probe::{self, program, returned_int},
        request::{self, Now},
        target,
    },
};

macro_rules! submission {
    ($($name:ident: $op:ident;)+) => {
        $(program! {
            fentry marked $name(ctx) in task {
                request::leave(task, Now::Later);
                let kiocb: *const u8 = ctx.arg(0);
                let key = words::opaque(task, kiocb as u64);
                let file = kernel::pointer::<Typed>(kiocb, offset!(kiocb_filp));
                let ends = Ends::file::<Typed>(task, file);
                // It is submitted once, and then never tried again.
                request::forget_stale(key);
                // SAFETY: nothing else in this program refers to the request's record.
                if let Some(request) = unsafe { request::begin(task, key, 0, Op::$op as u32) } {
                    request::works_on(request, &ends);
                }
            }
        })+
    };
}

submission! {
    aio_read: AioRead;
    aio_write: AioWrite;
}

program! {
    /// One request of `io_submit` has been submitted. A request that fails is freed here and never completes, because
    /// errors show before it is tried (`aio_rw_done`).
    fexit marked io_submit_one(ctx) {
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current() }) else { return 0 };
        // Not the request's own value: from that the compiler would conclude more than the verifier knows.
        let is_of_aio = Request::is_of_aio(task.request_op);
        if returned_int(ctx) != 0
            && is_of_aio
            // SAFETY: nothing else in this program refers to the request's record.
            && let Some(request) = unsafe { request::last(task) }
        {
            request::release(request);
        }
        request::end(task);
    }
}

program! {
    /// Called once for each request, often in an interrupt. A second run finds no record.
    fentry idempotent aio_complete_rw(ctx) {
        let result: i64 = ctx.arg(1);
        // SAFETY: nothing else in this program refers to the request's record.
        if let Some(request) = unsafe { request::find(probe::number(ctx, 0)) } {
            request::complete(request, result);
            request::release(request);
        }
    }
}
