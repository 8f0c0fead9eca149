//! AF_XDP in copy mode. Its interface is rings in memory that the application and the kernel share. An operation is a
//! descriptor that one of them put there, and its bytes are the descriptor's length. System calls only wake the other
//! side, so they are not operations.
//!
//! A packet for the application is copied into its memory in an interrupt, in the context of any task. So it is counted
//! for the process that bound the socket, or used it last.

use zctrace_common::{ABSENT, Acc, Class, Evidence, Op, Task};

use crate::{
    base::{
        atomic::add,
        global::global,
        kernel::{self, Access as _, Probed, Typed},
        loss::lost,
        maps::{SENDERS, offset},
        words,
    },
    book::{
        account,
        object::{self, Ends},
        probe::{program, returned_int},
        row,
        settle::{self, Shape},
        target, twin,
    },
    site::zerocopy,
};

/// The maximum number of descriptors that a call sends (`TX_BATCH_SIZE` is 32).
const BATCH: u32 = 64;
/// In the last word of [`Task::fault`], beside the position in the ring: the thread is sending. The word before it has
/// the socket.
const SENDING: u64 = 1 << 32;

/// The current thread uses a socket (typed pointer): incoming packets belong to its process.
#[inline(always)]
pub(super) fn used(socket: *const u8) {
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current_or_adopt() } {
        owned(
            task,
            kernel::pointer::<Typed>(socket, offset!(socket_sk)) as u64,
        );
    }
}

#[inline(never)]
fn owned(task: &mut Task, sock: u64) {
    if let Some(owner) = SENDERS.get_ptr(sock)
        && task.proc_slot != Task::NO_PROC
    {
        // SAFETY: a map value, of which aligned integers are read.
        let (slot, ino) = unsafe { ((*owner).proc_slot, (*owner).ino) };
        if slot == task.proc_slot && ino == zerocopy::inode_number(sock) {
            return;
        }
    }
    let ends = Ends::sock(task, sock as *const u8);
    if let Some(row) = row::row_slot(task, Op::Recv as u16, Evidence::Measured, &ends) {
        zerocopy::remember(task, sock, row);
    }
}

program! {
    /// A new socket.
    fexit marked xsk_bind(ctx) {
        if returned_int(ctx) == 0 {
            used(ctx.arg(0));
        }
    }
}

program! {
    /// The application waits for packets.
    fentry marked xsk_poll(ctx) { used(ctx.arg(1)); }
}

program! {
    /// The application wakes the kernel.
    fentry marked xsk_recvmsg(ctx) { used(ctx.arg(0)); }
}

program! {
    /// A packet into the application's memory.
    fexit anywhere xsk_rcv(ctx, id, second) {
        if returned_int(ctx) != 0 {
            return 0;
        }
        let sock: u64 = ctx.arg(0);
        let Some(row) = zerocopy::row_of(sock) else { return 0 };
        if !twin::take_turn(id, second, sock) {
            return 0;
        }
        let bytes = if offset!(arg_xsk_rcv_len) == ABSENT {
            let buffer: *const u8 = ctx.arg(1);
            let end: u64 = Typed::load(buffer, offset!(xdp_data_end));
            end - Typed::load::<u64>(buffer, offset!(xdp_data))
        } else {
            u64::from(ctx.arg::<u32>(2))
        };
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe {
            add(&raw mut (*row).ops, 1);
            add(&raw mut (*row).moved, bytes);
            add(&raw mut (*row).class[Class::CopiedToUser as usize], bytes);
        }
    }
}

/// The ring of packets to send of a socket, and how far the kernel has read it.
#[inline(always)]
fn ring(sock: *const u8) -> (*const u8, u32) {
    let queue = kernel::pointer::<Probed>(sock, offset!(xsk_tx));
    (queue, Probed::load(queue, offset!(xsk_queue_cached_cons)))
}

program! {
    /// Sending begins.
    fentry idempotent xsk_xmit_enter(ctx) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } {
            let sock: *const u8 = ctx.arg(0);
            let (_, position) = ring(sock);
            task.fault[2] = words::opaque(task, sock as u64);
            task.fault[3] = SENDING | u64::from(position);
        }
    }
}

program! {
    /// Copies a packet out of the application's memory. Packets that the kernel changes in an interrupt, or on their
    /// way out within the call, come here too. They do not belong to this socket, or no longer.
    fexit anywhere skb_store_bits(ctx, id, second) {
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current() }) else { return 0 };
        if task.fault[3] & SENDING == 0 {
            return 0;
        }
        let (skb, length): (*const u8, i32) = (ctx.arg(0), ctx.arg(3));
        if returned_int(ctx) != 0
            || length <= 0
            || Probed::load::<u64>(skb, offset!(skb_sk)) != task.fault[2]
        {
            return 0;
        }
        let skb = words::opaque(task, skb as u64);
        if twin::take_turn(id, second, skb) {
            account::saw_in(task, Acc::FromUser, length as u64);
        }
    }
}

program! {
    /// Sending ended. Its result is not the number of bytes sent: the descriptors have that.
    fexit marked xsk_xmit_exit(ctx) in task {
        let first = task.fault[3];
        task.fault[3] = 0;
        if first & SENDING == 0 {
            return 0;
        }
        let first = first as u32;
        let sock: *const u8 = ctx.arg(0);
        let (queue, position) = ring(sock);
        let count = position.wrapping_sub(first);
        if count > BATCH {
            lost();
        }
        if count == 0 && account::seen(task, Acc::FromUser) == 0 {
            return 0;
        }
        let bytes = lengths(queue as u64, first, count);
        let ends = Ends::sock(task, sock);
        account::enter(task, kernel::current_nr());
        settle::settle(task, Shape::FromUser, bytes as i64);
        task.delta.ops = u64::from(count);
        row::record(task, Op::Send as u16, &ends);
    }
}

global! {
    /// The sum of the lengths of `count` descriptors of a ring.
    fn lengths(queue: u64, first: u32, count: u32) -> u64 {
        let queue = queue as *const u8;
        let mask: u32 = Probed::load(queue, offset!(xsk_queue_mask));
        let descriptors = kernel::pointer::<Probed>(queue, offset!(xsk_queue_ring))
            .wrapping_add(offset!(xdp_ring_desc) as usize);
        let mut bytes = 0;
        let mut i = 0;
        while i < BATCH {
            if i < count {
                /// Size of `struct xdp_desc`, part of the interface.
                const DESCRIPTOR: usize = 16;
                let index = (first.wrapping_add(i) & mask) as usize;
                let descriptor = descriptors.wrapping_add(index * DESCRIPTOR);
                bytes += u64::from(Probed::load::<u32>(descriptor, offset!(xdp_desc_len)));
            }
            i += 1;
        }
        bytes
    }
}

/// Whether a packed object is an AF_XDP socket.
#[inline(always)]
pub(crate) fn is(object: u64) -> bool {
    object == object::XDP
}
