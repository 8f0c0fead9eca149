//! Zero-copy sends: pages of the application in packets, until the network has released them.
//!
//! `MSG_ZEROCOPY` and io_uring's `SEND_ZC` lend pages to packets. A `struct ubuf_info` identifies the lent pages, and
//! every packet with such pages points to it, wherever it goes. So a copy that the kernel makes later (`site/late.rs`),
//! in whatever context, belongs to the sender, which is in [`LENT`].
//!
//! The application must not touch lent pages until it is notified. [`NOTIFIED`] has for how long: from the begin of the
//! send to the moment when the last packet gives the pages back, which makes the notification.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use zctrace_common::{
    Acc, Counters, Evidence, Lent, Mark, Notified, ObjectKind, Op, Proc, Sender, Task,
};

use crate::{
    base::{
        abi::{BPF_NOEXIST, EEXIST},
        atomic::add,
        global::global,
        kernel::{self, Access as _, Probed, Typed},
        loss::lost,
        maps::{LENT, NOTIFIED, PENDING, PROCS, ROWS, SENDERS, offset},
    },
    book::{
        account,
        object::{self, Ends},
        probe::{program, returned, returned_int},
        request, row, target, twin,
    },
    site::late,
};

program! {
    /// TCP: pages of the application into a packet.
    fexit marked skb_zerocopy_iter_stream(ctx) {
        let bytes = returned_int(ctx);
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            lend(task, ctx.arg(0), ctx.arg(4), bytes as u64);
        }
    }
}

program! {
    /// The same for sockets that are not streams. (TCP passes here too, but is counted above: it can take a part and
    /// still report an error here.)
    fexit marked zerocopy_sg_from_iter(ctx) {
        let message: u64 = ctx.arg(0);
        let sock: *const u8 = ctx.arg(1);
        let length: u64 = ctx.arg(4);
        if returned_int(ctx) != 0 || message == 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        let ubuf = late::borrowed(ctx.arg(2));
        // Only vsock passes no socket.
        if !sock.is_null() && object::is(object::of_sock(sock), ObjectKind::Tcp) {
            return 0;
        }
        lend(task, sock, ubuf, length & 0xffff_ffff);
    }
}

/// The current thread lends `bytes` of its pages.
#[inline(always)]
fn lend(task: &mut Task, sock: *const u8, ubuf: u64, bytes: u64) {
    account::saw_in(task, Acc::SinkRef, bytes);
    if ubuf != 0 && !sock.is_null() {
        lend_until_released(task, sock as u64, ubuf, bytes);
    }
}

/// Notes the owner of the pages. The row is that of the current operation.
#[inline(never)]
fn lend_until_released(task: &mut Task, sock: u64, ubuf: u64, bytes: u64) {
    let of_request = request::is_working(task);
    // Requests of io_uring bring their own `ubuf_info`: the time would be that of an earlier call.
    let begun_ns = if of_request { 0 } else { task.send_ns };
    task.send_ns = 0;
    if let Some(lent) = LENT.get_ptr_mut(ubuf) {
        // SAFETY: map values. Only the thread that holds the socket's lock lends.
        unsafe {
            add(&raw mut (*lent).bytes, bytes);
            if begun_ns != 0 {
                add(&raw mut (*lent).sends, 1);
                add(&raw mut (*lent).begun_ns, begun_ns);
            }
            pend((*lent).proc_slot, bytes);
        }
        return;
    }
    let mut ends = Ends::sock(task, sock as *const u8);
    ends.marks = Mark::Zerocopy as u8;
    let op = if of_request {
        task.request_op as u16
    } else {
        Op::SendZerocopy as u16
    };
    let Some(row_slot) = row::row_slot(task, op, Evidence::Measured, &ends) else {
        return;
    };
    let lent = Lent {
        row_slot,
        proc_slot: task.proc_slot,
        bytes,
        sends: 1,
        begun_ns: if begun_ns == 0 { now() } else { begun_ns },
    };
    if LENT.insert(ubuf, lent, 0).is_ok() {
        pend(lent.proc_slot, bytes);
        make_notified(row_slot);
    } else {
        lost();
    }
    // The socket's error queue does not report sends of io_uring.
    if !of_request {
        remember_sender(task, sock, Evidence::Measured, &mut ends);
    }
}

#[inline(always)]
fn pend(proc_slot: u32, bytes: u64) {
    if let Some(pending) = PENDING.get_ptr_mut(proc_slot) {
        // SAFETY: an integer of a map value.
        unsafe { add(pending, bytes) };
    }
}

/// The monotonic clock, in nanoseconds.
#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_ns() }
}

/// The initial contents of a record. It is in a map because the stack is small.
static NOTHING_NOTIFIED: Notified = Notified::ZERO;

/// Makes the record in which a row counts its notifications.
#[inline(always)]
fn make_notified(row_slot: u32) {
    if NOTIFIED.get_ptr(row_slot).is_some() {
        return;
    }
    let template: &Notified = &NOTHING_NOTIFIED;
    match NOTIFIED.insert(row_slot, template, BPF_NOEXIST) {
        Ok(()) => {}
        // Another thread of the process was quicker.
        Err(error) if error == -EEXIST => {}
        Err(_) => lost(),
    }
}

global! {
    /// Counts `sends` of a row, with `bytes` together, that began at times with the sum `begun_ns` and are notified now.
    fn count_notified(row_slot: u32, sends: u64, begun_ns: u64, bytes: u64) -> u32 {
        let Some(notified) = NOTIFIED.get_ptr_mut(row_slot) else { return 0 };
        if sends == 0 {
            return 0;
        }
        let ns = sends.wrapping_mul(now()).wrapping_sub(begun_ns);
        let mean = ns / sends;
        let place = Notified::place(mean);
        if place < Notified::COUNT {
            // SAFETY: a map value, and within it; its counters are only added to, atomically.
            unsafe {
                add((&raw mut (*notified).sends).cast::<u64>().add(place), sends);
                add(&raw mut (*notified).ns, ns);
                add(&raw mut (*notified).bytes, bytes);
                add(&raw mut (*notified).byte_us, bytes.wrapping_mul((mean + 500) / 1000));
            }
        }
        0
    }
}

/// The pages of a `ubuf_info` have been given back: with a notification, or because its send has failed.
#[inline(never)]
fn release(ubuf: u64, is_notified: bool) {
    let Some(lent) = LENT.get_ptr(ubuf) else {
        return;
    };
    // SAFETY: a map value, of which aligned integers are read.
    let Lent {
        row_slot,
        proc_slot,
        bytes,
        sends,
        begun_ns,
    } = unsafe { *lent };
    if LENT.remove(ubuf).is_ok() {
        // First: once nothing is pending, the user side can give the row to another process.
        if is_notified {
            count_notified(row_slot, sends, begun_ns, bytes);
        }
        pend(proc_slot, bytes.wrapping_neg());
    }
}

program! {
    /// A send begins. What was known about the address of a new `ubuf_info` is no longer true.
    fexit idempotent msg_zerocopy_realloc(ctx) {
        let ubuf = returned(ctx) as u64;
        if ubuf == 0 {
            return 0;
        }
        if ubuf != ctx.arg::<u64>(2) {
            release(ubuf, false);
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } {
            task.send_ns = now();
        }
    }
}

/// Whether the last reference to a `ubuf_info` (typed pointer) is gone. Its memory may be gone as well: only 0 is left
/// in that field when it is freed or made into the notification.
#[inline(always)]
fn is_released(ubuf: *const u8) -> bool {
    Typed::load::<i32>(ubuf, offset!(ubuf_refcnt)) <= 0
}

/// A program for a function `f(skb, ubuf, …)` that gives a reference back.
macro_rules! releaser {
    ($($name:ident)+) => {
        $(program! {
            fexit idempotent $name(ctx) {
                let ubuf: *const u8 = ctx.arg(1);
                if is_released(ubuf) {
                    release(ubuf as u64, true);
                }
            }
        })+
    };
}

releaser! { msg_zerocopy_complete io_tx_ubuf_complete }

program! {
    /// The send has failed.
    fexit idempotent msg_zerocopy_put_abort(ctx) {
        let ubuf: *const u8 = ctx.arg(0);
        if is_released(ubuf) {
            release(ubuf as u64, false);
        }
    }
}

/// Notes who gets the notifications of a socket. The row for them is made now, in the context of the sender.
#[inline(always)]
pub(crate) fn remember_sender(task: &mut Task, sock: u64, evidence: Evidence, ends: &mut Ends) {
    let marks = ends.marks;
    ends.marks = Mark::Zerocopy as u8 | Mark::Copied as u8;
    let row_slot = row::row_slot(task, Op::SendZerocopy as u16, evidence, ends);
    ends.marks = marks;
    if let Some(row_slot) = row_slot {
        remember(task, sock, row_slot);
    }
}

/// Notes which row counts what is learned about a socket (any pointer) in whatever context.
#[inline(always)]
pub(crate) fn remember(task: &mut Task, sock: u64, row_slot: u32) {
    let Some(process) = PROCS.get_ptr(task.proc_slot) else {
        return;
    };
    let sender = Sender {
        ino: inode_number(sock),
        // SAFETY: a map value, of which aligned integers are read.
        start_ns: unsafe { (*process).start_ns },
        row_slot,
        proc_slot: task.proc_slot,
    };
    if SENDERS.insert(sock, sender, 0).is_err() {
        lost();
    }
}

/// The row that counts what is learned about a socket (any pointer), as long as its process runs.
#[inline(always)]
pub(crate) fn row_of(sock: u64) -> Option<*mut Counters> {
    // SAFETY: a map value, of which aligned integers are read.
    let Sender {
        ino,
        start_ns,
        row_slot,
        proc_slot,
    } = unsafe { *SENDERS.get_ptr(sock)? };
    if ino != inode_number(sock) {
        return None;
    }
    let process = PROCS.get_ptr(proc_slot)?;
    // SAFETY: a map value, of which aligned integers are read.
    let alive = unsafe { (*process).start_ns == start_ns && (*process).flags & Proc::EXITED == 0 };
    if alive {
        ROWS.get_ptr_mut(row_slot)
    } else {
        None
    }
}

/// The inode number of a `struct sock`'s socket (any pointer), 0 when it has none any more.
#[inline(always)]
pub(crate) fn inode_number(sock: u64) -> u64 {
    let socket = kernel::pointer::<Probed>(sock as *const u8, offset!(sock_socket));
    if socket.is_null() {
        return 0;
    }
    Probed::load(
        socket,
        offset!(socket_inode).wrapping_add(offset!(inode_ino)),
    )
}

program! {
    /// A message has entered the error queue of a socket, for example that a zero-copy send was copied.
    tp_btf anywhere inet_sk_error_report(ctx, id, second) {
        const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
        const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;
        let sock: u64 = ctx.arg(0);
        let Some(row) = row_of(sock) else { return 0 };
        let last = kernel::pointer::<Probed>(sock as *const u8, offset!(sock_error_queue_last));
        let message = last.wrapping_add(offset!(skb_cb) as usize);
        if Probed::load::<u8>(message, offset!(serr_origin)) != SO_EE_ORIGIN_ZEROCOPY
            || Probed::load::<u8>(message, offset!(serr_code)) & SO_EE_CODE_ZEROCOPY_COPIED == 0
        {
            return 0;
        }
        if twin::take_turn(id, second, sock) {
            // SAFETY: counters of a map value, which are only added to, atomically.
            unsafe { add(&raw mut (*row).ops, 1) };
        }
    }
}
