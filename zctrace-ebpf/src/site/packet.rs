//! Packets that are copied for others than their receiver, in an interrupt or in the sender's call.
//!
//! Receive rings of packet sockets (`PACKET_RX_RING`) are memory that the application and the kernel
//! share: a packet is copied there, whatever task that disturbs, and no call returns it. The bytes are
//! those of the process that last mapped the ring or waited at it. Where no such process of the target is
//! known, they count for the [`Place`].
//!
//! Samples (psample), logs (NFLOG) and captures of vsock (vsockmon) are copied into messages and packets
//! of their own. They always count for the [`Place`].
//!
//! These functions do not say how much they copied, so a packet is marked on its processor, and
//! `skb_copy_bits` says it.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use zctrace_common::{Class, Place};

use crate::{
    base::{
        atomic::add,
        kernel::{Access as _, Probed, Typed},
        maps::offset,
    },
    book::{
        probe::{number, program, returned},
        twin,
    },
    site::{late::count_unowned, xdp::used, zerocopy},
};

/// The packet that a processor copies for others, the socket of the ring that it is for, and the [`Place`]; zeros where
/// it copies none. A processor does one at a time, and does not leave it meanwhile. Only a log can be made where
/// another thread or an interrupt comes between: what is copied for it is then not counted.
#[map]
static FOR_OTHERS: PerCpuArray<[u64; 3]> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn mark(skb: u64, sock: u64, place: Place) {
    if let Some(mark) = FOR_OTHERS.get_ptr_mut(0) {
        // SAFETY: a map value of this processor.
        unsafe { *mark = [skb, sock, place as u64] };
    }
}

/// The packet is no longer copied.
#[inline(always)]
fn unmark() {
    mark(0, 0, Place::PacketRing);
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
        mark(number(ctx, 0), sock, Place::PacketRing);
    }
}

program! {
    /// It is there, or was not wanted.
    fexit idempotent tpacket_rcv_exit(_ctx) {
        unmark();
    }
}

program! {
    /// A sample of a packet.
    fentry idempotent psample_sample_packet_enter(ctx) {
        mark(number(ctx, 1), 0, Place::Sampled);
    }
}

program! {
    /// It is on its way to programs, or nobody wants it.
    fexit idempotent psample_sample_packet_exit(_ctx) {
        unmark();
    }
}

program! {
    /// A packet for a log.
    fentry idempotent nfulnl_log_packet_enter(ctx) {
        mark(number(ctx, 3), 0, Place::Logged);
    }
}

program! {
    /// It is in the log, or nobody keeps one.
    fexit idempotent nfulnl_log_packet_exit(_ctx) {
        unmark();
    }
}

program! {
    /// A packet of vsock for a capture: a copy behind two headers. The copy is new, so an address stands for one event.
    fexit anywhere virtio_transport_build_skb(ctx, id, second) {
        // `struct af_vsockmon_hdr` and `struct virtio_vsock_hdr`, unchanged since they were added.
        const HEADERS: u32 = 32 + 44;
        let copy = returned(ctx) as u64;
        if copy == 0 {
            return 0;
        }
        let length: u32 = Probed::load(copy as *const u8, offset!(skb_len));
        if length > HEADERS && twin::take_turn(id, second, copy) {
            count_unowned(Place::CapturedVsock as u32, u64::from(length - HEADERS));
        }
    }
}

program! {
    /// A packet into the ring or the message: from its beginning. The socket's filter reads single fields
    /// this way where they are not in the linear buffer.
    fentry anywhere skb_copy_bits(ctx, id, second) {
        let Some(mark) = FOR_OTHERS.get_ptr(0) else { return 0 };
        // SAFETY: a map value of this processor.
        let [skb, sock, place] = unsafe { *mark };
        let (offset, bytes): (i32, i32) = (ctx.arg(1), ctx.arg(3));
        if skb == 0 || skb != number(ctx, 0) || offset != 0 || bytes <= 0 {
            return 0;
        }
        if !twin::take_turn(id, second, skb) {
            return 0;
        }
        let bytes = bytes as u64;
        let row = if sock == 0 { None } else { zerocopy::row_of(sock) };
        let Some(row) = row else {
            count_unowned(place as u32, bytes);
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
