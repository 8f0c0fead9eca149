//! Receive rings of packet sockets (`PACKET_RX_RING`). The ring is memory that the application and the
//! kernel share: a packet is copied there in an interrupt, whatever task that disturbs, and no call
//! returns it.
//!
//! `tpacket_rcv` does not say how much it copied, so it is marked on its processor, and `skb_copy_bits`
//! says it. The bytes are those of the process that last mapped the ring or waited at it. Where no such
//! process of the target is known, they count for the [`Place`].

use aya_ebpf::{macros::map, maps::PerCpuArray};
use zctrace_common::{Class, Place};

use crate::{
    base::{
        atomic::add,
        kernel::{Access as _, Typed},
        maps::offset,
    },
    book::{
        probe::{number, program},
        twin,
    },
    site::{late::count_unowned, xdp::used, zerocopy},
};

/// The packet that a processor puts into a ring, and the ring's socket; zeros where it does not. A
/// processor does one at a time, and does not leave it meanwhile.
#[map]
static IN_RING: PerCpuArray<[u64; 2]> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn mark(skb: u64, sock: u64) {
    if let Some(mark) = IN_RING.get_ptr_mut(0) {
        // SAFETY: a map value of this processor.
        unsafe { *mark = [skb, sock] };
    }
}

program! {
    /// The application makes the ring its own.
    fentry marked packet_mmap(ctx) { used(ctx.arg(1)); }
}

program! {
    /// Waiting for packets.
    fentry marked packet_poll(ctx) { used(ctx.arg(1)); }
}

program! {
    /// A packet for a ring.
    fentry idempotent tpacket_rcv_enter(ctx) {
        let hook: *const u8 = ctx.arg(2);
        let sock: u64 = Typed::load(hook, offset!(packet_type_private));
        mark(number(ctx, 0), sock);
    }
}

program! {
    /// It is there, or was not wanted.
    fexit idempotent tpacket_rcv_exit(_ctx) {
        mark(0, 0);
    }
}

program! {
    /// A packet into the ring: from its beginning. The socket's filter reads single fields this way where
    /// they are not in the linear buffer.
    fentry anywhere skb_copy_bits(ctx, id, second) {
        let Some(mark) = IN_RING.get_ptr(0) else { return 0 };
        // SAFETY: a map value of this processor.
        let [skb, sock] = unsafe { *mark };
        let (offset, bytes): (i32, i32) = (ctx.arg(1), ctx.arg(3));
        if skb == 0 || skb != number(ctx, 0) || offset != 0 || bytes <= 0 {
            return 0;
        }
        if !twin::take_turn(id, second, skb) {
            return 0;
        }
        let bytes = bytes as u64;
        let Some(row) = zerocopy::row_of(sock) else {
            count_unowned(Place::PacketRing as u32, bytes);
            return 0;
        };
        // SAFETY: counters of a map value, which are only added to, atomically.
        unsafe {
            add(&raw mut (*row).ops, 1);
            add(&raw mut (*row).moved, bytes);
            add(&raw mut (*row).class[Class::CopiedToUser as usize], bytes);
        }
    }
}
