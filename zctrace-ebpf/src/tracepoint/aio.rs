//! Linux AIO where functions cannot be traced: requests are known from `io_submit`, results from `io_getevents`, and
//! classes are concluded from the request and its file (`tracepoint/infer.rs`).
//!
//! A program can also take results from the ring in its own memory, without a call. Then nothing says how the request
//! ended: it stays open, and the next one with the same control block counts as a submission that is not followed.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use zctrace_common::{Acc, Class, Op, Request, Task};

use crate::{
    base::{global::global, kernel::Probed, loss::unfollowed_call, words},
    book::{
        object::{self, Ends},
        request, row,
    },
    tracepoint::{
        infer::{self, User, put},
        memory::{readable, user},
    },
};

/// How many requests of one call are followed.
const MOST: u64 = 256;
/// The bits of the class of a request, from [`Request::CLASS_SHIFT`] on.
const CLASS_MASK: u32 = 0xf;
/// The block requests of its call decide on the class of a request.
const BY_REQUESTS: u32 = 1 << 16;

/// The first 32 bytes of `struct iocb` (include/uapi/linux/aio_abi.h, little-endian).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ControlBlock {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: u16,
    descriptor: u32,
    buffer: u64,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    block: u64,
    result: i64,
    second: i64,
}

/// The key of a request in the table: a control block is an address of its process. No address of the kernel is odd.
#[inline(always)]
fn key(block: u64) -> u64 {
    let process = bpf_get_current_pid_tgid() >> 32;
    let mixed = block.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ process;
    mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) | 1
}

global! {
    /// `io_submit` begins: `list` has the addresses of `count` control blocks.
    pub(crate) fn aio_submits(task: *mut Task, list: u64, count: u64) -> u32 {
        let mut misses = u64::from(count > MOST);
        let mut i = 0;
        while i < MOST && i < count {
            misses += u64::from(aio_begin(task, user(list + i * 8)));
            i += 1;
        }
        if misses != 0 {
            unfollowed_call(false);
        }
        0
    }
}

global! {
    /// One request is about to be submitted. 1 if something of it, or of an earlier one, is not followed.
    fn aio_begin(task: *mut Task, block: u64) -> u32 {
        const PREAD: u16 = 0;
        const PWRITE: u16 = 1;
        const PREADV: u16 = 7;
        const PWRITEV: u16 = 8;
        // SAFETY: the only caller passes its own `&mut Task` and does not use it until this returns.
        let Some(task) = (unsafe { task.as_mut() }) else {
            return 0;
        };
        let Some(control) = readable::<ControlBlock>(block) else {
            return 1;
        };
        let takes = matches!(control.opcode, PREAD | PREADV);
        if !takes && !matches!(control.opcode, PWRITE | PWRITEV) {
            return 0;
        }
        let key = key(block);
        let mut misses = 0;
        // SAFETY: nobody works on it, because its control block is given to the kernel again.
        if let Some(stale) = unsafe { request::find(key) } {
            request::release(stale);
            misses = 1;
        }
        let file = object::file_of_fd(control.descriptor);
        if file.is_null() {
            // The call fails here.
            return misses;
        }
        let ends = Ends::file::<Probed>(task, file);
        let habit = infer::habit(task, ends.source, file as u64);
        let (op, copied) = if takes {
            (Op::AioRead, Class::CopiedToUser)
        } else {
            (Op::AioWrite, Class::CopiedFromUser)
        };
        let flags = match infer::with_user(habit, takes) {
            User::Copies => (copied as u32) << Request::CLASS_SHIFT,
            User::Else(class) => (class as u32) << Request::CLASS_SHIFT,
            User::ByRequests => (Class::Unexplained as u32) << Request::CLASS_SHIFT | BY_REQUESTS,
        };
        let op = words::opaque(task, op as u64) as u32;
        // SAFETY: nothing else in this program refers to the request's record.
        let begun = unsafe { request::begin(task, key, 0, op) };
        request::end(task);
        let Some(request) = begun else { return 1 };
        request::works_on(request, &ends);
        request.flags = flags;
        misses
    }
}

global! {
    /// `io_submit` has taken `taken` of `count` requests, or none if that is negative.
    pub(crate) fn aio_submitted(task: *mut Task, list: u64, count: u64, taken: i64) -> u32 {
        // SAFETY: the only caller passes its own `&mut Task` and does not use it until this returns.
        let Some(task) = (unsafe { task.as_mut() }) else {
            return 0;
        };
        let seen = task.acc[Acc::SourceDirect as usize];
        task.acc[Acc::SourceDirect as usize] = 0;
        let mut wanted = 0;
        let mut i = 0;
        while i < MOST && i < count {
            wanted += aio_wanted(user(list + i * 8), i as i64, taken);
            i += 1;
        }
        // Every byte that was asked for went to a device from or to the application's own pages.
        let is_direct = wanted != 0 && wanted == seen;
        let mut i = 0;
        while is_direct && i < MOST && i < count {
            aio_is_direct(user(list + i * 8));
            i += 1;
        }
        0
    }
}

global! {
    /// The length of the `i`-th request of a call, if block requests decide on its class. Only the first `taken` requests
    /// were submitted.
    fn aio_wanted(block: u64, i: i64, taken: i64) -> u64 {
        const PWRITE: u64 = 1;
        const LENGTH: u64 = 32;
        const OPCODE: u64 = 16;
        // SAFETY: nothing else in this program refers to the request's record.
        let Some(request) = (unsafe { request::find(key(block)) }) else {
            return 0;
        };
        if i >= taken {
            request::release(request);
            return 0;
        }
        if request.flags & BY_REQUESTS == 0 {
            return 0;
        }
        // For a vector the length is the number of its buffers, which decides nothing.
        if user(block + OPCODE) & 0xffff <= PWRITE {
            user(block + LENGTH)
        } else {
            1
        }
    }
}

global! {
    fn aio_is_direct(block: u64) -> u32 {
        // SAFETY: nothing else in this program refers to the request's record.
        if let Some(request) = unsafe { request::find(key(block)) }
            && request.flags & BY_REQUESTS != 0
        {
            request.flags = (Class::Direct as u32) << Request::CLASS_SHIFT;
        }
        0
    }
}

global! {
    /// `io_getevents` has fetched `count` results into `events`.
    pub(crate) fn aio_fetched(events: u64, count: i64) -> u32 {
        let mut i = 0;
        while i < MOST as i64 && i < count {
            aio_complete(events + i as u64 * size_of::<Event>() as u64);
            i += 1;
        }
        if count > MOST as i64 {
            unfollowed_call(false);
        }
        0
    }
}

global! {
    /// One result.
    fn aio_complete(event: u64) -> u32 {
        let Some(event) = readable::<Event>(event) else {
            unfollowed_call(false);
            return 0;
        };
        // SAFETY: nothing else in this program refers to the request's record.
        let Some(request) = (unsafe { request::find(key(event.block)) }) else {
            // It was submitted before tracing began, or is no transfer.
            return 0;
        };
        if let Some(mut scratch) = request::scratch(request) {
            let class = request.flags >> Request::CLASS_SHIFT & CLASS_MASK;
            scratch.delta = words::no_counts();
            scratch.delta.ops = 1;
            if event.result < 0 {
                scratch.delta.errors = event.result.unsigned_abs();
            } else {
                scratch.delta.moved = event.result as u64;
                put(&mut scratch, class.into(), event.result as u64);
            }
            scratch.entry = [request.source, request.sink, 0, request.dimension];
            row::record_inferred(&mut scratch, request.op as u16);
        }
        request::release(request);
        0
    }
}
