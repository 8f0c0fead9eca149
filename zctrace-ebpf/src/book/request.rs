//! Requests: I/O that one thread submits and another one may do and complete.
//!
//! While a thread works on a request, what the sites see in that thread goes to the request's record ([`saw`]), however
//! often and by how many threads the request is tried. When it completes, the record explains what the completion
//! reported ([`complete`]). io_uring and Linux AIO both identify a request by the address of its `kiocb`, and so does
//! direct I/O.

use core::ops::{Deref, DerefMut};

use aya_ebpf::helpers::bpf_get_current_comm;
use zctrace_common::{
    ABSENT, Acc, Class, Evidence, Mark, Op, REQUEST_SLOTS, Request, RequestCounts, Task, Way,
};

use crate::{
    base::{
        abi::{BPF_NOEXIST, EEXIST, PF_IO_WORKER},
        atomic::{add, set_if_zero},
        global::global,
        kernel::{self, Access as _, Probed, Typed},
        loss::lost,
        maps::{REQUEST_COUNTS, REQUESTS, SCRATCH, SCRATCH_RECORDS, offset},
        words,
    },
    book::{
        object::{self, Ends},
        region, row,
        settle::{self, Shape, legs},
        target,
    },
};

/// Where the search for a request's record begins.
#[inline(always)]
fn home(key: u64) -> u32 {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32 & (REQUEST_SLOTS - 1)
}

/// How many slots a request can be in.
const REACH: u32 = 8;

/// The record in a slot, by the number in [`Task::request`]; 0 means none.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
unsafe fn at(number: u32) -> Option<&'static mut Request> {
    if number == 0 {
        return None;
    }
    // SAFETY: a map value, which outlives the program; the caller has the only reference.
    REQUESTS.get_ptr_mut(number - 1).map(|r| unsafe { &mut *r })
}

/// The record of a request, if it is a target's.
///
/// Every completion of the machine comes here, so the first slot should decide in most cases. A request goes to a later
/// slot only if the first was taken, which leaves a mark.
///
/// # Safety
/// The program uses no other reference to the record while it uses this one. Other threads use none either: one thread
/// at a time works on a request, and it completes after the last one.
#[inline(always)]
pub(crate) unsafe fn find(key: u64) -> Option<&'static mut Request> {
    if key == 0 {
        return None;
    }
    let request = REQUESTS.get_ptr_mut(home(key))?;
    // SAFETY: a map value, which outlives the program; the caller has the only reference.
    unsafe {
        if (*request).key == key {
            return Some(&mut *request);
        }
        if (*request).crowded == 0 {
            return None;
        }
        at(search_on(key))
    }
}

global! {
    /// The number of a request's slot, if that is not the first one.
    fn search_on(key: u64) -> u32 {
        let first = home(key);
        let mut i = 1;
        while i < REACH {
            let slot = (first + i) & (REQUEST_SLOTS - 1);
            if let Some(request) = REQUESTS.get_ptr(slot)
                // SAFETY: a map value, of which an aligned integer is read.
                && unsafe { (*request).key } == key
            {
                return slot + 1;
            }
            i += 1;
        }
        0
    }
}

/// A slot for a request.
struct Place {
    /// The number, as in [`Task::request`].
    number: u32,
    /// The record already belonged to the request.
    known: bool,
    request: &'static mut Request,
}

/// The slot of a request, or a free slot if it has none.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
unsafe fn take(key: u64) -> Option<Place> {
    let first = home(key);
    let request = REQUESTS.get_ptr_mut(first)?;
    // SAFETY: a map value, which outlives the program; the caller has the only reference.
    unsafe {
        let known = (*request).key == key;
        if known || ((*request).crowded == 0 && set_if_zero(&raw mut (*request).key, key) == 0) {
            return Some(Place {
                number: first + 1,
                known,
                request: &mut *request,
            });
        }
    }
    let taken = take_later(key);
    let number = taken & !KNOWN;
    Some(Place {
        number,
        known: taken & KNOWN != 0,
        // SAFETY: the caller's promise.
        request: unsafe { at(number)? },
    })
}

/// What [`take_later`] adds to the number of a slot that already belonged to the request.
const KNOWN: u32 = 1 << 31;

global! {
    fn take_later(key: u64) -> u32 {
        let number = search_on(key);
        if number != 0 {
            return number | KNOWN;
        }
        let first = home(key);
        if let Some(request) = REQUESTS.get_ptr_mut(first) {
            // SAFETY: aligned fields of a map value. The mark is there before anybody looks for the
            // request.
            unsafe {
                if set_if_zero(&raw mut (*request).key, key) == 0 {
                    return first + 1;
                }
                (&raw mut (*request).crowded).write_volatile(1);
            }
        }
        let mut i = 1;
        while i < REACH {
            let slot = (first + i) & (REQUEST_SLOTS - 1);
            if let Some(request) = REQUESTS.get_ptr_mut(slot)
                // SAFETY: an aligned field of a map value, which outlives the program.
                && unsafe { set_if_zero(&raw mut (*request).key, key) } == 0
            {
                return slot + 1;
            }
            i += 1;
        }
        lost();
        0
    }
}

/// The record of the request that a thread works on.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub(crate) unsafe fn current(task: &Task) -> Option<&'static mut Request> {
    if is_working(task) {
        // SAFETY: the caller's promise.
        unsafe { last(task) }
    } else {
        None
    }
}

/// Whether a thread works on a request.
///
/// A thread works on a request that `io_uring_enter` issues until it issues another one, or until the call ends. In
/// between it copies for nobody else, so no probe is needed for the end of the work.
#[inline(always)]
pub(crate) fn is_working(task: &Task) -> bool {
    task.request != 0 && (task.flags & Task::SUBMITS == 0 || kernel::submits())
}

/// The record of the request that a thread worked on last, if it has not ended.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub(crate) unsafe fn last(task: &Task) -> Option<&'static mut Request> {
    // SAFETY: the caller's promise.
    unsafe { at(task.request) }
        // Its slot may belong to another request by now.
        .filter(|request| task.request_generation == request.generation && request.key != 0)
}

/// `REQ_F_CQE_SKIP`, which has the number of `IOSQE_CQE_SKIP_SUCCESS_BIT`.
pub(crate) const REQ_F_CQE_SKIP: u32 = 1 << 6;

/// How the current thread works on requests.
#[inline(always)]
fn way(task: &mut Task) -> u32 {
    if task.way == 0 {
        task.way = own_way() + 1;
    }
    task.way - 1
}

global! {
    fn own_way() -> u32 {
        let flags: u32 = Typed::load(kernel::current_task(), offset!(task_flags));
        if flags & PF_IO_WORKER == 0 {
            return Way::Inline as u32;
        }
        match bpf_get_current_comm() {
            Ok([b'i', b'o', b'u', b'-', b's', ..]) => Way::SqPoll as u32,
            _ => Way::Worker as u32,
        }
    }
}

/// Whether a thread submits requests itself.
#[inline(always)]
pub(crate) const fn is_submitter(task: &Task) -> bool {
    task.way == Way::Inline as u32 + 1
}

/// The current thread begins to work on a request, or tries it again.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub(crate) unsafe fn begin(
    task: &mut Task,
    key: u64,
    user_data: u64,
    op: u32,
) -> Option<&'static mut Request> {
    let way = way(task);
    task.request = 0;
    task.flags &= !(Task::QUEUED | Task::SUBMITS);
    // SAFETY: the caller's promise. If another request had the record, that has ended.
    let Place {
        number,
        mut known,
        request,
    } = unsafe { take(key)? };
    task.request = number;
    task.request_op = op;
    // The keys of `tracepoint::aio` are odd, and those requests are never silent. There the compiler leaves this out, which
    // would take more stack than a system call's program has.
    let is_address = key & 1 == 0;
    if is_address && known && request.flags & Request::SILENT != 0 && is_reused(key) {
        if conclude_silent(request) {
            count_end(request);
        }
        known = false;
    }
    if known && request.user_data == user_data {
        request.way = if way == Way::Worker as u32 {
            way
        } else {
            Way::TaskWork as u32
        };
        task.request_generation = request.generation;
        return Some(request);
    }
    if known {
        // It belongs to another request whose end was missed.
        count_end(request);
    }
    clear(request);
    request.generation = request.generation.wrapping_add(1);
    task.request_generation = request.generation;
    request.proc_slot = match task.proc_slot {
        Task::NO_PROC => target::proc_slot(task).unwrap_or(Task::NO_PROC),
        known => known,
    };
    request.concluded = 0;
    request.user_data = user_data;
    request.op = op;
    request.way = way;
    request.flags = 0;
    request.descriptor = 0;
    request.source = words::zero();
    request.sink = words::zero();
    if region::are_marked() {
        request.dimension = region::current_region();
    }
    count(request, |counts, index| {
        // SAFETY: the index is within the array.
        unsafe { &raw mut (*counts).submitted[index] }
    });
    Some(request)
}

/// Forgets the request that had this memory before. It has ended unseen, because the memory belongs to a new request.
#[inline(always)]
pub(crate) fn forget_stale(key: u64) {
    // SAFETY: nobody works on a request whose memory is a new one's, and the reference ends here.
    if let Some(stale) = unsafe { find(key) } {
        release(stale);
    }
}

/// The current thread has stopped working on a request for now.
#[inline(always)]
pub(crate) fn end(task: &mut Task) {
    task.request = 0;
}

/// The current thread turns to something other than the request that it has worked on.
#[inline(always)]
pub(crate) fn leave(task: &mut Task, now: Now) {
    if task.flags & Task::SILENT != 0 {
        settle_silent(task, now);
    }
    end(task);
}

/// Notes what a request works on.
#[inline(always)]
pub(crate) fn works_on(request: &mut Request, ends: &Ends) {
    ends.keep(request);
    if Request::lends(request.op) {
        request.marks |= Mark::Zerocopy as u32;
    }
}

/// Looks at the file of a request, if no site has done so.
#[inline(always)]
pub(crate) fn know_file(request: &mut Request) {
    if request.source == 0
        && let Some(mut task) = scratch(request)
    {
        let file = kernel::pointer::<Probed>(request.key as *const u8, offset!(req_file));
        let ends = Ends::file::<Probed>(&mut task, file);
        works_on(request, &ends);
    }
}

/// What a site saw in a thread that works on a request. Registered buffers belong to the application too, although the
/// kernel sees them as pages.
#[inline(always)]
pub(crate) fn of_user(task: &Task, acc: Acc) -> Acc {
    match acc {
        Acc::SourceCopy if !Request::joins(task.request_op) => Acc::ToUser,
        Acc::SinkCopy if !Request::joins(task.request_op) => Acc::FromUser,
        acc => acc,
    }
}

/// A site saw `bytes` in a thread that works on a request.
#[inline(always)]
pub(crate) fn saw(request: &mut Request, acc: Acc, bytes: u64) {
    request.acc[acc as usize] += bytes;
    request.filled |= 1 << acc as u32;
    if request.flags & Request::SILENT != 0 {
        know_file_now(request);
    }
}

/// The file of a silent request may be gone when its end is known.
#[inline(never)]
fn know_file_now(request: &mut Request) {
    know_file(request);
}

/// Looks at the file of a request that a thread works on, if `kiocb` (typed pointer) belongs to it: overlayfs uses
/// another one for the filesystem below. Here it takes a plain load; at the completion it would take a helper call for
/// each.
#[inline(always)]
pub(crate) fn know_file_of(task: &mut Task, request: &mut Request, kiocb: *const u8) {
    if request.source == 0 && request.key == words::opaque(task, kiocb as u64) {
        let file = kernel::pointer::<Typed>(kiocb, offset!(kiocb_filp));
        let ends = Ends::file::<Typed>(task, file);
        works_on(request, &ends);
    }
}

/// `-EIOCBQUEUED`: the request continues without the caller.
pub(crate) const QUEUED: i64 = -529;

/// `result` is that of a transfer which the current thread gave to a device. The request may end before the thread
/// stops working on it, so this is noted in the thread's record.
#[inline(always)]
pub(crate) fn given_to_device(task: &mut Task, result: i64) {
    if result == QUEUED {
        task.flags |= Task::QUEUED;
    }
}

/// A device has transferred `bytes` for a request, if `key` is one: in any thread or interrupt, before the request
/// completes. It may be called again with a larger number. Returns whether it is a request.
#[inline(always)]
pub(crate) fn transferred(key: u64, bytes: u64) -> bool {
    ended(key, bytes, Acc::SourceDirect, Acc::SinkDirect)
}

/// As [`transferred`], from or to pages of the filesystem: `bytes` were copied between those and the application's.
#[inline(always)]
pub(crate) fn copied(key: u64, bytes: u64) -> bool {
    ended(key, bytes, Acc::ToUser, Acc::FromUser)
}

#[inline(always)]
fn ended(key: u64, bytes: u64, source: Acc, sink: Acc) -> bool {
    // SAFETY: the reference ends here. A device ends a request while no thread works on it.
    let mut found = unsafe { find(key) };
    if let Some(request) = &mut found {
        // The shape of the operation decides which of the two can explain it.
        request.acc[source as usize] = bytes;
        request.acc[sink as usize] = bytes;
        if request.flags & Request::SILENT != 0 {
            know_file_now(request);
        }
        request.filled |= 1 << source as u32 | 1 << sink as u32;
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
    count_end(request);
    clear(request);
    request.flags = 0;
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
    // SAFETY: a field of a map value; nothing of the record is touched after this.
    unsafe { (&raw mut request.key).write_volatile(0) };
}

/// Counts the end of a request.
#[inline(always)]
fn count_end(request: &Request) {
    count(request, |counts, index| {
        // SAFETY: the index and the way are within the arrays.
        unsafe { &raw mut (*counts).completed[index][(request.way & 3) as usize] }
    });
}

#[inline(always)]
fn count(request: &Request, which: impl FnOnce(*mut RequestCounts, usize) -> *mut u64) {
    if RequestCounts::index(request.op) < RequestCounts::OPS
        && let Some(counts) = counts_of(request.proc_slot)
    {
        // Compared once more: the verifier of Linux 6.1 forgets the bounds of a number that was on the stack.
        // SAFETY: an aligned field of a valid reference.
        let op = unsafe { (&raw const request.op).read_volatile() };
        let index = RequestCounts::index(op);
        if index < RequestCounts::OPS {
            // SAFETY: an integer of a map value.
            unsafe { add(which(counts, index), 1) };
        }
    }
}

/// The counts of a process, made at its first request.
#[inline(always)]
pub(crate) fn counts_of(proc_slot: u32) -> Option<*mut RequestCounts> {
    if let Some(counts) = REQUEST_COUNTS.get_ptr_mut(proc_slot) {
        return Some(counts);
    }
    make_counts(proc_slot);
    REQUEST_COUNTS.get_ptr_mut(proc_slot)
}

/// The initial contents of a record. It is in a map because the stack is small.
static NO_REQUESTS: RequestCounts = RequestCounts::ZERO;

#[inline(never)]
fn make_counts(proc_slot: u32) {
    let template: &RequestCounts = &NO_REQUESTS;
    match REQUEST_COUNTS.insert(proc_slot, template, BPF_NOEXIST) {
        Ok(()) => {}
        // Another thread of the process was quicker.
        Err(error) if error == -EEXIST => {}
        Err(_) => lost(),
    }
}

/// When to look for the end of a silent request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// As soon as the thread has stopped working on it: it is not freed yet.
    Done,
    /// When the thread turns to something else.
    Later,
}

/// Completes the request that a thread worked on last, if it does not report success and has succeeded.
///
/// No probe sees the end of such a request. So it is looked for when the thread turns to something else. Until then the
/// ring keeps the memory. When the memory is used again ([`begin`]), the result is still there.
#[inline(never)]
fn settle_silent(task: &mut Task, now: Now) {
    const WORKER: u32 = Way::Worker as u32;
    task.flags &= !Task::SILENT;
    if task.flags & Task::QUEUED != 0 {
        // Its device will end it.
        return;
    }
    // SAFETY: the caller turns away from the request: it has no reference to it.
    let Some(request) = (unsafe { last(task) }) else {
        return;
    };
    let req = request.key as *const u8;
    let flags: u32 = Probed::load(req, offset!(req_flags));
    // Then its end is seen when the later request begins. Even a thread that has just worked on it can be late, because
    // another thread may have tried it again in the meantime.
    if is_reused(request.key) {
        return;
    }
    if matches!(now, Now::Later) {
        if Probed::load::<u64>(req, offset!(req_user_data)) != request.user_data {
            // Its ring was closed by another thread.
            lost();
            release(request);
            return;
        }
        // A worker does it.
        if request.way == WORKER && task.way != WORKER + 1 {
            return;
        }
    }
    // A failure is reported to the application.
    if flags & REQ_F_CQE_SKIP == 0 {
        return;
    }
    // The word for the flags of its completion still holds its descriptor, so it waits for something. For descriptor 0
    // this is not known.
    if Probed::load::<u32>(req, offset!(req_fd)) == request.descriptor {
        return;
    }
    // A wait leaves a value in the result as well. The request has ended if the sites saw that many bytes.
    let waited = offset!(req_polled) != ABSENT && flags >> (offset!(req_polled) & 31) & 1 != 0;
    if waited && (matches!(now, Now::Later) || !is_explained(request)) {
        return;
    }
    if matches!(now, Now::Done) {
        know_file(request);
    }
    if conclude_silent(request) {
        release(request);
    }
}

/// Whether the result in a request's memory is what one kind of site saw. 0 is also what they see of a request that
/// still waits.
#[inline(always)]
fn is_explained(request: &Request) -> bool {
    let result: i32 = Probed::load(request.key as *const u8, offset!(req_res));
    let result = i64::from(result) as u64;
    result != 0
        && [Acc::ToUser, Acc::FromUser, Acc::SinkRef]
            .into_iter()
            .any(|acc| request.acc[acc as usize] == result)
}

/// Whether the memory of a request belongs to a later one, which has no file yet (`io_init_req`).
#[inline(always)]
fn is_reused(key: u64) -> bool {
    Probed::load::<u64>(key as *const u8, offset!(req_file)) == 0
}

/// Books a request that has succeeded without reporting it. False if another thread has already done so.
#[inline(never)]
fn conclude_silent(request: &mut Request) -> bool {
    // SAFETY: an aligned field of a map value, which outlives the program.
    if unsafe { set_if_zero(&raw mut request.concluded, 1) } != 0 {
        return false;
    }
    if request.source == 0 {
        // Its file may be gone.
        request.source = object::UNKNOWN;
    }
    let result: i32 = Probed::load(request.key as *const u8, offset!(req_res));
    complete(request, i64::from(result));
    true
}

/// A record to settle in, for the process of a request, because the current thread can belong to another process.
/// Dropping this frees the record.
pub(crate) struct Scratch(*mut Task);

impl Deref for Scratch {
    type Target = Task;

    #[inline(always)]
    fn deref(&self) -> &Task {
        // SAFETY: a map value, which nobody else has until its mark is taken away (`drop`).
        unsafe { &*self.0 }
    }
}

impl DerefMut for Scratch {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Task {
        // SAFETY: a map value, which nobody else has until its mark is taken away (`drop`).
        unsafe { &mut *self.0 }
    }
}

impl Drop for Scratch {
    #[inline(always)]
    fn drop(&mut self) {
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        // SAFETY: a field of a map value; nothing of the record is touched after this.
        unsafe { (&raw mut (*self.0).tid).write_volatile(0) };
    }
}

/// Takes a record to settle in.
///
/// Completions can interrupt one another, in an interrupt and where programs are preempted. So each takes a free
/// record.
#[inline(always)]
pub(crate) fn scratch(request: &Request) -> Option<Scratch> {
    let task = SCRATCH.get_ptr_mut(take_scratch(SCRATCH_RECORDS).wrapping_sub(1))?;
    let mut task = Scratch(task);
    task.proc_slot = request.proc_slot;
    task.cached[0].op = 0;
    task.cached[1].op = 0;
    Some(task)
}

global! {
    /// The number of a record of this processor that was free, plus 1; 0 if all are in use.
    fn take_scratch(records: u32) -> u32 {
        let mut i = 0;
        while i < records && i < SCRATCH_RECORDS {
            if let Some(task) = SCRATCH.get_ptr_mut(i)
                // SAFETY: an aligned field of a map value, which outlives the program.
                && unsafe { set_if_zero(&raw mut (*task).tid, 1) } == 0
            {
                return i + 1;
            }
            i += 1;
        }
        lost();
        0
    }
}

/// A request of a ring, identified by a completion for which there was no room.
pub(crate) struct Overflowed {
    pub(crate) ring: u64,
    pub(crate) user_data: u64,
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

/// `IORING_CQE_F_MORE`: the request completes again.
const CQE_F_MORE: u32 = 1 << 1;

impl Overflowed {
    /// Completes the request, as `explain` does. If it is not known which request it is, or whether it belongs to the
    /// ledger at all, its bytes are lost.
    ///
    /// `io_uring_cqe_overflow` has no request. But the completing request is in the list of those about to complete
    /// (`__io_submit_flush_completions`), or it is the one that the thread works on (`io_req_complete_post`,
    /// `io_post_aux_cqe`). A worker completes only the latter: the list belongs to another thread, which may be filling
    /// it.
    #[inline(always)]
    pub(crate) fn complete(&self, explain: impl FnOnce(&mut Request)) {
        // SAFETY: completions are told by programs that do not look up the thread's record themselves.
        let is_worker =
            unsafe { target::current() }.is_some_and(|task| way(task) == Way::Worker as u32);
        let key = if is_worker {
            UNKNOWN
        } else {
            about_to_complete(self.ring, self.user_data, self.result as u32, self.flags)
        };
        let (found, is_last) = if key == UNKNOWN {
            let found = self.of_thread();
            let is_last = self.flags & CQE_F_MORE == 0;
            (found, is_last)
        } else {
            // SAFETY: the other branch has not looked it up.
            (unsafe { find(key) }, true)
        };
        match found {
            Some(request) => {
                let is_last = is_last || Request::lends(request.op);
                explain(request);
                if is_last {
                    release(request);
                }
            }
            None if key == UNKNOWN && self.result > 0 && target::is_current() => lost(),
            None => {}
        }
    }

    /// The request that the thread works on.
    #[inline(always)]
    fn of_thread(&self) -> Option<&'static mut Request> {
        // SAFETY: completions are told by programs that look up neither record themselves.
        let request = unsafe { last(target::current()?)? };
        let req = request.key as *const u8;
        let is_it = request.user_data == self.user_data
            && Probed::load::<u64>(req, offset!(req_ctx)) == self.ring
            && (self.flags & CQE_F_MORE != 0
                || Probed::load::<i32>(req, offset!(req_res)) == self.result);
        is_it.then_some(request)
    }
}

/// The request is not known.
const UNKNOWN: u64 = 1;

global! {
    /// The first request in the list of those about to complete that has this result and a record: all before it have
    /// completed. 0 if no such request belongs to the ledger.
    fn about_to_complete(ring: u64, user_data: u64, result: u32, flags: u32) -> u64 {
        /// More are rarely submitted at once.
        const MOST: u32 = 256;
        if offset!(ctx_completing) == ABSENT || offset!(req_completing) == ABSENT {
            return UNKNOWN;
        }
        let mut found = UNKNOWN;
        let mut node: u64 = Probed::load(ring as *const u8, offset!(ctx_completing));
        let mut i = 0;
        while i < MOST && node != 0 {
            let req = node.wrapping_sub(u64::from(offset!(req_completing)));
            let at = req as *const u8;
            if Probed::load::<u64>(at, offset!(req_user_data)) == user_data
                && Probed::load::<u32>(at, offset!(req_res)) == result
                && Probed::load::<u32>(at, offset!(req_cqe_flags)) == flags
            {
                // SAFETY: the reference ends here.
                if unsafe { find(req) }.is_some() {
                    return req;
                }
                found = 0;
            }
            node = Probed::load(node as *const u8, 0);
            i += 1;
        }
        found
    }
}

/// Which sites can explain a request: a [`Shape`] whose value the verifier does not know, so that it does not follow
/// each operation through all later code.
#[inline(never)]
fn shape(request: &Request, scratch: &mut Task) -> u32 {
    let shape = shape_of(request.op, &Ends::kept(request));
    words::opaque(scratch, shape as u64) as u32
}

#[inline(always)]
fn shape_of(op: u32, ends: &Ends) -> Shape {
    const SPLICE: u32 = Op::UringSplice as u32;
    match op {
        SPLICE => legs(ends),
        _ => Request::shape(op),
    }
}

/// A completion of a request reported its result: explains it, in a row of the request's process.
#[inline(always)]
pub(crate) fn complete(request: &mut Request, result: i64) {
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
    let in_kernel = Request::is_registered(request.op) && has_memory_of_kernel(request);
    if !in_kernel && completes_as_usual(request, result) {
        return;
    }
    let ends = Ends::kept(request);
    let Some(mut scratch) = scratch(request) else {
        return;
    };
    if Request::is_command(request.op) {
        explain_command(request, &mut scratch, result);
    } else {
        words::copy(&mut scratch.acc, &request.acc);
        let shape = if in_kernel {
            shape_in_kernel(request, &mut scratch)
        } else {
            shape(request, &mut scratch)
        };
        settle::settle(&mut scratch, Shape::numbered(shape), result);
    }
    row::record(&mut scratch, request.op as u16, &ends);
    drop(scratch);
    clear(request);
}

/// Whether a request's registered buffer is not memory of the application: a server of ublk has registered the pages of
/// a block request (`io_buffer_register_bvec`).
#[inline(always)]
pub(crate) fn has_memory_of_kernel(request: &Request) -> bool {
    if offset!(req_buffer) == ABSENT
        || offset!(buffer_memory) == ABSENT
        || offset!(memory_flags) == ABSENT
    {
        return false;
    }
    let buffer = kernel::pointer::<Probed>(request.key as *const u8, offset!(req_buffer));
    let memory = kernel::pointer::<Probed>(buffer, offset!(buffer_memory));
    Probed::load::<u8>(memory, offset!(memory_flags)) & 1 != 0
}

/// [`shape`] of a read or write of such a buffer. What its sites saw are copies within the kernel.
///
/// This calls nothing: the kernel takes at most eight frames.
#[inline(never)]
fn shape_in_kernel(request: &Request, scratch: &mut Task) -> u32 {
    for (user, kernel) in [
        (Acc::ToUser, Acc::SourceCopy),
        (Acc::FromUser, Acc::SinkCopy),
    ] {
        scratch.acc[kernel as usize] += scratch.acc[user as usize];
        scratch.acc[user as usize] = 0;
    }
    let shape = if Request::takes(request.op) {
        Shape::Source
    } else {
        Shape::Sink
    };
    words::opaque(scratch, shape as u64) as u32
}

/// A command to a driver has ended: `result` is its error, or says nothing of bytes. What moved is what the sites saw,
/// in both directions.
#[inline(never)]
fn explain_command(request: &Request, scratch: &mut Task, result: i64) {
    let to_user = request.acc[Acc::ToUser as usize];
    let from_user = request.acc[Acc::FromUser as usize];
    scratch.delta = words::no_counts();
    scratch.delta.ops = 1;
    if result < 0 {
        scratch.delta.errors = result.unsigned_abs();
    }
    scratch.delta.moved = to_user + from_user;
    scratch.delta.class[Class::CopiedToUser as usize] = to_user;
    scratch.delta.class[Class::CopiedFromUser as usize] = from_user;
}

/// By [`RequestCounts::index`]: the one kind of copy that explains the usual case, 0 if there is none. It is in a map
/// so that it is found without comparing.
static USUAL: [u8; 32] = {
    let mut usual = [0; 32];
    let mut i = 0;
    while i < RequestCounts::OPS {
        let op = Op::UringReadv as u32 + i as u32;
        usual[i] = match Request::shape(op) {
            _ if Request::is_command(op) => 0,
            Shape::ToUser => TO_USER,
            Shape::FromUser => FROM_USER,
            _ => 0,
        };
        i += 1;
    }
    usual
};
const TO_USER: u8 = 1;
const FROM_USER: u8 = 2;

/// The usual case: everything was copied, by one kind of copy, and reported in a thread of the process. False in any
/// other case.
#[inline(always)]
fn completes_as_usual(request: &mut Request, result: i64) -> bool {
    let index = RequestCounts::index(request.op);
    if index >= USUAL.len() {
        return false;
    }
    let usual = &raw const USUAL;
    // SAFETY: within the array.
    let usual = unsafe { usual.cast::<u8>().add(index).read_volatile() };
    let (only, class) = match usual {
        TO_USER => (Acc::ToUser, Class::CopiedToUser),
        FROM_USER => (Acc::FromUser, Class::CopiedFromUser),
        _ => return false,
    };
    if request.filled != 1 << only as u32 || request.acc[only as usize] != result as u64 {
        return false;
    }
    // SAFETY: what a thread may have of its own record meanwhile is the argument of `settle_silent`, which
    // is not inlined and has read what it wants of it before.
    let Some(task) = (unsafe { target::current() }) else {
        return false;
    };
    if task.proc_slot != request.proc_slot {
        return false;
    }
    let (op, ends) = (request.op as u16, Ends::kept(request));
    let row = row::sized_row(task, op, Evidence::Measured, &ends, 1, result as u64);
    if let Some(row) = row {
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe {
            add(&raw mut (*row).ops, 1);
            add(&raw mut (*row).moved, result as u64);
            add(&raw mut (*row).class[class as usize], result as u64);
        }
    }
    request.filled = 0;
    request.acc[only as usize] = 0;
    true
}
