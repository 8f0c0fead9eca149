//! Sites of sockets.

use zctrace_common::{ABSENT, Acc, Op, Place, Task};

use crate::{
    base::{
        abi::{MSG_SPLICE_PAGES, MSG_ZEROCOPY, NETIF_F_SG},
        global::global,
        kernel::{self, Access, Probed, Typed, shared_info},
        maps::offset,
        syscalls,
    },
    book::{
        account,
        probe::{program, returned, returned_int},
        request, target,
    },
    site::{
        file::{self, Memory, filled},
        late,
    },
};

program! {
    /// Copies the payload of a packet into the receiver's buffer: TCP, unix, datagrams with pages.
    fexit marked skb_copy_datagram_iter(ctx) {
        let length: i32 = ctx.arg(3);
        if returned_int(ctx) == 0 {
            filled(ctx.arg(2), i64::from(length));
        }
    }
}

/// A UDP receive copies the smaller of the datagram and the buffer, whatever it returns (`MSG_TRUNC`). Small datagrams
/// are copied inline, others pass `skb_copy_datagram_iter` as well. This is the outer function, and it replaces what
/// the inner one counted.
#[inline(always)]
fn udp_received(result: i64, offered: u64) {
    if result < 0 {
        return;
    }
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current_or_adopt() } {
        let result = result as u64;
        let copied = if result < offered { result } else { offered };
        account::forget(task, Acc::ToUser);
        account::saw_in(task, Acc::ToUser, copied);
    }
}

program! {
    /// `udp_recvmsg`.
    fexit marked udp_recvmsg(ctx) { udp_received(returned_int(ctx), ctx.arg(2)); }
}

program! {
    /// `udpv6_recvmsg`.
    fexit marked udpv6_recvmsg(ctx) { udp_received(returned_int(ctx), ctx.arg(2)); }
}

/// Whether the running system call's data comes from user memory. On 6.1 `sendfile` and `splice`
/// pass kernel pages through the functions that copy from messages.
#[inline(always)]
fn user_message(task: &mut Task) -> bool {
    use syscalls::{SENDFILE, SPLICE};
    if request::is_working(task) {
        return task.request_op != Op::UringSplice as u32;
    }
    account::enter(task, kernel::current_nr());
    !matches!(task.nr, SENDFILE | SPLICE)
}

#[inline(always)]
fn message_copied(bytes: u64) {
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current_or_adopt() } {
        let acc = if user_message(task) {
            Acc::FromUser
        } else {
            Acc::SinkCopy
        };
        account::saw_in(task, acc, bytes);
    }
}

program! {
    /// UDP and raw sockets: payload into a packet, once for each fragment.
    fexit marked ip_generic_getfrag(ctx) {
        let length: i32 = ctx.arg(3);
        if returned_int(ctx) == 0 && length > 0 {
            message_copied(length as u64);
        }
    }
}

program! {
    /// Unix sockets.
    fexit marked skb_copy_datagram_from_iter(ctx) {
        let length: i32 = ctx.arg(3);
        if returned_int(ctx) == 0 && length > 0 {
            message_copied(length as u64);
        }
    }
}

program! {
    /// TCP: the accepted bytes were copied, unless the pages could be referenced. The flags are only a request: without
    /// scatter-gather on the route the kernel copies at once, under the same conditions as in `tcp_sendmsg_locked`.
    fexit marked tcp_sendmsg_locked(ctx) {
        let bytes = returned_int(ctx);
        if bytes <= 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        let sock: *const u8 = ctx.arg(0);
        let message: *const u8 = ctx.arg(1);
        let flags: u32 = Typed::load(message, offset!(msghdr_flags));
        if flags & MSG_SPLICE_PAGES != 0 && (has_ulp(sock) || is_in_sockmap(sock)) {
            forget_references(task);
            return 0;
        }
        if flags & (MSG_SPLICE_PAGES | MSG_ZEROCOPY) != 0 && references(sock, message, flags) {
            return 0;
        }
        let acc = match file::of_type(Typed::load::<u8>(message, offset!(msghdr_iter_type))) {
            Memory::User => Acc::FromUser,
            _ => Acc::SinkCopy,
        };
        account::saw_in(task, acc, bytes as u64);
    }
}

program! {
    /// MPTCP copies whatever it is given, and passes its own pages to TCP. With `MSG_FASTOPEN` TCP sends the first
    /// packet and has already counted it.
    fexit marked mptcp_sendmsg(ctx) {
        const MSG_FASTOPEN: u32 = 0x2000_0000;
        let bytes = returned_int(ctx);
        if bytes <= 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        let message: *const u8 = ctx.arg(1);
        let acc = match file::of_type(Typed::load::<u8>(message, offset!(msghdr_iter_type))) {
            Memory::User => Acc::FromUser,
            _ => Acc::SinkCopy,
        };
        if Typed::load::<u32>(message, offset!(msghdr_flags)) & MSG_FASTOPEN != 0 {
            account::forget(task, acc);
        }
        account::saw_in(task, acc, bytes as u64);
    }
}

program! {
    /// Messages that a BPF program of a sockmap has put into the receiver's queue, whatever the protocol.
    fexit marked sk_msg_recvmsg(ctx) {
        let bytes = returned_int(ctx);
        let message: *const u8 = ctx.arg(2);
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            let acc = match file::of_type(Typed::load::<u8>(message, offset!(msghdr_iter_type))) {
                Memory::User => Acc::ToUser,
                _ => Acc::SourceCopy,
            };
            account::saw_in(task, acc, bytes as u64);
        }
    }
}

/// The conditions under which `tcp_sendmsg_locked` references pages.
#[inline(always)]
fn references(sock: *const u8, message: *const u8, flags: u32) -> bool {
    if Typed::load::<u64>(sock, offset!(sock_route_caps)) & NETIF_F_SG == 0 {
        return false;
    }
    if flags & MSG_ZEROCOPY == 0 {
        return true;
    }
    let own = offset!(msghdr_ubuf);
    if own != ABSENT && Probed::load::<u64>(message, own) != 0 {
        return true;
    }
    let sock_flags: u64 = Probed::load(sock, offset!(sock_flags));
    (sock_flags >> offset!(bit_sock_zerocopy)) & 1 != 0
}

/// Whether another protocol, such as TLS, sits on a TCP socket.
#[inline(always)]
fn has_ulp(sock: *const u8) -> bool {
    offset!(sock_ulp) != ABSENT && Probed::load::<u64>(sock, offset!(sock_ulp)) != 0
}

/// Whether a socket is or was in a sockmap. What its SK_MSG program was given then comes here in pages of the kernel
/// (`sk_msg`), which are not the operation's: the message was copied into them, or `bpf_msg_pull_data` copied it again.
#[inline(always)]
fn is_in_sockmap(sock: *const u8) -> bool {
    const SK_USER_DATA_PSOCK: u64 = 4;
    offset!(sock_user_data) != ABSENT
        && Probed::load::<u64>(sock, offset!(sock_user_data)) & SK_USER_DATA_PSOCK != 0
}

/// An SK_MSG program has had its message moved into other pages, and at most `bytes` of it copied for that. They are
/// counted as copied again. What was taken by `sendfile` explains nothing then.
#[inline(always)]
fn copied_again(result: i64, bytes: u32) {
    if result != 0 {
        return;
    }
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current_or_adopt() } {
        account::forget(task, Acc::SinkCopy);
        late::count_unowned(Place::SentAgain as u32, bytes.into());
    }
}

program! {
    /// A part of a message in one piece.
    fexit marked bpf_msg_pull_data(ctx) {
        let (start, end): (u64, u64) = (ctx.arg(1), ctx.arg(2));
        copied_again(returned_int(ctx), (end as u32).saturating_sub(start as u32));
    }
}

program! {
    /// Room within a message. It divides one of its pieces, of a size that is not known here.
    fexit marked bpf_msg_push_data(ctx) {
        let message: u64 = ctx.arg(0);
        let size: u32 = Probed::load(message as *const u8, offset!(sk_msg_size));
        copied_again(returned_int(ctx), size);
    }
}

/// The referenced pages belong to another protocol, not to the operation.
#[inline(always)]
fn forget_references(task: &mut Task) {
    account::forget(task, Acc::SinkRef);
}

program! {
    /// TCP before 6.5.
    fexit marked do_tcp_sendpages(ctx) {
        let bytes = returned_int(ctx);
        if bytes <= 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        let sock: *const u8 = ctx.arg(0);
        if has_ulp(sock) || is_in_sockmap(sock) {
            forget_references(task);
        } else {
            account::saw_in(task, Acc::SinkRef, bytes as u64);
        }
    }
}

/// A program for a function that takes references to pages and returns their size.
macro_rules! referencer {
    ($($name:ident)+) => {
        $(program! {
            fexit marked $name(ctx) {
                account::saw_result(Acc::SinkRef, returned_int(ctx));
            }
        })+
    };
}

referencer! { skb_splice_from_iter unix_stream_sendpage }

program! {
    /// Moves packets from a socket into a pipe. Pages go by reference. The linear part of a packet is copied
    /// (`linear_to_page`) unless it is a page fragment that nobody else holds (`skb_head_is_locked`). Packets that GRO
    /// chained to it have linear parts of their own.
    fexit marked skb_splice_bits(ctx) {
        let bytes = returned(ctx) as i32;
        if bytes <= 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        let skb: *const u8 = ctx.arg(0);
        let start: u32 = ctx.arg(2);
        let bytes = bytes as u32;
        let in_head = linear::<Typed>(skb).saturating_sub(start);
        let in_head = if in_head < bytes { in_head } else { bytes };
        let mut copied = 0;
        let mut known = bytes;
        if in_head != 0 && head_is_locked::<Typed>(skb) {
            copied = in_head;
        }
        if in_head != bytes {
            let chain = frag_list::<Typed>(skb);
            if chain != 0 {
                let length = Typed::load(skb, offset!(skb_len));
                match copied_of_chained(chain, length, start, bytes) {
                    UNKNOWN => known = in_head,
                    of_chained => copied += of_chained as u32,
                }
            }
        }
        if copied != 0 {
            account::saw_in(task, Acc::SourceCopy, u64::from(copied));
        }
        if known > copied {
            account::saw_in(task, Acc::SourceRef, u64::from(known - copied));
        }
    }
}

/// What [`copied_of_chained`] returns where it does not know.
const UNKNOWN: u64 = u64::MAX;

global! {
    /// How many of the `bytes` at `start` in a packet of this length, with this chain, are in linear parts of chained
    /// packets, and copied.
    fn copied_of_chained(chain: u64, length: u32, start: u32, bytes: u32) -> u64 {
        /// A packet of 64 KiB from segments of 1448 bytes has 45.
        const MOST: u32 = 64;
        let mut of_chained: u32 = 0;
        let mut packet = chain;
        let mut i = 0;
        while i < MOST && packet != 0 {
            of_chained += Probed::load::<u32>(packet as *const u8, offset!(skb_len));
            packet = Probed::load(packet as *const u8, offset!(skb_next));
            i += 1;
        }
        if packet != 0 || of_chained > length {
            return UNKNOWN;
        }
        let end = start + bytes;
        // They come after the first packet's own bytes.
        let mut at = length - of_chained;
        let mut copied: u32 = 0;
        packet = chain;
        i = 0;
        while i < MOST && packet != 0 && at < end {
            let of_packet = copied_of_packet(packet, at, start, end);
            if of_packet == UNKNOWN {
                return UNKNOWN;
            }
            copied += of_packet as u32;
            at += Probed::load::<u32>(packet as *const u8, offset!(skb_len));
            packet = Probed::load(packet as *const u8, offset!(skb_next));
            i += 1;
        }
        if at < end { UNKNOWN } else { copied.into() }
    }
}

global! {
    /// How many of the bytes from `start` to `end` are in the linear part of a chained packet that begins at `at`, and
    /// copied.
    fn copied_of_packet(packet: u64, at: u32, start: u32, end: u32) -> u64 {
        let packet = packet as *const u8;
        let linear_end = at + linear::<Probed>(packet);
        let to = if linear_end < end { linear_end } else { end };
        let from = if at > start { at } else { start };
        // GRO makes none that has others chained to it. Stream parsers do.
        if frag_list::<Probed>(packet) != 0 {
            UNKNOWN
        } else if to > from && head_is_locked::<Probed>(packet) {
            (to - from).into()
        } else {
            0
        }
    }
}

/// The first of the packets that are chained to a packet, 0 without any.
#[inline(always)]
fn frag_list<A: Access>(skb: *const u8) -> u64 {
    Probed::load(shared_info::<A>(skb), offset!(shinfo_frag_list))
}

/// How many bytes of a packet are in its linear buffer.
#[inline(always)]
fn linear<A: Access>(skb: *const u8) -> u32 {
    A::load::<u32>(skb, offset!(skb_len)) - A::load::<u32>(skb, offset!(skb_data_len))
}

#[inline(always)]
fn head_is_locked<A: Access>(skb: *const u8) -> bool {
    const SKB_DATAREF_MASK: u32 = (1 << 16) - 1;
    if !kernel::bit(skb, offset!(skb_bit_head_frag)) {
        return true;
    }
    if !kernel::bit(skb, offset!(skb_bit_cloned)) {
        return false;
    }
    Probed::load::<u32>(shared_info::<A>(skb), offset!(shinfo_dataref)) & SKB_DATAREF_MASK != 1
}
