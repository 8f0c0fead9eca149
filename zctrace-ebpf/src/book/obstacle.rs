//! What on the way of packets may copy the pages in them, apart from the devices: queues, filters, hooks and rings.
//!
//! A number says what was found: the address of a C string for its kind, shifted by 16, and the [`Obstacle`], shifted by
//! 8. The low bits are free for marks. The strings are parts of static structures of the kernel or its modules, whose
//! addresses begin with 16 set bits.

use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use zctrace_common::{ABSENT, Obstacle, OnRoute};

use crate::base::{
    abi::AF_INET,
    global::global,
    kernel::{self, Access as _, Probed},
    maps::{OBSTACLES, offset},
};

/// An obstacle without a kind.
#[inline(always)]
pub(crate) const fn found(obstacle: Obstacle) -> u64 {
    (obstacle as u64) << 8
}

/// An obstacle with the name of its kind (any pointer).
#[inline(always)]
pub(crate) fn found_kind(obstacle: Obstacle, kind: *const u8) -> u64 {
    (kind as u64) << 16 | found(obstacle)
}

/// A kind of queues, as `Qdisc_ops.id` has it.
const fn id(name: &[u8]) -> [u64; 2] {
    let mut bytes = [[0; 8]; 2];
    let mut at = 0;
    while at < name.len() {
        bytes[at / 8][at % 8] = name[at];
        at += 1;
    }
    [u64::from_ne_bytes(bytes[0]), u64::from_ne_bytes(bytes[1])]
}

/// Queues that keep packets as they are and cannot have filters.
const PLAIN: [[u64; 2]; 6] = [
    id(b"noqueue"),
    id(b"pfifo_fast"),
    id(b"pfifo"),
    id(b"bfifo"),
    id(b"fq"),
    id(b"codel"),
];
/// It can have filters, the first of which its data begins with.
const FQ_CODEL: [u64; 2] = id(b"fq_codel");
/// They have a queue for each queue to the hardware.
const OF_MANY: [[u64; 2]; 2] = [id(b"mq"), id(b"mqprio")];

/// How many of those are looked at.
const QUEUES: u32 = 64;

#[inline(always)]
fn kind_of_queue(qdisc: *const u8) -> *const u8 {
    let ops = kernel::pointer::<Probed>(qdisc, offset!(qdisc_ops));
    ops.wrapping_add(offset!(qdisc_id) as usize)
}

#[inline(always)]
fn is_among(kind: [u64; 2], kinds: &[[u64; 2]]) -> bool {
    let mut is = false;
    for one in kinds {
        is |= kind[0] == one[0] && kind[1] == one[1];
    }
    is
}

global! {
    /// The obstacle that a queue (any pointer) is. `netem` copies what it corrupts (`skb_unshare`), and others hand
    /// packets to filters, whose actions copy them or redirect them to other devices.
    fn at_queue(qdisc: u64) -> u64 {
        let qdisc = qdisc as *const u8;
        let name = kind_of_queue(qdisc);
        let kind = Probed::load::<[u64; 2]>(name, 0);
        if is_among(kind, &PLAIN) {
            return 0;
        }
        if !is_among(kind, &[FQ_CODEL]) {
            return found_kind(Obstacle::Queue, name);
        }
        if Probed::load::<u64>(qdisc, offset!(qdisc_data)) != 0 {
            return found_kind(Obstacle::QueueFilters, name);
        }
        0
    }
}

global! {
    /// The first obstacle among the queues of a device (any pointer).
    fn at_queues(device: u64) -> u64 {
        if offset!(netdev_qdisc) == ABSENT || offset!(qdisc_ops) == ABSENT
            || offset!(qdisc_id) == ABSENT || offset!(qdisc_data) == ABSENT
            || offset!(netdev_tx) == ABSENT || offset!(netdev_tx_number) == ABSENT
            || offset!(tx_qdisc) == ABSENT || offset!(tx_size) == ABSENT
        {
            return found(Obstacle::Unknown);
        }
        let device = device as *const u8;
        let root = kernel::pointer::<Probed>(device, offset!(netdev_qdisc));
        let name = kind_of_queue(root);
        if !is_among(Probed::load::<[u64; 2]>(name, 0), &OF_MANY) {
            return at_queue(root as u64);
        }
        let number: u32 = Probed::load(device, offset!(netdev_tx_number));
        if number > QUEUES {
            return found_kind(Obstacle::Queue, name);
        }
        let mut tx = kernel::pointer::<Probed>(device, offset!(netdev_tx));
        for index in 0..QUEUES {
            if index >= number {
                break;
            }
            let met = at_queue(kernel::pointer::<Probed>(tx, offset!(tx_qdisc)) as u64);
            if met != 0 {
                return met;
            }
            tx = tx.wrapping_add(offset!(tx_size) as usize);
        }
        0
    }
}

/// Whether what leaves by a device (any pointer) arrives on this machine.
#[inline(always)]
pub(crate) fn arrives(device: *const u8) -> bool {
    const IFF_LOOPBACK: u32 = 8;
    Probed::load::<u32>(device, offset!(netdev_flags)) & IFF_LOOPBACK != 0
}

/// Whether a pointer of a device is set. A kernel without it has none of what it points to.
#[inline(always)]
fn has(device: *const u8, offset: u32) -> bool {
    offset != ABSENT && Probed::load::<u64>(device, offset) != 0
}

/// The first obstacle at a device (any pointer): its queues, filters, hooks, and rings of packet sockets in its
/// network namespace. A receiver of packets from loopback is not looked at, because it copies for itself.
#[inline(always)]
pub(crate) fn at_device(device: u64) -> u64 {
    let met = at_queues(device);
    if met != 0 {
        return met;
    }
    let device = device as *const u8;
    if offset!(netdev_flags) == ABSENT || offset!(netdev_net) == ABSENT {
        return found(Obstacle::Unknown);
    }
    if has(device, offset!(netdev_egress)) {
        return found(Obstacle::Filters);
    }
    if has(device, offset!(netdev_hooks_egress)) {
        return found(Obstacle::Netfilter);
    }
    if arrives(device) {
        if has(device, offset!(netdev_xdp)) {
            return found(Obstacle::Xdp);
        }
        if has(device, offset!(netdev_ingress)) {
            return found(Obstacle::Filters);
        }
        if has(device, offset!(netdev_hooks_ingress)) {
            return found(Obstacle::Netfilter);
        }
    }
    let net = kernel::pointer::<Probed>(device, offset!(netdev_net)) as u64;
    let met = at_bridge(device, net);
    if met != 0 {
        return met;
    }
    packet_rings(net)
}

/// How many packet sockets of a network namespace are looked at.
const PACKET_SOCKETS: u32 = 16;

global! {
    /// Whether a packet socket of a network namespace (any pointer) has a ring: `tpacket_rcv` copies each packet into it.
    /// One without a ring holds references until its reader copies.
    fn packet_rings(net: u64) -> u64 {
        if offset!(net_packet_sockets) == ABSENT {
            return 0;
        }
        let mut node = kernel::pointer::<Probed>(net as *const u8, offset!(net_packet_sockets));
        for _ in 0..PACKET_SOCKETS {
            if node.is_null() {
                return 0;
            }
            let sock = node.wrapping_sub(offset!(sock_node) as usize);
            if offset!(packet_ring) == ABSENT || has(sock, offset!(packet_ring)) {
                return found(Obstacle::PacketRing);
            }
            node = kernel::pointer::<Probed>(node, 0);
        }
        found(Obstacle::PacketRing)
    }
}

/// How many hooks at one place are looked at.
const HOOKS: u32 = 8;

global! {
    /// Whether hooks of netfilter (`nf_hook_entries`, any pointer) are others than those of connection tracking and of
    /// security modules, which only look at headers. Those have priorities of their own: `NF_IP_PRI_CONNTRACK_DEFRAG`,
    /// `NF_IP_PRI_CONNTRACK` and `NF_IP_PRI_CONNTRACK_CONFIRM`; `NF_IP_PRI_SELINUX_FIRST` and `NF_IP_PRI_SELINUX_LAST`,
    /// which AppArmor and Smack use too. AppArmor's are in every network namespace.
    fn hooks(entries: u64) -> u64 {
        let entries = entries as *const u8;
        if entries.is_null() {
            return 0;
        }
        if offset!(hooks_number) == ABSENT || offset!(hooks_all) == ABSENT
            || offset!(hook_maker) == ABSENT || offset!(hook_priority) == ABSENT
        {
            return found(Obstacle::Netfilter);
        }
        let number: u16 = Probed::load(entries, offset!(hooks_number));
        // A function and its data for each hook.
        let mut at = entries
            .wrapping_add(offset!(hooks_all) as usize)
            .wrapping_add(usize::from(number) * 16);
        for index in 0..HOOKS {
            if index >= u32::from(number) {
                return 0;
            }
            let hook = kernel::pointer::<Probed>(at, 0);
            let maker: u8 = Probed::load(hook, offset!(hook_maker));
            let priority: i32 = Probed::load(hook, offset!(hook_priority));
            if hook.is_null() || maker != 0 || !matches!(priority, -400 | -225 | -200 | 225 | i32::MAX) {
                return found(Obstacle::Netfilter);
            }
            at = at.wrapping_add(8);
        }
        found(Obstacle::Netfilter)
    }
}

/// Those at one place of several.
#[inline(always)]
fn hooks_at(net: u64, places: u32, place: u32) -> u64 {
    hooks(kernel::pointer::<Probed>(net as *const u8, places + 8 * place) as u64)
}

/// The obstacle of packets that a device bridges, if it is a bridge.
#[inline(always)]
fn at_bridge(device: *const u8, net: u64) -> u64 {
    let maker = kernel::pointer::<Probed>(device, offset!(netdev_link_ops));
    let kind = kernel::pointer::<Probed>(maker, offset!(link_ops_kind));
    if offset!(net_hooks_bridge) == ABSENT || Probed::load::<[u8; 4]>(kind, 0) != *b"brid" {
        return 0;
    }
    let mut met = 0;
    for place in 0..5 {
        met |= hooks_at(net, offset!(net_hooks_bridge), place);
    }
    met
}

global! {
    /// The obstacles of packets of a socket (any pointer) of this family: hooks of its network namespace. `arrives` is
    /// not 0 if they arrive on this machine.
    pub(crate) fn at_socket(sock: u64, family: u32, arrives: u32) -> u64 {
        const PRE_ROUTING: u32 = 0;
        const LOCAL_IN: u32 = 1;
        const LOCAL_OUT: u32 = 3;
        const POST_ROUTING: u32 = 4;
        if offset!(sock_net) == ABSENT {
            return found(Obstacle::Unknown);
        }
        let net = kernel::pointer::<Probed>(sock as *const u8, offset!(sock_net)) as u64;
        let mut met = 0;
        for place in [PRE_ROUTING, LOCAL_IN, LOCAL_OUT, POST_ROUTING] {
            if place < LOCAL_OUT && arrives == 0 {
                continue;
            }
            // A socket of IPv6 can send IPv4.
            if offset!(net_hooks_ipv4) != ABSENT {
                met |= hooks_at(net, offset!(net_hooks_ipv4), place);
            }
            if offset!(net_hooks_ipv6) != ABSENT && family != u32::from(AF_INET) {
                met |= hooks_at(net, offset!(net_hooks_ipv6), place);
            }
        }
        met
    }
}

global! {
    /// Notes in a row what was found first.
    pub(crate) fn note(slot: u32, met: u64) -> u32 {
        if met == 0 {
            return 0;
        }
        let Some(record) = OBSTACLES.get_ptr_mut(slot) else {
            return 0;
        };
        // SAFETY: a map value; another thread that writes it at the same time has the same row.
        let record: &mut OnRoute = unsafe { &mut *record };
        if record.obstacle != 0 {
            return 0;
        }
        let kind = (met >> 16 | 0xffff << 48) as *const u8;
        if met >> 16 != 0 {
            // SAFETY: the helper writes at most the field's length and checks the source.
            let _ = unsafe { bpf_probe_read_kernel_str_bytes(kind, &mut record.kind) };
        }
        record.obstacle = (met >> 8) as u32 & 0xff;
        0
    }
}
