//! The device that the packets of a socket go through, and what speaks against sending them without a copy.

use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use zctrace_common::{ABSENT, DEVICE_LEN, Evidence, Mark, Obstacle, Task};

use crate::{
    base::{
        abi::{AF_INET, NETIF_F_HW_CSUM, NETIF_F_IP_CSUM, NETIF_F_IPV6_CSUM, NETIF_F_SG},
        global::global,
        kernel::{self, Access as _, Probed},
        maps::{DEVICES, offset},
    },
    book::{object::Ends, obstacle, row},
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
    /// What speaks against pages on a file's socket (any pointer) leaving the machine without a copy: marks, and the
    /// first obstacle that was found on the route (`obstacle::found`).
    pub(crate) fn of_route(file: u64) -> u64 {
        let socket = kernel::pointer::<Probed>(file as *const u8, offset!(file_private_data));
        let sock = kernel::pointer::<Probed>(socket, offset!(socket_sk));
        let device = route(sock);
        if sock.is_null() {
            return 0;
        }
        let met = if !is_established(sock) {
            obstacle::found(Obstacle::NotEstablished)
        } else if device.is_null() || is_old(sock) {
            obstacle::found(Obstacle::OldRoute)
        } else {
            way_out(sock as u64, device as u64)
        };
        if met == 0 {
            return 0;
        }
        met | u64::from(gathers(sock) | Mark::CopyingRoute as u32)
    }
}

/// Whether a TCP socket (any pointer) puts pages into packets at all.
#[inline(always)]
fn is_established(sock: *const u8) -> bool {
    const TCP_ESTABLISHED: u8 = 1;
    const TCP_CLOSE_WAIT: u8 = 8;
    let state: u8 = Probed::load(sock, offset!(sock_state));
    let under_repair = offset!(tcp_repair) == ABSENT || kernel::bit(sock, offset!(tcp_repair));
    matches!(state, TCP_ESTABLISHED | TCP_CLOSE_WAIT) && !under_repair
}

/// Whether the route of a socket of IPv4 (any pointer) was made before routes or policies changed (`rt_is_expired`).
#[inline(always)]
fn is_old(sock: *const u8) -> bool {
    if Probed::load::<u16>(sock, offset!(sock_family)) != AF_INET {
        return false;
    }
    if offset!(route_generation) == ABSENT || offset!(net_route_generation) == ABSENT {
        return true;
    }
    let route = kernel::pointer::<Probed>(sock, offset!(sock_dst));
    let net = kernel::pointer::<Probed>(sock, offset!(sock_net));
    let made: u32 = Probed::load(route, offset!(route_generation));
    made != Probed::load::<u32>(net, offset!(net_route_generation))
}

/// The first obstacle of a socket's packets (any pointer) that leave by a device (any pointer).
#[inline(always)]
fn way_out(sock: u64, device: u64) -> u64 {
    let route = kernel::pointer::<Probed>(sock as *const u8, offset!(sock_dst));
    if offset!(dst_xfrm) != ABSENT && Probed::load::<u64>(route, offset!(dst_xfrm)) != 0 {
        return obstacle::found(Obstacle::Ipsec);
    }
    if offset!(dst_tunnel) != ABSENT && Probed::load::<u64>(route, offset!(dst_tunnel)) != 0 {
        return obstacle::found(Obstacle::Encapsulation);
    }
    if is_in_vrf(device as *const u8) {
        return obstacle::found(Obstacle::Encapsulation);
    }
    let family = Probed::load::<u16>(sock as *const u8, offset!(sock_family));
    let met = may_copy(device, family.into());
    if met != 0 {
        return met;
    }
    let arrives = u32::from(obstacle::arrives(device as *const u8));
    obstacle::at_socket(sock, family.into(), arrives)
}

/// What [`fate`] says where the devices below decide.
const BELOW_DECIDES: u64 = 1;

global! {
    /// The fate of pages at a device (any pointer), in packets of sockets of this family: 0 where they stay as they are,
    /// [`BELOW_DECIDES`], or an obstacle. They stay where the device is hardware or loopback, or throws them away.
    /// Without scatter-gather the kernel copies them. Without an offload for checksums it does so too: shared fragments
    /// are made linear to be summed (`skb_checksum_help`, `skb_segment`). A veth pair leads to another network namespace,
    /// which can route packets to anywhere. Tunnels and encrypting devices are not known either: WireGuard, vxlan, gre,
    /// ipip, xfrm, macsec and so on.
    fn fate(device: u64, family: u32) -> u64 {
        let device = device as *const u8;
        if device.is_null() || offset!(netdev_link_ops) == ABSENT || offset!(link_ops_kind) == ABSENT {
            return obstacle::found(Obstacle::Unknown);
        }
        let maker = kernel::pointer::<Probed>(device, offset!(netdev_link_ops));
        let kind = kernel::pointer::<Probed>(maker, offset!(link_ops_kind));
        // Four bytes, including the final 0, distinguish the kinds that count.
        let decides = match Probed::load::<[u8; 4]>(kind, 0) {
            _ if maker.is_null() => 0,
            [b'd', b'u', b'm', b'm'] => 0,
            [b'b', b'o', b'n', b'd']
            | [b't', b'e', b'a', b'm']
            | [b'v', b'l', b'a', b'n']
            | [b'b', b'r', b'i', b'd'] => BELOW_DECIDES,
            // They hand packets to one another.
            [b'm', b'a', b'c', b'v'] | [b'i', b'p', b'v', b'l'] => {
                if !is_alone(device) {
                    return obstacle::found(Obstacle::Beside);
                }
                BELOW_DECIDES
            }
            _ => return obstacle::found_kind(Obstacle::Device, kind),
        };
        let features: u64 = Probed::load(device, offset!(netdev_features));
        // A socket of IPv6 can send IPv4.
        let sums = if family == u32::from(AF_INET) {
            NETIF_F_IP_CSUM
        } else {
            NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM
        };
        if features & NETIF_F_SG == 0 {
            return obstacle::found(Obstacle::NoScatterGather);
        }
        if features & NETIF_F_HW_CSUM == 0 && features & sums != sums {
            return obstacle::found(Obstacle::NoChecksums);
        }
        let met = obstacle::at_device(device as u64);
        if met != 0 {
            return met;
        }
        decides
    }
}

/// How many devices below another one are looked at.
const BELOW: usize = 8;

/// The first obstacle at the devices directly below a device (any pointer). The features of the upper one do not tell: it
/// has scatter-gather if one of those below has it (`netdev_increment_features`).
#[inline(always)]
fn first_below(device: *const u8, met: impl Fn(u64) -> u64) -> u64 {
    if offset!(netdev_lower) == ABSENT {
        return obstacle::found(Obstacle::Unknown);
    }
    let head = device.wrapping_add(offset!(netdev_lower) as usize);
    let mut node = kernel::pointer::<Probed>(head, 0);
    for _ in 0..BELOW {
        if node == head {
            return 0;
        }
        let met = met(adjacent(node) as u64);
        if met != 0 {
            return met;
        }
        node = kernel::pointer::<Probed>(node, 0);
    }
    obstacle::found(Obstacle::Beside)
}

/// The device of a place in a list of adjacent ones.
#[inline(always)]
fn adjacent(node: *const u8) -> *const u8 {
    let adjacent = node.wrapping_sub(offset!(adjacent_list) as usize);
    kernel::pointer::<Probed>(adjacent, offset!(adjacent_dev))
}

/// Whether packets to a device (any pointer) go through a device for a routing domain first (`l3mdev_l3_out`).
#[inline(always)]
fn is_in_vrf(device: *const u8) -> bool {
    if offset!(netdev_upper) == ABSENT {
        return false;
    }
    let head = device.wrapping_add(offset!(netdev_upper) as usize);
    let mut node = kernel::pointer::<Probed>(head, 0);
    for _ in 0..BELOW {
        if node == head {
            return false;
        }
        let maker = kernel::pointer::<Probed>(adjacent(node), offset!(netdev_link_ops));
        let kind = kernel::pointer::<Probed>(maker, offset!(link_ops_kind));
        if Probed::load::<[u8; 4]>(kind, 0) == *b"vrf\0" {
            return true;
        }
        node = kernel::pointer::<Probed>(node, 0);
    }
    true
}

/// Whether a device (any pointer) is the only one above the one below it.
#[inline(always)]
fn is_alone(device: *const u8) -> bool {
    if offset!(netdev_lower) == ABSENT || offset!(netdev_upper) == ABSENT {
        return false;
    }
    let below = kernel::pointer::<Probed>(device, offset!(netdev_lower));
    let head = adjacent(below).wrapping_add(offset!(netdev_upper) as usize);
    let first = kernel::pointer::<Probed>(head, 0);
    kernel::pointer::<Probed>(first, 0) == head
}

global! {
    /// The first obstacle at a device (any pointer), or below it: bridges of bonds and the like.
    fn may_copy(device: u64, family: u32) -> u64 {
        match fate(device, family) {
            BELOW_DECIDES => {
                first_below(device as *const u8, |lower| match fate(lower, family) {
                    BELOW_DECIDES => may_copy_below(lower, family),
                    met => met,
                })
            }
            met => met,
        }
    }
}

global! {
    /// The same of devices below a device (any pointer), without those below them in turn.
    fn may_copy_below(device: u64, family: u32) -> u64 {
        first_below(device as *const u8, |lower| match fate(lower, family) {
            BELOW_DECIDES => obstacle::found(Obstacle::Beside),
            met => met,
        })
    }
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

/// Notes the device of these sends in their row, if something speaks against it: what `of_route` found.
#[inline(always)]
pub(crate) fn note_route(
    task: &mut Task,
    op: u16,
    evidence: Evidence,
    ends: &Ends,
    sock: u64,
    met: u64,
) {
    const AGAINST: u8 = Mark::NoScatterGather as u8 | Mark::CopyingRoute as u8;
    if ends.marks & AGAINST != 0
        && let Some(slot) = row::row_slot(task, op, evidence, ends)
    {
        note_device(slot, route(sock as *const u8) as u64);
        obstacle::note(slot, met);
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
