//! What an application asked for, and what contradicts it: see [`Claim`].

use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use zctrace_common::{ABSENT, Claim, DEVICE_LEN, Evidence, Task};

use crate::{
    account,
    direct::O_DIRECT,
    global::global,
    kernel::{self, Access, Probed},
    maps::{DEVICES, offset},
    object::{self, Ends},
};

/// `MSG_ZEROCOPY`.
pub(crate) const MSG_ZEROCOPY: u32 = 0x0400_0000;
/// `NETIF_F_SG`, bit `NETIF_F_SG_BIT`.
pub(crate) const NETIF_F_SG: u64 = 1;
/// `SPLICE_F_MOVE` and `SPLICE_F_GIFT`.
const SPLICE_F_MOVE_OR_GIFT: u32 = 0x01 | 0x08;

/// What the flags of an open file ask for. (Pipes use `O_DIRECT` for something else: the user side
/// knows.) Without a branch, so that the verifier has one path to follow.
#[inline(always)]
pub(crate) fn of_file<A: Access>(file: *const u8) -> u8 {
    let flags: u32 = A::load(file, offset!(file_flags));
    ((flags & O_DIRECT) / (O_DIRECT / Claim::Direct as u32)) as u8
}

/// What the flags of `splice` or `vmsplice` ask for.
#[inline(always)]
pub(crate) fn of_splice(flags: u32) -> u8 {
    if flags & SPLICE_F_MOVE_OR_GIFT != 0 {
        Claim::Gift as u8
    } else {
        0
    }
}

global! {
    /// What becomes of a send with `MSG_ZEROCOPY` on a socket (any pointer), as far as the socket tells.
    pub(crate) fn of_zerocopy(sock: u64) -> u32 {
        let sock = sock as *const u8;
        let mut claim = Claim::Zerocopy as u32;
        if sock.is_null() {
            return claim;
        }
        let flags: u64 = Probed::load(sock, offset!(sock_flags));
        if (flags >> (offset!(bit_sock_zerocopy) & 63)) & 1 == 0 {
            claim |= Claim::NoSoZerocopy as u32;
        }
        if !gathers(sock) {
            claim |= Claim::NoScatterGather as u32;
        }
        claim
    }
}

/// Whether the route of a socket (any pointer) takes pages. An unconnected socket has none: what
/// its sends meet is not known.
#[inline(always)]
fn gathers(sock: *const u8) -> bool {
    let device = route(sock);
    if object::is(object::of_sock(sock), zctrace_common::ObjectKind::Tcp) {
        return device.is_null()
            || Probed::load::<u64>(sock, offset!(sock_route_caps)) & NETIF_F_SG != 0;
    }
    device.is_null() || Probed::load::<u64>(device, offset!(netdev_features)) & NETIF_F_SG != 0
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
            [b't', b'l', b's', 0] => Claim::Tls as u32,
            _ => 0,
        }
    }
}

/// Notes the device that the row of these sends met: it cannot gather.
#[inline(always)]
pub(crate) fn note_route(task: &mut Task, op: u16, evidence: Evidence, ends: &Ends, sock: u64) {
    if ends.claim & Claim::NoScatterGather as u8 != 0
        && let Some(slot) = account::row_slot(task, op, evidence, ends)
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
