//! Requests: I/O that one thread submits and another one may do and complete.
//!
//! While a thread works on a request, what the sites see in that thread goes to the request's record
//! ([`saw`]), however often and by how many threads the request is tried. When it completes, the
//! record explains what the completion reported ([`complete`]). io_uring and Linux AIO both name a
//! request by the address of its `kiocb`, which is also what direct I/O knows it by.

use aya_ebpf::helpers::bpf_get_current_comm;
use zctrace_common::{
    Acc, Claim, Class, Evidence, Op, REQUEST_SLOTS, Request, RequestCounts, Task, Way,
};

use crate::{
    account,
    api_splice::legs,
    kernel::{self, Access as _, Typed},
    maps::{REQUEST_COUNTS, REQUESTS, SCRATCH, offset},
    object::Ends,
    settle::{self, Shape},
    target, words,
};

/// Where the search for a request's record begins.
#[inline(always)]
fn home(key: u64) -> u32 {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32 & (REQUEST_SLOTS - 1)
}

/// How many slots a request can be in.
const REACH: u32 = 8;

/// The record in a slot, by the number that [`Task::request`] has: 0 is none.
#[inline(always)]
fn at(number: u32) -> Option<&'static mut Request> {
    if number == 0 {
        return None;
    }
    // SAFETY: a map value. A request is worked on by one thread at a time.
    REQUESTS.get_ptr_mut(number - 1).map(|r| unsafe { &mut *r })
}

/// The number of a request's slot; 0 if it has none.
///
/// Every completion of the machine comes here, so the first slot mostly tells: a request goes to a
/// later one only where another one was, which leaves a mark.
#[inline(always)]
fn search(key: u64) -> u32 {
    let first = home(key);
    let Some(request) = REQUESTS.get_ptr(first) else {
        return 0;
    };
    // SAFETY: a map value.
    unsafe {
        if (*request).key == key {
            return first + 1;
        }
        if (*request).crowded == 0 {
            return 0;
        }
    }
    search_on(key)
}

#[inline(never)]
fn search_on(key: u64) -> u32 {
    let first = home(key);
    let mut i = 1;
    while i < REACH {
        let slot = (first + i) & (REQUEST_SLOTS - 1);
        if let Some(request) = REQUESTS.get_ptr(slot)
            // SAFETY: a map value.
            && unsafe { (*request).key } == key
        {
            return slot + 1;
        }
        i += 1;
    }
    0
}

/// Takes a free slot; 0 if there is none within reach.
#[inline(always)]
fn claim(key: u64) -> u32 {
    let first = home(key);
    let Some(request) = REQUESTS.get_ptr_mut(first) else {
        return 0;
    };
    // SAFETY: aligned fields of a map value. The mark is there before anybody looks for the request.
    unsafe {
        if target::claim(&raw mut (*request).key, key) == 0 {
            return first + 1;
        }
        (&raw mut (*request).crowded).write_volatile(1);
    }
    claim_later(key)
}

#[inline(never)]
fn claim_later(key: u64) -> u32 {
    let first = home(key);
    let mut i = 1;
    while i < REACH {
        let slot = (first + i) & (REQUEST_SLOTS - 1);
        if let Some(request) = REQUESTS.get_ptr_mut(slot)
            // SAFETY: an aligned field of a map value.
            && unsafe { target::claim(&raw mut (*request).key, key) } == 0
        {
            return slot + 1;
        }
        i += 1;
    }
    account::lost();
    0
}

/// The record of a request, if it is a target's.
#[inline(always)]
pub(crate) fn find(key: u64) -> Option<&'static mut Request> {
    if key == 0 { None } else { at(search(key)) }
}

/// The record of the request that a thread works on.
#[inline(always)]
pub(crate) fn current(task: &Task) -> Option<&'static mut Request> {
    at(task.request)
}

/// How the current thread works on requests.
#[inline(always)]
fn way(task: &mut Task) -> u32 {
    if task.way == 0 {
        task.way = own_way() + 1;
    }
    task.way - 1
}

#[inline(never)]
fn own_way() -> u32 {
    const PF_IO_WORKER: u32 = 0x10;
    let flags: u32 = Typed::load(kernel::current_task(), offset!(task_flags));
    if flags & PF_IO_WORKER == 0 {
        return Way::Inline as u32;
    }
    match bpf_get_current_comm() {
        Ok([b'i', b'o', b'u', b'-', b's', ..]) => Way::SqPoll as u32,
        _ => Way::Worker as u32,
    }
}

/// Whether a record is still that of the request which the thread began to work on.
#[inline(always)]
pub(crate) const fn is_same(task: &Task, request: &Request) -> bool {
    task.request_generation == request.generation
}

/// Whether a thread is a worker of a ring: others may complete what it works on.
#[inline(always)]
pub(crate) const fn is_worker(task: &Task) -> bool {
    task.way == Way::Worker as u32 + 1
}

/// The current thread begins to work on a request, or tries it again.
#[inline(always)]
pub(crate) fn begin(
    task: &mut Task,
    key: u64,
    user_data: u64,
    op: u32,
) -> Option<&'static mut Request> {
    let way = way(task);
    task.request = 0;
    task.flags &= !Task::QUEUED;
    let mut number = search(key);
    let known = number != 0;
    if !known {
        number = claim(key);
    }
    let request = at(number)?;
    task.request = number;
    task.request_op = op;
    if known && request.user_data == user_data {
        request.way = if way == Way::Worker as u32 {
            way
        } else {
            Way::TaskWork as u32
        };
        task.request_generation = request.generation;
        return Some(request);
    }
    // A record of which the end was missed is another request's.
    clear(request);
    request.generation = request.generation.wrapping_add(1);
    task.request_generation = request.generation;
    request.proc_slot = target::proc_slot(task).unwrap_or(Task::NO_PROC);
    request.user_data = user_data;
    request.op = op;
    request.way = way;
    request.flags = 0;
    request.descriptor = 0;
    request.source = words::zero();
    request.sink = words::zero();
    count(request, |counts, index| {
        // SAFETY: the index is within the array.
        unsafe { &raw mut (*counts).submitted[index] }
    });
    Some(request)
}

/// The current thread has done what it can for now.
#[inline(always)]
pub(crate) fn end(task: &mut Task) {
    task.request = 0;
}

/// Notes what a request works on.
#[inline(always)]
pub(crate) fn works_on(request: &mut Request, ends: &Ends) {
    ends.keep(request);
    if is_zerocopy(request.op) {
        request.claim |= Claim::Zerocopy as u32;
    }
}

/// Whether an operation lends the application's pages to packets.
#[inline(always)]
pub(crate) const fn is_zerocopy(op: u32) -> bool {
    op == Op::UringSendZc as u32 || op == Op::UringSendmsgZc as u32
}

/// Whether an operation joins two objects.
#[inline(always)]
const fn joins(op: u32) -> bool {
    op == Op::UringSplice as u32 || op == Op::UringTee as u32
}

/// What a site saw in a thread that works on a request: registered buffers are the application's too,
/// although the kernel sees them as pages.
#[inline(always)]
pub(crate) fn of_user(task: &Task, acc: Acc) -> Acc {
    match acc {
        Acc::SourceCopy if !joins(task.request_op) => Acc::ToUser,
        Acc::SinkCopy if !joins(task.request_op) => Acc::FromUser,
        acc => acc,
    }
}

/// A site saw `bytes` in a thread that works on a request.
#[inline(always)]
pub(crate) fn saw(task: &Task, acc: Acc, bytes: u64) {
    if let Some(request) = current(task) {
        request.acc[acc as usize] += bytes;
        request.filled |= 1 << acc as u32;
    }
}

/// `-EIOCBQUEUED`: the request goes on without the caller.
const QUEUED: i64 = -529;

/// What the current thread gave to a device has `result`: the request may end before the thread is
/// done with it, so this is noted in the thread's record.
#[inline(always)]
pub(crate) fn given_to_device(task: &mut Task, result: i64) {
    if result == QUEUED {
        task.flags |= Task::QUEUED;
    }
}

/// A device has transferred `bytes` for a request, if it is one: in any thread or interrupt, before
/// the request completes. May be called again, with what has become more. Whether it is one.
#[inline(always)]
pub(crate) fn transferred(key: u64, bytes: u64) -> bool {
    let mut found = find(key);
    if let Some(request) = &mut found {
        // Which of the two the operation can be explained by, its shape decides.
        request.acc[Acc::SourceDirect as usize] = bytes;
        request.acc[Acc::SinkDirect as usize] = bytes;
        request.filled |= 1 << Acc::SourceDirect as u32 | 1 << Acc::SinkDirect as u32;
    }
    found.is_some()
}

#[inline(always)]
fn clear(request: &mut Request) {
    if request.filled != 0 {
        request.filled = 0;
        request.acc = words::nothing_seen();
    }
}

/// Frees the slot of a request that has ended.
#[inline(always)]
pub(crate) fn release(request: &mut Request) {
    count(request, |counts, index| {
        // SAFETY: the index and the way are within the arrays.
        unsafe { &raw mut (*counts).completed[index][(request.way & 3) as usize] }
    });
    clear(request);
    request.flags = 0;
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
    // SAFETY: a field of a map value; nothing of the record is touched after this.
    unsafe { (&raw mut request.key).write_volatile(0) };
}

#[inline(always)]
fn count(request: &Request, which: impl FnOnce(*mut RequestCounts, usize) -> *mut u64) {
    let index = RequestCounts::index(request.op);
    if index < RequestCounts::OPS
        && let Some(counts) = REQUEST_COUNTS.get_ptr_mut(request.proc_slot)
    {
        account::add(which(counts, index), 1);
    }
}

/// Programs that complete requests, each with a place of its own to settle in: they interrupt one
/// another.
#[derive(Clone, Copy)]
pub(crate) enum Completer {
    Uring,
    Aio,
    Silent,
    Inferred,
}

/// The address in a typed pointer, as a number: [`kernel::opaque`] for programs that run in any
/// thread.
#[inline(always)]
pub(crate) fn address(pointer: *const u8, completer: Completer) -> u64 {
    match SCRATCH.get_ptr_mut(completer as u32) {
        // SAFETY: a map value of this CPU; a program does not interrupt itself.
        Some(task) => kernel::opaque(unsafe { &mut *task }, pointer as u64),
        None => 0,
    }
}

/// A record to settle in, for the process of a request: the current thread can be another's.
#[inline(always)]
pub(crate) fn scratch(request: &Request, completer: Completer) -> Option<&'static mut Task> {
    let task = SCRATCH.get_ptr_mut(completer as u32)?;
    // SAFETY: a map value of this CPU; a program does not interrupt itself.
    let task = unsafe { &mut *task };
    task.proc_slot = request.proc_slot;
    task.cached_op = 0;
    Some(task)
}

/// Which sites can explain a request: a [`Shape`] that the verifier does not know, so that it does not
/// follow each operation through all that comes after.
#[inline(never)]
fn shape(request: &Request, scratch: &mut Task) -> u32 {
    let shape = shape_of(request.op, &Ends::kept(request));
    kernel::opaque(scratch, shape as u64) as u32
}

#[inline(always)]
fn shape_of(op: u32, ends: &Ends) -> Shape {
    const READV: u32 = Op::UringReadv as u32;
    const READ_FIXED: u32 = Op::UringReadFixed as u32;
    const RECVMSG: u32 = Op::UringRecvmsg as u32;
    const READ: u32 = Op::UringRead as u32;
    const RECV: u32 = Op::UringRecv as u32;
    const READ_MULTISHOT: u32 = Op::UringReadMultishot as u32;
    const RECV_ZC: u32 = Op::UringRecvZc as u32;
    const READV_FIXED: u32 = Op::UringReadvFixed as u32;
    const AIO_READ: u32 = Op::AioRead as u32;
    const SPLICE: u32 = Op::UringSplice as u32;
    const TEE: u32 = Op::UringTee as u32;
    match op {
        READV | READ_FIXED | RECVMSG | READ | RECV | READ_MULTISHOT | RECV_ZC | READV_FIXED
        | AIO_READ => Shape::ToUser,
        SPLICE => legs(ends),
        TEE => Shape::Reference,
        _ => Shape::FromUser,
    }
}

/// A completion of a request told its result: explains it, in a row of the request's process.
#[inline(always)]
pub(crate) fn complete(request: &mut Request, result: i64, completer: Completer) {
    if result == 0 && request.flags & Request::MULTISHOT != 0 {
        return;
    }
    /// `struct io_uring_recvmsg_out`, which a multishot `recvmsg` copies before each message and
    /// reports as part of its length.
    const HEADER: u64 = 16;
    if result > 0
        && request.flags & Request::MULTISHOT != 0
        && request.op == Op::UringRecvmsg as u32
    {
        request.acc[Acc::ToUser as usize] += HEADER;
    }
    let ends = Ends::kept(request);
    let Some(scratch) = scratch(request, completer) else {
        return;
    };
    let shape = Shape::numbered(shape(request, scratch));
    // The usual case first: everything copied, by one kind of copy.
    let (only, class) = match shape {
        Shape::ToUser => (Acc::ToUser, Class::CopiedToUser),
        _ => (Acc::FromUser, Class::CopiedFromUser),
    };
    if request.filled == 1 << only as u32
        && request.acc[only as usize] == result as u64
        && matches!(shape, Shape::ToUser | Shape::FromUser)
    {
        let op = request.op as u16;
        let row = match target::current_quietly() {
            Some(task) if task.proc_slot == request.proc_slot => {
                account::sized_row(task, op, Evidence::Measured, &ends, 1, result as u64)
            }
            _ => account::sized_row(scratch, op, Evidence::Measured, &ends, 1, result as u64),
        };
        if let Some(row) = row {
            // SAFETY: a map value.
            unsafe {
                account::add(&raw mut (*row).ops, 1);
                account::add(&raw mut (*row).moved, result as u64);
                account::add(&raw mut (*row).class[class as usize], result as u64);
            }
        }
    } else {
        words::copy(&mut scratch.acc, &request.acc);
        settle::settle(scratch, shape, result);
        account::record(scratch, request.op as u16, &ends);
    }
    clear(request);
}
