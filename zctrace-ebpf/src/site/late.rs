//! Copies that the network makes after the call that sent the bytes.
//!
//! A send by reference puts pages into packets, and the kernel can still copy them: for a device that cannot gather,
//! for a tunnel that encrypts, for a capture. The owner of a packet's pages is found in two ways. Pages that
//! `MSG_ZEROCOPY` borrows have a `ubuf_info` (`site/zerocopy.rs`). Pages of files and pipes, which `sendfile` and
//! `splice` pass, only mark the packet as one with shared fragments. They belong to the packet's socket, for which
//! [`LENDERS`] has the row of the last such send.
//!
//! The bytes taken out of fragments count, headers do not. The copy has no shared fragments any more, so a byte counts
//! once for each time that it is taken out of its own page: once more if it is sent again, but not if its copy is
//! copied. A packet with shared fragments can also have fragments of an ordinary send after them. Their bytes were
//! copied before, and count here too.
//!
//! A packet that has left its socket (`skb_orphan`: on the far side of a veth pair) has no owner. Copies from it count
//! for the [`Place`]. Copies from a socket of which no send by reference is known count for
//! [`Place::UnknownSender`] until one ends there: the socket may be another process's, or one that a protocol of its own
//! works with (SMC, KCM).
//!
//! What an ordinary send copied into packets can be copied again on its way as well. To find its row, every send would
//! have to leave a note. So these bytes count for [`Place::SentAgain`], whoever sent them, headers included.

use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use zctrace_common::{ABSENT, DEVICE_LEN, Early, Evidence, Lender, ObjectKind, Place, Task};

use crate::{
    base::{
        abi::NETIF_F_SG,
        atomic::{add, take},
        global::global,
        kernel::{Access, Probed, Typed, shared_info},
        loss::lost,
        maps::{DEVICES, EARLY, LATE, LENDERS, LENT, PROCS, ROWS, offset},
    },
    book::{
        object::{self, Ends},
        probe::{number, program, returned},
        route, row, twin,
    },
};

/// `SKBFL_ZEROCOPY_ENABLE`: the packet borrows pages of an application.
const SKBFL_ZEROCOPY_ENABLE: u8 = 1;
/// `SKBFL_SHARED_FRAG`: the packet has pages that others may write to.
const SKBFL_SHARED_FRAG: u8 = 2;

/// The `ubuf_info` of the pages that a packet (typed pointer) borrows, 0 if it borrows none.
#[inline(always)]
pub(crate) fn borrowed(skb: *const u8) -> u64 {
    let shared = shared_info::<Typed>(skb);
    if Probed::load::<u8>(shared, offset!(shinfo_flags)) & SKBFL_ZEROCOPY_ENABLE == 0 {
        return 0;
    }
    Probed::load(shared, offset!(shinfo_destructor_arg))
}

/// How a function copies from a packet.
#[derive(Clone, Copy)]
struct Copying {
    place: Place,
    /// Bytes that it takes out of fragments.
    of_fragments: u32,
    /// Bytes that it takes out of the packet.
    of_all: u32,
    /// Whether only packets on their way out come there. Elsewhere only one that has a socket counts as sent.
    only_sent: bool,
}

/// A function copies from a packet.
#[inline(always)]
fn copied<A: Access>(skb: *const u8, copying: Copying, id: u32, second: bool) {
    let shared = shared_info::<A>(skb);
    let flags: u8 = Probed::load(shared, offset!(shinfo_flags));
    let is_by_reference = flags & (SKBFL_ZEROCOPY_ENABLE | SKBFL_SHARED_FRAG) != 0;
    let bytes = if is_by_reference {
        copying.of_fragments
    } else if copying.only_sent || !A::pointer(skb, offset!(skb_sk)).is_null() {
        copying.of_all
    } else {
        0
    };
    if bytes == 0 || !twin::take_turn(id, second, skb as u64) {
        return;
    }
    if !is_by_reference {
        count_unowned(Place::SentAgain as u32, bytes.into());
        return;
    }
    let device: u64 = Probed::load(skb, offset!(skb_dev));
    if flags & SKBFL_ZEROCOPY_ENABLE != 0 {
        let ubuf: u64 = Probed::load(shared, offset!(shinfo_destructor_arg));
        copied_of_application(ubuf, device, bytes.into());
    } else {
        let sock: u64 = Probed::load(skb, offset!(skb_sk));
        copied_of_socket(sock, device, bytes.into(), copying.place as u32);
    }
}

/// Adds bytes to a row that were copied later, at a device (any pointer, or 0).
#[inline(always)]
fn defer(row_slot: u32, device: u64, bytes: u64) {
    if let Some(row) = ROWS.get_ptr_mut(row_slot) {
        // SAFETY: a map value, which outlives the program; aligned integers of it are used.
        unsafe { add(&raw mut (*row).deferred, bytes) };
        route::note_device(row_slot, device);
    }
}

global! {
    /// The pages of a `ubuf_info` were copied. Pages of other processes are not followed.
    fn copied_of_application(ubuf: u64, device: u64, bytes: u64) -> u32 {
        if let Some(lent) = LENT.get_ptr(ubuf) {
            // SAFETY: a map value, which outlives the program; aligned integers of it are used.
            defer(unsafe { (*lent).row_slot }, device, bytes);
        }
        0
    }
}

global! {
    /// Pages in a packet of a socket (any pointer) were copied.
    fn copied_of_socket(sock: u64, device: u64, bytes: u64, place: u32) -> u32 {
        if sock == 0 {
            count_unowned(place, bytes);
            return 0;
        }
        let ports = object::ports(sock as *const u8);
        match lender(sock, ports) {
            Found::Row(slot) => defer(slot, device, bytes),
            Found::Gone => count_unowned(place, bytes),
            Found::Nothing => {
                count_unowned(Place::UnknownSender as u32, bytes);
                keep_early(sock, ports, device, bytes);
                // The send can have ended between the two.
                if let Found::Row(slot) = lender(sock, ports) {
                    take_early(sock, ports, slot);
                }
            }
        }
        0
    }
}

/// The owner of the packets of a socket.
enum Found {
    /// A row of a process, which may have ended.
    Row(u32),
    /// A process that has ended, and whose rows have been read for the last time.
    Gone,
    /// No send by reference of the target has ended on this socket.
    Nothing,
}

#[inline(always)]
fn lender(sock: u64, ports: u32) -> Found {
    let Some(lender) = LENDERS.get_ptr(sock) else {
        return Found::Nothing;
    };
    // SAFETY: map values.
    unsafe {
        if (*lender).ports != ports {
            return Found::Nothing;
        }
        match PROCS.get_ptr((*lender).proc_slot) {
            // One that has ended as well: its rows stay while its sockets have anything to send.
            Some(process) if (*process).start_ns == (*lender).start_ns => {
                Found::Row((*lender).row_slot)
            }
            _ => Found::Gone,
        }
    }
}

#[inline(always)]
pub(super) fn count_unowned(place: u32, bytes: u64) {
    if let Some(counter) = LATE.get_ptr_mut(place) {
        // SAFETY: an integer of a map value.
        unsafe { add(counter, bytes) };
    }
}

/// Keeps the bytes that were copied from the packets of a socket until the current send ends. They are counted for
/// [`Place::UnknownSender`] before.
#[inline(always)]
fn keep_early(sock: u64, ports: u32, device: u64, bytes: u64) {
    if let Some(early) = EARLY.get_ptr_mut(sock)
        // SAFETY: a map value, which outlives the program; aligned integers of it are used.
        && unsafe { (*early).ports } == ports
    {
        // SAFETY: a map value, which outlives the program; aligned integers of it are used.
        unsafe { add(&raw mut (*early).bytes, bytes) };
        return;
    }
    let mut early = Early {
        bytes,
        ports,
        padding: 0,
        device: [0; DEVICE_LEN],
    };
    if device != 0 && offset!(netdev_name) != ABSENT {
        let name = (device as *const u8).wrapping_add(offset!(netdev_name) as usize);
        // SAFETY: the helper writes at most the length of the name and checks the source.
        unsafe {
            let _ = bpf_probe_read_kernel_str_bytes(name, &mut early.device);
        }
    }
    // Without a note they stay with the unknown sender.
    let _ = EARLY.insert(sock, early, 0);
}

/// Adds bytes to a row that were copied from a socket's packets before the row was known.
#[inline(always)]
fn take_early(sock: u64, ports: u32, row_slot: u32) {
    let Some(early) = EARLY.get_ptr_mut(sock) else {
        return;
    };
    // SAFETY: a map value, which outlives the program; aligned integers of it are used.
    if unsafe { (*early).ports } != ports {
        return;
    }
    // SAFETY: an aligned field of a map value.
    let bytes = unsafe { take(&raw mut (*early).bytes) };
    if bytes == 0 {
        return;
    }
    defer(row_slot, 0, bytes);
    count_unowned(Place::UnknownSender as u32, bytes.wrapping_neg());
    // SAFETY: a map value, which outlives the program; aligned integers of it are used.
    if unsafe { (*early).device[0] } != 0
        && let Some(name) = DEVICES.get_ptr_mut(row_slot)
    {
        // SAFETY: map values.
        unsafe { *name = (*early).device };
    }
}

/// A call that sends pages of files or pipes has ended, if its sink is a socket that sends packets. Its row gets the
/// later copies of these pages, and the copies within the call.
#[inline(always)]
pub(crate) fn note_lender(task: &mut Task, op: u16, ends: &Ends) {
    if !object::is(ends.sink, ObjectKind::Tcp) && !object::is(ends.sink, ObjectKind::Udp) {
        return;
    }
    let ports = object::ports(task.sock as *const u8);
    // With a dimension the row is not the one that the thread's record caches.
    if task.lender == task.sock
        && task.lender_ports == ports
        && task.lender_slot == task.cached[0].slot
        && ends.dimension == 0
    {
        return;
    }
    if let Some(row_slot) = row::row_slot(task, op, Evidence::Measured, ends) {
        remember(task, ports, row_slot);
    }
}

#[inline(never)]
fn remember(task: &mut Task, ports: u32, row_slot: u32) {
    let Some(process) = PROCS.get_ptr(task.proc_slot) else {
        return;
    };
    let lender = Lender {
        // SAFETY: a map value, which outlives the program; aligned integers of it are used.
        start_ns: unsafe { (*process).start_ns },
        row_slot,
        proc_slot: task.proc_slot,
        ports,
        padding: 0,
    };
    let sock = task.sock;
    if LENDERS.insert(sock, lender, 0).is_err() {
        lost();
        return;
    }
    take_early(sock, ports, row_slot);
    task.lender = sock;
    task.lender_ports = ports;
    task.lender_slot = row_slot;
}

/// All of a packet.
#[inline(always)]
fn whole<A: Access>(skb: *const u8, place: Place) -> Copying {
    Copying {
        place,
        of_fragments: A::load(skb, offset!(skb_data_len)),
        of_all: A::load(skb, offset!(skb_len)),
        only_sent: false,
    }
}

/// A program for a function `f(skb, …)` that copies a packet.
macro_rules! copier {
    ($($(#[$meta:meta])* $name:ident: $place:ident;)+) => {
        $(program! {
            $(#[$meta])*
            fentry anywhere $name(ctx, id, second) {
                let skb: *const u8 = ctx.arg(0);
                copied::<Typed>(skb, whole::<Typed>(skb, Place::$place), id, second);
            }
        })+
    };
}

copier! {
    /// Runs before a packet with borrowed pages reaches a receiver on this machine or a capture, or before its copy
    /// reaches the reader of a timestamp. It is probed at its entry, because at its end the `ubuf_info` can be gone.
    skb_copy_ubufs: CopyBorrowed;
    skb_copy: Copy;
    skb_copy_expand: CopyExpand;
}

program! {
    /// Copies some of a packet's fragments, or all for a device without scatter-gather, into its linear buffer.
    fentry anywhere pskb_pull_tail(ctx, id, second) {
        let skb: *const u8 = ctx.arg(0);
        let wanted: u32 = ctx.arg(1);
        let there: u32 = Typed::load(skb, offset!(skb_data_len));
        let bytes = if wanted < there { wanted } else { there };
        let copying = Copying {
            place: Place::Pull,
            of_fragments: bytes,
            of_all: bytes,
            only_sent: false,
        };
        copied::<Typed>(skb, copying, id, second);
    }
}

program! {
    /// Segments a packet into smaller ones. They refer to its fragments if the requested features include
    /// scatter-gather; otherwise they are copies.
    fentry anywhere skb_segment(ctx, id, second) {
        let features: u64 = ctx.arg(1);
        if features & NETIF_F_SG != 0 {
            return 0;
        }
        let skb: *const u8 = ctx.arg(0);
        let copying = Copying {
            only_sent: true,
            ..whole::<Typed>(skb, Place::Segment)
        };
        copied::<Typed>(skb, copying, id, second);
    }
}

/// A program for a function `f(skb, state)` that returns the next fragment of an IP packet, a copy.
macro_rules! fragmenter {
    ($($(#[$meta:meta])* $name:ident: $position:ident;)+) => {
        $(program! {
            $(#[$meta])*
            fexit anywhere $name(ctx, id, second) {
                let fragment = returned(ctx) as *const u8;
                // Past its header. An error is not readable, and reads as 0.
                let start: u16 = Probed::load(fragment, offset!(skb_transport_header));
                let header: u16 = Probed::load(fragment, offset!(skb_network_header));
                let length: u32 = Probed::load(fragment, offset!(skb_len));
                let bytes = length.saturating_sub(u32::from(start.saturating_sub(header)));
                let skb: *const u8 = ctx.arg(0);
                let linear = Typed::load::<u32>(skb, offset!(skb_len))
                    - Typed::load::<u32>(skb, offset!(skb_data_len));
                // Where the next fragment begins.
                let end: u32 = Typed::load(ctx.arg(1), offset!($position));
                let of_pages = end.saturating_sub(linear);
                let copying = Copying {
                    place: Place::Fragment,
                    of_fragments: if of_pages < bytes { of_pages } else { bytes },
                    of_all: bytes,
                    only_sent: true,
                };
                copied::<Typed>(skb, copying, id, second);
            }
        })+
    };
}

fragmenter! {
    /// For a device that takes smaller packets, if the packet is not in suitable pieces already. One with pages of others
    /// is made linear before, unless its checksum is there (`skb_checksum_help`).
    ip_frag_next: ip_frag_position;
    /// The same for IPv6.
    ip6_frag_next: ip6_frag_position;
}

program! {
    /// Gives an XDP program a packet of its own, in pages that it may change.
    fentry anywhere skb_pp_cow_data(ctx, id, second) {
        // A pointer to a pointer, which the verifier does not let a program read.
        let place: u64 = number(ctx, 1);
        let skb = Probed::load::<u64>(place as *const u8, 0) as *const u8;
        copied::<Probed>(skb, whole::<Probed>(skb, Place::CopyForXdp), id, second);
    }
}
