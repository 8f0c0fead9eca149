//! Transmit rings of packet sockets (`PACKET_TX_RING`). The application writes frames into memory that it shares with
//! the kernel, and one call sends them all.
//!
//! The kernel copies the beginning of a frame into a packet: as much as the device's header is long, or more where the
//! application asks for it (`PACKET_VNET_HDR`). The packet refers to the pages of the rest. A frame of `SOCK_DGRAM` is
//! not copied at all, because the kernel makes its header.
//!
//! The functions that copy and refer are part of `packet_sendmsg` in every kernel. What they did is seen when the packet
//! is passed on.

use zctrace_common::{Acc, Evidence, Lent, Op, Task};

use crate::{
    base::{
        abi::SOCK_RAW,
        kernel::{self, Access as _, Typed},
        loss::lost,
        maps::{LENT, offset},
        syscalls::{WRITE, WRITEV},
    },
    book::{
        account,
        object::Ends,
        probe::{program, returned_int},
        request, row, target,
    },
    site::late,
};

program! {
    /// A packet of a packet socket leaves it.
    fentry marked packet_xmit(ctx) {
        // A `struct packet_sock` begins with its `struct sock`.
        sent(ctx.arg(1), ctx.arg(0));
    }
}

program! {
    /// A packet of a packet socket is complete. Where `packet_xmit` is part of its callers, this is the last function
    /// that sees it before it leaves.
    fentry marked packet_parse_headers(ctx) {
        sent(ctx.arg(0), kernel::pointer::<Typed>(ctx.arg(1), offset!(socket_sk)));
    }
}

/// A packet of a socket (typed pointers). Only one from a ring has borrowed pages.
#[inline(always)]
fn sent(skb: *const u8, sock: *const u8) {
    let frame = late::borrowed(skb);
    if frame == 0 {
        return;
    }
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        // The ring can be where one of the target was before.
        let _ = LENT.remove(frame);
        return;
    };
    let referenced: u32 = Typed::load(skb, offset!(skb_data_len));
    let header = Typed::load::<u32>(skb, offset!(skb_len)) - referenced;
    if header != 0 && Typed::load::<u16>(sock, offset!(sock_type)) == SOCK_RAW {
        account::saw_in(task, Acc::FromUser, header.into());
    }
    if referenced != 0 {
        account::saw_in(task, Acc::SinkRef, referenced.into());
    }
    lend(task, sock, frame);
}

/// Notes whose pages a packet borrows: what copies them later (`site/late.rs`) finds the row there. Kernels without
/// `tpacket_ubuf_complete` give a frame back before the last packet with its pages is gone, so this holds until the
/// frame is sent again. The pages do not count as pending.
#[inline(never)]
fn lend(task: &mut Task, sock: *const u8, frame: u64) {
    let op = if request::is_working(task) {
        task.request_op as u16
    } else if matches!(kernel::current_nr(), WRITE | WRITEV) {
        Op::Write as u16
    } else {
        Op::Send as u16
    };
    let ends = Ends::sock(task, sock);
    let Some(row_slot) = row::row_slot(task, op, Evidence::Measured, &ends) else {
        return;
    };
    let lent = Lent {
        row_slot,
        proc_slot: task.proc_slot,
        bytes: 0,
        // Nobody waits for a notification of them.
        sends: 0,
        begun_ns: 0,
    };
    if LENT.insert(frame, lent, 0).is_err() {
        lost();
    }
}

program! {
    /// A send ended. With `PACKET_LOSS` the kernel skips frames that it cannot send, and `packet_parse_headers` may have
    /// seen them before. Which ones these were is not known, so nothing is concluded about a call that reports other
    /// bytes than its packets have.
    fexit marked packet_sendmsg(ctx) in task {
        let referenced = account::seen(task, Acc::SinkRef);
        if referenced == 0 {
            return 0;
        }
        let copied = account::seen(task, Acc::FromUser);
        if (copied + referenced) as i64 != returned_int(ctx) {
            account::forget(task, Acc::FromUser);
            account::forget(task, Acc::SinkRef);
        }
    }
}

program! {
    /// The last packet with the pages of a frame is gone.
    fentry idempotent tpacket_ubuf_complete(ctx) {
        let ubuf: *const u8 = ctx.arg(1);
        if Typed::load::<i32>(ubuf, offset!(ubuf_refcnt)) <= 1 {
            let _ = LENT.remove(ubuf as u64);
        }
    }
}
