//! The device that the packets of a socket go through, and what speaks against sending them without a copy.

use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use zctrace_common::{ABSENT, DEVICE_LEN, Evidence, Mark, Task};

use crate::{
    base::{
        abi::NETIF_F_SG,
        global::global,
        kernel::{self, Access as _, Probed},
        maps::{DEVICES, offset},
    },
    book::{object::Ends, row},
};

global! {
    /// How a send with `MSG_ZEROCOPY` on a socket (any pointer) moves, as far as the socket determines it.
    pub(crate) fn of_zerocopy(sock: u64) -> u32 {
        let sock = sock as *const u8;
        let mut marks = Mark::Zerocopy as u32;
        if sock.is_null() {
            return marks;
        }
        let flags: u64 = Probed::load(sock, offset!(sock_flags));
        if (flags >> (offset!(bit_sock_zerocopy) & 63)) & 1 == 0 {
            marks |= Mark::NoSoZerocopy as u32;
        }
        marks | gathers(sock)
    }
}

/// Whether the device of a socket's route (any pointer) is known not to gather pages. An unconnected socket has no
/// route, so the device of its sends is not known. TCP's copy of the device's features (`sk_route_caps`) always has
/// scatter-gather.
#[inline(always)]
fn gathers(sock: *const u8) -> u32 {
    let device = route(sock);
    if device.is_null() || Probed::load::<u64>(device, offset!(netdev_features)) & NETIF_F_SG != 0 {
        0
    } else {
        Mark::NoScatterGather as u32
    }
}

global! {
    /// What speaks against pages on a file's socket (any pointer) leaving the machine without a copy: a device that
    /// does not gather, or a device that passes packets on to others.
    pub(crate) fn of_route(file: u64) -> u32 {
        let socket = kernel::pointer::<Probed>(file as *const u8, offset!(file_private_data));
        let sock = kernel::pointer::<Probed>(socket, offset!(socket_sk));
        if sock.is_null() {
            return 0;
        }
        let mut marks = gathers(sock);
        let device = route(sock);
        if device.is_null() {
            return marks;
        }
        let route = kernel::pointer::<Probed>(sock, offset!(sock_dst));
        let encrypts = offset!(dst_xfrm) != ABSENT
            && Probed::load::<u64>(route, offset!(dst_xfrm)) != 0;
        if encrypts || !passes_on(device) {
            marks |= Mark::CopyingRoute as u32;
        }
        marks
    }
}

/// Whether a device (any pointer) is hardware, or of a kind that is known to pass pages on unchanged. Tunnels and
/// encrypting devices are not: WireGuard, vxlan, gre, ipip, xfrm, macsec and so on.
#[inline(always)]
fn passes_on(device: *const u8) -> bool {
    if offset!(netdev_link_ops) == ABSENT || offset!(link_ops_kind) == ABSENT {
        return false;
    }
    let maker = kernel::pointer::<Probed>(device, offset!(netdev_link_ops));
    if maker.is_null() {
        return true;
    }
    let kind = kernel::pointer::<Probed>(maker, offset!(link_ops_kind));
    // Four bytes, including the final 0, distinguish the kinds that count.
    matches!(
        Probed::load::<[u8; 4]>(kind, 0),
        [b'v', b'e', b't', b'h']
            | [b'b', b'o', b'n', b'd']
            | [b't', b'e', b'a', b'm']
            | [b'v', b'l', b'a', b'n']
            | [b'b', b'r', b'i', b'd']
            | [b'm', b'a', b'c', b'v']
            | [b'i', b'p', b'v', b'l']
            | [b'v', b'r', b'f', 0]
            | [b'd', b'u', b'm', b'm']
    )
}

/// The device of a socket's cached route, null without one.
#[inline(always)]
fn route(sock: *const u8) -> *const u8 {
    let route = kernel::pointer::<Probed>(sock, offset!(sock_dst));
    if route.is_null() {
        return route;
    }
    kernel::pointer::<Probed>(route, offset!(dst_dev))
}

global! {
    /// Whether kernel TLS is on a file's socket (any pointer).
    pub(crate) fn of_ulp(file: u64) -> u32 {
        if offset!(sock_ulp) == ABSENT || offset!(ulp_name) == ABSENT {
            return 0;
        }
        let socket = kernel::pointer::<Probed>(file as *const u8, offset!(file_private_data));
        let sock = kernel::pointer::<Probed>(socket, offset!(socket_sk));
        let ulp = kernel::pointer::<Probed>(sock, offset!(sock_ulp));
        if ulp.is_null() {
            return 0;
        }
        match Probed::load::<[u8; 4]>(ulp, offset!(ulp_name)) {
            [b't', b'l', b's', 0] => Mark::Tls as u32,
            _ => 0,
        }
    }
}

/// Notes the device of these sends in their row, if something speaks against it.
#[inline(always)]
pub(crate) fn note_route(task: &mut Task, op: u16, evidence: Evidence, ends: &Ends, sock: u64) {
    const AGAINST: u8 = Mark::NoScatterGather as u8 | Mark::CopyingRoute as u8;
    if ends.marks & AGAINST != 0
        && let Some(slot) = row::row_slot(task, op, evidence, ends)
    {
        note_device(slot, route(sock as *const u8) as u64);
    }
}

global! {
    /// Notes the name of a `struct net_device` (any pointer) for a row; the last one stays.
    pub(crate) fn note_device(slot: u32, device: u64) -> u32 {
        if device == 0 || offset!(netdev_name) == ABSENT {
            return 0;
        }
        let Some(name) = DEVICES.get_ptr_mut(slot) else {
            return 0;
        };
        let source = (device as *const u8).wrapping_add(offset!(netdev_name) as usize);
        // SAFETY: a map value; the helper writes at most its length and checks the source.
        unsafe {
            let name: &mut [u8; DEVICE_LEN] = &mut *name;
            let _ = bpf_probe_read_kernel_str_bytes(source, name);
        }
        0
    }
}
