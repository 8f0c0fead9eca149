//! io_uring: which request a thread works on, and what its completions report.
//!
//! `io_issue_sqe` is where every request is tried: by the thread that submits it, by a worker, by
//! the thread that polls the submission queue, by task work, and again after it had to wait. Its
//! own result says little (docs/probes.md); `io_uring_complete` has what the application is told.

use zctrace_common::{ABSENT, OPCODES, Op, Request, Task};

use crate::{
    kernel::{self, Access as _, Probed, Typed},
    maps::offset,
    object::Ends,
    probe::{fentry, fexit, returned_int, tp_btf},
    request::{self, Completer},
    target,
};

/// `IORING_CQE_F_NOTIF`: a zero-copy send has let go of its pages. No operation.
const CQE_F_NOTIF: u32 = 1 << 3;
/// `IORING_RECV_MULTISHOT` of a send or receive.
pub(crate) const RECV_MULTISHOT: u16 = 1 << 1;
/// `IORING_RECVSEND_BUNDLE`.
pub(crate) const BUNDLE: u16 = 1 << 4;
/// `REQ_F_CQE_SKIP`, which has the number of `IOSQE_CQE_SKIP_SUCCESS_BIT`.
pub(crate) const REQ_F_CQE_SKIP: u32 = 1 << 6;

/// The operation of each opcode. In a map, so that it is found without comparing.
static OPS: [u8; 64] = OPCODES;

/// The operation of an `io_kiocb` (typed pointer); 0 if it is none of the ledger's.
#[inline(always)]
pub(crate) fn op_of(req: *const u8) -> u32 {
    let opcode: u8 = Typed::load(req, offset!(req_opcode));
    if opcode > 63 {
        return 0;
    }
    let ops = &raw const OPS;
    // SAFETY: within the array.
    u32::from(unsafe { ops.cast::<u8>().add(opcode as usize).read_volatile() })
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
    const RECV: u32 = Op::UringRecv as u32;
    const RECVMSG: u32 = Op::UringRecvmsg as u32;
    const READ_MULTISHOT: u32 = Op::UringReadMultishot as u32;
    const RECV_ZC: u32 = Op::UringRecvZc as u32;
    match op {
        READ_MULTISHOT | RECV_ZC => true,
        RECV | RECVMSG => message_flags(req) & RECV_MULTISHOT != 0,
        _ => false,
    }
}

/// The current thread begins to work on a request, or tries it again.
#[inline(always)]
fn work_on(req: *const u8) {
    let Some(task) = target::current() else {
        return;
    };
    request::end(task);
    let op = op_of(req);
    if op == 0 {
        return;
    }
    let user_data: u64 = Typed::load(req, offset!(req_user_data));
    let key = kernel::opaque(task, req as u64);
    let Some(request) = request::begin(task, key, user_data, op) else {
        return;
    };
    if request.source == 0 {
        if request.descriptor == 0 {
            request.descriptor = Typed::load(req, offset!(req_fd));
        }
        if is_multishot(op, key) {
            request.flags |= Request::MULTISHOT;
        }
    }
}

fentry! {
    io_issue_sqe_enter(ctx) {
        work_on(ctx.arg(0));
    }
}

fexit! {
    io_issue_sqe_exit(ctx) {
        let Some(task) = target::current_quietly() else { return 0 };
        let Some(request) = request::current(task) else { return 0 };
        request::end(task);
        let req: *const u8 = ctx.arg(0);
        let flags: u32 = Typed::load(req, offset!(req_flags));
        // What a worker has worked on, another thread may have completed by now: its record may be
        // another's. Silent ones complete here.
        let silent = flags & REQ_F_CQE_SKIP != 0;
        if request::is_worker(task) && !(silent && request::is_same(task, request)) {
            return 0;
        }
        let key = kernel::opaque(task, req as u64);
        if request.key != key {
            return 0;
        }
        let file = kernel::pointer::<Typed>(req, offset!(req_file));
        if request.source == 0 && !file.is_null() {
            let ends = Ends::file::<Typed>(task, file);
            request::works_on(request, &ends);
        }
        // 0 also means that it waits for something. Then it has no result yet: what is there is what
        // an earlier request left. Of descriptor 0 that cannot be told.
        let has_result = Typed::load::<u32>(req, offset!(req_fd)) != request.descriptor;
        if silent && has_result && returned_int(ctx) == 0 && task.flags & Task::QUEUED == 0 {
            let result: i32 = Typed::load(req, offset!(req_res));
            request::complete(request, i64::from(result), Completer::Silent);
            request::release(request);
        }
    }
}

fentry! {
    /// What a multishot request waits for has come. From Linux 6.15 on it is tried without
    /// `io_issue_sqe` then; one that is left to a worker at once, for the first time.
    io_poll_issue_enter(ctx) {
        work_on(ctx.arg(0));
    }
}

fexit! {
    io_poll_issue_exit(_ctx) {
        if let Some(task) = target::current_quietly() {
            request::end(task);
        }
    }
}

/// Looks at the file of a request that completes before the thread that issued it is done with it,
/// or that it was never seen with.
#[inline(always)]
fn know_file(request: &mut Request, completer: Completer) {
    if request.source == 0
        && let Some(task) = request::scratch(request, completer)
    {
        let file = kernel::pointer::<Probed>(request.key as *const u8, offset!(req_file));
        let ends = Ends::file::<Probed>(task, file);
        request::works_on(request, &ends);
    }
}

fexit! {
    /// The end of a read or write that a device has done, in task work: the only sign of one whose
    /// success is not told (`IOSQE_CQE_SKIP_SUCCESS`). A failure is told all the same. At its exit,
    /// because the transfer can end in it (`IOCB_DIO_CALLER_COMP`); the request is freed later, by
    /// the same thread.
    io_req_rw_complete(ctx) {
        // On new kernels a structure around the pointer (`struct io_tw_req`): a number, no pointer.
        let req: *const u8 = ctx.arg(0);
        let flags: u32 = Probed::load(req, offset!(req_flags));
        if flags & REQ_F_CQE_SKIP == 0 {
            return 0;
        }
        let Some(task) = target::current_quietly() else { return 0 };
        let key = kernel::opaque(task, req as u64);
        if let Some(request) = request::find(key) {
            know_file(request, Completer::Silent);
            let result: i32 = Probed::load(req, offset!(req_res));
            request::complete(request, i64::from(result), Completer::Silent);
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

/// Whether a completion is a notification.
#[inline(always)]
pub(crate) const fn is_notification(flags: u32) -> bool {
    flags & CQE_F_NOTIF != 0
}

tp_btf! {
    /// In the thread that reaps the completions of a ring, or a worker of the kernel's once the
    /// ring's owner is gone. A completion that is not the request's last one names no request: it
    /// comes from within `io_issue_sqe`.
    io_uring_complete(ctx) {
        let (result, flags) = completion!(ctx);
        if is_notification(flags) {
            return 0;
        }
        let req: u64 = ctx.arg(1);
        let found = if req == 0 {
            target::current_quietly().and_then(|task| request::current(task))
        } else {
            request::find(req)
        };
        let Some(request) = found else { return 0 };
        know_file(request, Completer::Uring);
        request::complete(request, result, Completer::Uring);
        if req != 0 {
            request::release(request);
        }
    }
}
