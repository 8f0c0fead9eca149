//! io_uring: which request a thread works on, and what its completions report.
//!
//! `io_issue_sqe` is where every request is tried: by the thread that submits it, by a worker, by the thread that polls
//! the submission queue, by task work, and again after it had to wait. Its own result says little (docs/probes.md);
//! `io_uring_complete` has the result that the application gets.
//!
//! There is no probe at its exit, because that would cost a third more for each request. A thread works on a request
//! that it has issued within `io_uring_enter` until it issues another one or leaves the call (`request::is_working`).
//! Task work can run in any call, so it has probes of its own.

use aya_ebpf::programs::BtfTracePointContext;
use zctrace_common::{ABSENT, MOST_OPCODES, OPCODES, Op, Request, Task, opcode};

use crate::{
    base::{
        abi::{MSG_ERRQUEUE, MSG_PEEK},
        kernel::{self, Access, Probed, Typed},
        maps::offset,
        words,
    },
    book::{
        probe::{self, program},
        request::{self, Now, Overflowed, REQ_F_CQE_SKIP},
        target,
    },
};

/// `IORING_CQE_F_NOTIF`: a zero-copy send has released its pages. It is not an operation.
const CQE_F_NOTIF: u32 = 1 << 3;
/// `IORING_RECV_MULTISHOT` of a send or receive.
pub(crate) const RECV_MULTISHOT: u16 = 1 << 1;
/// `IORING_RECVSEND_BUNDLE`.
pub(crate) const BUNDLE: u16 = 1 << 4;
/// The operation of each opcode. It is in a map so that it is found without comparing.
static OPS: [u8; 2 * MOST_OPCODES] = OPCODES;

/// The operation of an `io_kiocb`; 0 if it is not one of the ledger.
#[inline(always)]
pub(crate) fn op_of<A: Access>(req: *const u8) -> u32 {
    const RECV: u8 = opcode(Op::UringRecv);
    const RECVMSG: u8 = opcode(Op::UringRecvmsg);
    let opcode: u8 = A::load(req, offset!(req_opcode));
    let mut index = opcode as usize;
    if index >= MOST_OPCODES {
        return 0;
    }
    if opcode == RECV || opcode == RECVMSG {
        // Calculated: a branch would double the work of the verifier.
        index += looks(req as u64) as usize * MOST_OPCODES;
    }
    let ops = &raw const OPS;
    // SAFETY: within the array.
    u32::from(unsafe { ops.cast::<u8>().add(index).read_volatile() })
}

/// 1 for a receive that leaves what it copies where it was, or takes what nobody sent; otherwise 0 (any pointer).
#[inline(always)]
fn looks(req: u64) -> u32 {
    let command = offset!(req_cmd) + offset!(uring_message_flags);
    let flags: u32 = Probed::load(req as *const u8, command);
    (flags >> MSG_PEEK.trailing_zeros() | flags >> MSG_ERRQUEUE.trailing_zeros()) & 1
}

/// Flags of a send or receive, which belong to its operation alone (any pointer).
#[inline(always)]
pub(crate) fn message_flags(req: u64) -> u16 {
    let command = offset!(req_cmd) + offset!(uring_msg_flags);
    Probed::load(req as *const u8, command)
}

/// Whether a request completes again and again by its nature.
#[inline(always)]
pub(crate) fn is_multishot(op: u32, req: u64) -> bool {
    const READ_MULTISHOT: u32 = Op::UringReadMultishot as u32;
    const RECV_ZC: u32 = Op::UringRecvZc as u32;
    const RECV: u32 = Op::UringRecv as u32;
    const RECVMSG: u32 = Op::UringRecvmsg as u32;
    const RECV_PEEK: u32 = Op::UringRecvPeek as u32;
    match op {
        READ_MULTISHOT | RECV_ZC => true,
        RECV | RECVMSG | RECV_PEEK => message_flags(req) & RECV_MULTISHOT != 0,
        _ => false,
    }
}

/// The current thread begins to work on a request, or tries it again.
#[inline(always)]
fn work_on(req: *const u8) {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        return;
    };
    request::leave(task, Now::Later);
    let op = op_of::<Typed>(req);
    if op == 0 {
        return;
    }
    let user_data: u64 = Typed::load(req, offset!(req_user_data));
    let key = words::opaque(task, req as u64);
    // SAFETY: nothing else in this program refers to the request's record.
    let Some(request) = (unsafe { request::begin(task, key, user_data, op) }) else {
        return;
    };
    if request::is_submitter(task) && kernel::submits() {
        task.flags |= Task::SUBMITS;
    }
    if Typed::load::<u32>(req, offset!(req_flags)) & REQ_F_CQE_SKIP != 0 {
        task.flags |= Task::SILENT;
        request.flags |= Request::SILENT;
        if request.descriptor == 0 {
            request.descriptor = Typed::load(req, offset!(req_fd));
        }
    }
    if request.source == 0 && is_multishot(op, key) {
        request.flags |= Request::MULTISHOT;
    }
}

program! {
    fentry marked io_issue_sqe_enter(ctx) {
        work_on(ctx.arg(0));
    }
}

program! {
    /// What a multishot request waits for has arrived. From Linux 6.15 on it is then tried without `io_issue_sqe`. For
    /// a request that is left to a worker at once, this is the first time.
    fentry marked io_poll_issue_enter(ctx) {
        work_on(ctx.arg(0));
    }
}

/// A program for the exit of a function that issues requests outside `io_uring_enter`.
macro_rules! leaver {
    ($($(#[$meta:meta])* $name:ident)+) => {
        $(program! {
            $(#[$meta])*
            fexit marked $name(_ctx) {
                // SAFETY: nothing else in this program refers to the thread's record.
                if let Some(task) = unsafe { target::current() } {
                    request::leave(task, Now::Done);
                }
            }
        })+
    };
}

leaver! {
    io_poll_issue_exit
    /// Task work: what a request has waited for has arrived, or the request that it was linked to has ended.
    io_req_task_submit
    /// A worker.
    io_wq_submit_work
}

program! {
    /// A ring is closed: the memory of its requests will be freed.
    fentry marked io_uring_release(_ctx) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current() } {
            request::leave(task, Now::Later);
        }
    }
}

program! {
    /// The end of a read or write that a device has done, in task work. It is the only sign of a request that does not
    /// report success (`IOSQE_CQE_SKIP_SUCCESS`); a failure is still reported. It is probed at its exit, because the
    /// transfer can end in it (`IOCB_DIO_CALLER_COMP`). The same thread frees the request later.
    fexit marked io_req_rw_complete(ctx) {
        // On new kernels this is a structure around the pointer (`struct io_tw_req`): a number, not a pointer.
        let req: *const u8 = ctx.arg(0);
        let flags: u32 = Probed::load(req, offset!(req_flags));
        if flags & REQ_F_CQE_SKIP == 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current() }) else { return 0 };
        let key = words::opaque(task, req as u64);
        // SAFETY: nothing else in this program refers to the request's record.
        if let Some(request) = unsafe { request::find(key) } {
            request::know_file(request);
            let result: i32 = Probed::load(req, offset!(req_res));
            request::complete(request, i64::from(result));
            request::release(request);
        }
    }
}

/// The result and the flags of a completion. From 6.16 on the tracepoint has the completion itself.
macro_rules! completion {
    ($ctx:ident) => {
        if offset!(arg_complete_cqe) == ABSENT {
            (i64::from($ctx.arg::<i32>(3)), $ctx.arg::<u32>(4))
        } else {
            let cqe: *const u8 = $ctx.arg(2);
            (
                i64::from(Typed::load::<i32>(cqe, offset!(cqe_res))),
                Typed::load::<u32>(cqe, offset!(cqe_flags)),
            )
        }
    };
}
pub(crate) use completion;

/// The application's name for the request of a completion.
macro_rules! completed {
    ($ctx:ident) => {
        if offset!(arg_complete_cqe) == ABSENT {
            $ctx.arg::<u64>(2)
        } else {
            Typed::load::<u64>($ctx.arg(2), offset!(cqe_user_data))
        }
    };
}
pub(crate) use completed;

/// Whether a completion is a notification.
#[inline(always)]
pub(crate) const fn is_notification(flags: u32) -> bool {
    flags & CQE_F_NOTIF != 0
}

program! {
    /// Runs in the thread that reaps the completions of a ring, or in a kernel worker once the ring's owner is gone. A
    /// completion that is not the last of its request does not name the request, only the application's name for it. It
    /// comes from within `io_issue_sqe`, or from a poll or a timeout.
    tp_btf marked io_uring_complete(ctx) {
        let (result, flags) = completion!(ctx);
        if is_notification(flags) {
            return 0;
        }
        let req: u64 = ctx.arg(1);
        let found = if req == 0 {
            let name = completed!(ctx);
            // SAFETY: nothing else in this program refers to the thread's record.
            unsafe { target::current() }
                // SAFETY: nothing else in this program refers to the request's record.
                .and_then(|task| unsafe { request::current(task) })
                .filter(|request| request.user_data == name)
        } else {
            // SAFETY: nothing else in this program refers to the request's record.
            unsafe { request::find(req) }
        };
        let Some(request) = found else { return 0 };
        request::know_file(request);
        request::complete(request, result);
        if req != 0 {
            request::release(request);
        }
    }
}

/// The kind of a completion that found no room in its queue.
#[inline(always)]
pub(crate) fn overflowed(ctx: &BtfTracePointContext) -> Overflowed {
    Overflowed {
        ring: probe::number(ctx, 0),
        user_data: ctx.arg(1),
        result: ctx.arg(2),
        flags: ctx.arg(3),
    }
}

program! {
    /// A completion for which the completion queue has no room. It is delivered later, without a tracepoint
    /// (`__io_cqring_overflow_flush`).
    tp_btf marked io_uring_cqe_overflow(ctx) {
        let completion = overflowed(ctx);
        if !is_notification(completion.flags) {
            completion.complete(|request| {
                request::know_file(request);
                request::complete(request, i64::from(completion.result));
            });
        }
    }
}
