//! io_uring where functions cannot be traced: requests are known from their submission on, results
//! are those of their completions, and classes are concluded from opcode and file (`tracepoint/infer.rs`).

use aya_ebpf::programs::BtfTracePointContext;
use zctrace_common::{ABSENT, Class, Mark, ObjectKind, Op, Request, Task, Way};

use crate::{
    base::{
        abi::{MSG_SOCK_DEVMEM, MSG_TRUNC, MSG_ZEROCOPY},
        kernel::{self, Access as _, Probed, Typed},
        loss::{lost, unfollowed_request},
        maps::{REQUEST_INDEX, offset},
        words,
    },
    book::{
        object::{self, Ends},
        probe::{self, program},
        request, route, row, target,
    },
    site::uring::{self, completed, completion},
    tracepoint::infer::{self, User},
};

program! {
    tp_btf marked io_uring_submit_req(ctx) in task {
        let req: *const u8 = ctx.arg(0);
        let op = uring::op_of::<Typed>(req);
        if op == 0 {
            return 0;
        }
        // The end of a silent request cannot be seen here.
        if Typed::load::<u32>(req, offset!(req_flags)) & request::REQ_F_CQE_SKIP != 0 {
            unfollowed_request();
            return 0;
        }
        let key = words::opaque(task, req as u64);
        request::forget_stale(key);
        let user_data: u64 = Typed::load(req, offset!(req_user_data));
        // SAFETY: nothing else in this program refers to the request's record.
        let begun = unsafe { request::begin(task, key, user_data, op) };
        request::end(task);
        let Some(request) = begun else { return 0 };
        if Request::joins(op) {
            join(task, request, req, key);
        }
        if uring::is_multishot(op, key) {
            request.flags |= Request::MULTISHOT;
        }
        if is_uncertain(op, key) {
            request.flags |= Request::UNCERTAIN;
        }
        if completes_often(op, key) {
            let ctx = kernel::pointer::<Typed>(req, offset!(req_ctx));
            let ring = words::opaque(task, ctx as u64);
            request.flags |= Request::INDEXED;
            if REQUEST_INDEX.insert([ring, user_data], key, 0).is_err() {
                lost();
            }
        }
    }
}

/// Whether the flags of a message leave its class open: the bytes are passed by reference, or discarded.
#[inline(always)]
fn is_uncertain(op: u32, req: u64) -> bool {
    const SENDMSG: u32 = Op::UringSendmsg as u32;
    const RECVMSG: u32 = Op::UringRecvmsg as u32;
    const SEND: u32 = Op::UringSend as u32;
    const RECV: u32 = Op::UringRecv as u32;
    const RECV_PEEK: u32 = Op::UringRecvPeek as u32;
    let command = req.wrapping_add(u64::from(offset!(req_cmd))) as *const u8;
    let flags: u32 = Probed::load(command, offset!(uring_message_flags));
    match op {
        SEND | SENDMSG => flags & MSG_ZEROCOPY != 0,
        RECV | RECVMSG | RECV_PEEK => flags & (MSG_TRUNC | MSG_SOCK_DEVMEM) != 0,
        _ => false,
    }
}

/// Whether there can be completions other than the last one, which name no request.
#[inline(always)]
fn completes_often(op: u32, req: u64) -> bool {
    const SEND: u32 = Op::UringSend as u32;
    const RECV: u32 = Op::UringRecv as u32;
    const RECV_PEEK: u32 = Op::UringRecvPeek as u32;
    uring::is_multishot(op, req)
        || matches!(op, SEND | RECV | RECV_PEEK) && uring::message_flags(req) & uring::BUNDLE != 0
}

/// A splice or tee: both descriptors belong to the submitter. Nothing is known about a descriptor in the ring's own
/// table. A request for 0 bytes, or without a source, joins nothing: it gets the row of its file.
#[inline(always)]
fn join(task: &mut Task, request: &mut Request, req: *const u8, key: u64) {
    const SPLICE_F_FD_IN_FIXED: u32 = 1 << 31;
    const REQ_F_FIXED_FILE: u32 = 1;
    let command = key.wrapping_add(u64::from(offset!(req_cmd))) as *const u8;
    let flags: u32 = Probed::load(command, offset!(uring_splice_flags));
    let fixed = flags & SPLICE_F_FD_IN_FIXED != 0
        || Typed::load::<u32>(req, offset!(req_flags)) & REQ_F_FIXED_FILE != 0;
    let source = object::file_of_fd(Probed::load(command, offset!(uring_splice_in)));
    let sink = object::file_of_fd(Typed::load(req, offset!(req_fd)));
    let length: u64 = Probed::load(command, offset!(uring_splice_len));
    let class = if length == 0 || source.is_null() && !fixed {
        Class::Unexplained
    } else if fixed || source.is_null() || sink.is_null() {
        request::works_on(request, &Ends::of(object::UNKNOWN));
        Class::Unexplained
    } else {
        let mut ends = Ends::files::<Probed>(task, source, sink);
        let sink_file = sink as u64;
        if object::is(ends.sink, ObjectKind::Tcp) {
            ends.marks |= route::of_route(sink_file) as u8;
        }
        request::works_on(request, &ends);
        let source = infer::habit(task, ends.source, source as u64);
        let sink = infer::habit(task, ends.sink, sink as u64);
        let class = if request.op == Op::UringTee as u32 {
            Class::Spliced
        } else {
            infer::joined(&ends, source, sink)
        };
        if ends.marks & Mark::CopyingRoute as u8 != 0 {
            Class::Unexplained
        } else {
            class
        }
    };
    request.flags |= (class as u32) << Request::CLASS_SHIFT;
}

program! {
    /// A request is left to a worker.
    tp_btf marked io_uring_queue_async_work(ctx) {
        reissued_by(ctx.arg(0), Way::Worker);
    }
}

program! {
    /// Task work will try a request again.
    tp_btf marked io_uring_poll_arm(ctx) {
        reissued_by(ctx.arg(0), Way::TaskWork);
    }
}

#[inline(always)]
fn reissued_by(req: *const u8, way: Way) {
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current() }
        // SAFETY: nothing else in this program refers to the request's record.
        && let Some(request) = unsafe { request::find(words::opaque(task, req as u64)) }
    {
        request.way = way as u32;
    }
}

program! {
    tp_btf marked io_uring_complete_inferred(ctx) {
        let (result, flags) = completion!(ctx);
        if uring::is_notification(flags) {
            return 0;
        }
        let req: u64 = ctx.arg(1);
        let found = if req == 0 {
            let user_data = completed!(ctx);
            let ring = probe::number(ctx, 0);
            // SAFETY: nothing else in this program refers to the request's record.
            unsafe { of_index(&[ring, user_data]) }
        } else {
            // SAFETY: nothing else in this program refers to the request's record.
            unsafe { find_or_adopt(req) }
        };
        let Some(request) = found else {
            // Those of receives and reads have a buffer. (Zero-copy receives have none: they are not counted.)
            if req == 0
                && result > 0
                && flags & CQE_F_BUFFER != 0
                // SAFETY: nothing else in this program refers to the thread's record.
                && unsafe { target::current_or_adopt() }.is_some()
            {
                unfollowed_request();
            }
            return 0;
        };
        explain(request, result);
        if req != 0 {
            forget_index(request, ctx);
            request::release(request);
        }
    }
}

program! {
    /// A completion for which the completion queue has no room.
    tp_btf marked io_uring_cqe_overflow_inferred(ctx) {
        let completion = uring::overflowed(ctx);
        if !uring::is_notification(completion.flags) {
            completion.complete(|request| {
                explain(request, i64::from(completion.result));
                forget_index(request, ctx);
            });
        }
    }
}

/// `IORING_CQE_F_BUFFER`: the kernel has chosen a buffer.
const CQE_F_BUFFER: u32 = 1;

/// The record of a request. One that was submitted before its process was followed gets one now: its file is still
/// known, but not what a splice joins.
///
/// # Safety
/// As for [`request::find`].
#[inline(never)]
unsafe fn find_or_adopt(key: u64) -> Option<&'static mut Request> {
    // SAFETY: the caller's promise.
    if let Some(request) = unsafe { request::find(key) } {
        return Some(request);
    }
    // SAFETY: nothing else in this program refers to the thread's record.
    let task = unsafe { target::current_or_adopt() }?;
    let req = key as *const u8;
    let op = uring::op_of::<Probed>(req);
    if op == 0 {
        return None;
    }
    let user_data: u64 = Probed::load(req, offset!(req_user_data));
    // SAFETY: the caller's promise.
    let request = unsafe { request::begin(task, key, user_data, op) };
    request::end(task);
    let request = request?;
    if Request::joins(op) {
        request::works_on(request, &Ends::of(object::UNKNOWN));
        request.flags |= (Class::Unexplained as u32) << Request::CLASS_SHIFT;
    }
    if is_uncertain(op, key) {
        request.flags |= Request::UNCERTAIN;
    }
    Some(request)
}

/// The last completion of a request is about to be reported.
#[inline(always)]
fn forget_index(request: &Request, ctx: &BtfTracePointContext) {
    if request.flags & Request::INDEXED != 0 {
        let ring = probe::number(ctx, 0);
        let _ = REQUEST_INDEX.remove([ring, request.user_data]);
    }
}

/// # Safety
/// As for [`request::find`].
#[inline(always)]
unsafe fn of_index(index: &[u64; 2]) -> Option<&'static mut Request> {
    let key = REQUEST_INDEX.get_ptr(index)?;
    // SAFETY: a map value, of which an aligned integer is read; the caller's promise.
    unsafe { request::find(*key) }
}

/// A completion reported its result: concludes how the bytes moved, in a row of the request's process.
#[inline(always)]
fn explain(request: &mut Request, result: i64) {
    if result == 0 && request.flags & Request::MULTISHOT != 0 {
        return;
    }
    let Some(mut scratch) = request::scratch(request) else {
        return;
    };
    let mut class = u64::from(request.flags >> Request::CLASS_SHIFT);
    if class == 0 {
        let file = kernel::pointer::<Probed>(request.key as *const u8, offset!(req_file));
        let ends = Ends::file::<Probed>(&mut scratch, file);
        request::works_on(request, &ends);
        let habit = infer::habit(&mut scratch, ends.source, file as u64);
        let in_kernel =
            Request::is_registered(request.op) && request::has_memory_of_kernel(request);
        class = if request.flags & Request::UNCERTAIN == 0 && !in_kernel {
            of_file(request.op, habit) as u64
        } else {
            Class::Unexplained as u64
        };
    } else if request.source == 0 {
        let file = kernel::pointer::<Probed>(request.key as *const u8, offset!(req_file));
        let ends = Ends::file::<Probed>(&mut scratch, file);
        request::works_on(request, &ends);
    }
    scratch.delta = words::no_counts();
    scratch.delta.ops = 1;
    if result < 0 {
        scratch.delta.errors = result.unsigned_abs();
    } else if !Request::is_command(request.op) {
        scratch.delta.moved = result as u64;
        infer::put(&mut scratch, class, result as u64);
    }
    scratch.entry = [request.source, request.sink, 0, request.dimension];
    row::record_inferred(&mut scratch, request.op as u16);
}

/// The class of a request between user memory and a file.
#[inline(always)]
fn of_file(op: u32, habit: u32) -> Class {
    const READ_FIXED: u32 = Op::UringReadFixed as u32;
    const READV_FIXED: u32 = Op::UringReadvFixed as u32;
    const RECV_ZC: u32 = Op::UringRecvZc as u32;
    let copied = match op {
        RECV_ZC => return Class::Unexplained,
        _ if Request::lends(op) => return Class::Unexplained,
        READ_FIXED | READV_FIXED if infer::may_clear(habit) => return Class::Unexplained,
        _ if Request::takes(op) => Class::CopiedToUser,
        _ => Class::CopiedFromUser,
    };
    match infer::with_user(habit, matches!(copied, Class::CopiedToUser)) {
        User::Copies => copied,
        User::Else(class) => class,
        User::ByRequests => Class::Unexplained,
    }
}
