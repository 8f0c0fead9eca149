//! Rings of packet sockets.

use super::{Family, Probe, Proof, Role, fentry, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "packet_mmap",
        family: Family::Packet,
        role: Role::Evidence,
        ways: &[fentry("packet_mmap", "packet_mmap", &["*file"])],
        sees: "whose the ring of a packet socket is",
        lost: "the receiver on packet-socket rings that no process polls",
        ..Probe::USUAL
    },
    Probe {
        name: "packet_poll",
        family: Family::Packet,
        role: Role::Evidence,
        ways: &[fentry("packet_poll", "packet_poll", &["*file"])],
        sees: "who waits at a packet socket",
        lost: "the receiver on packet-socket rings that were there before zctrace",
        ..Probe::USUAL
    },
    Probe {
        name: "tpacket_rcv_enter",
        family: Family::Packet,
        role: Role::CopySite,
        ways: &[fentry("tpacket_rcv_enter", "tpacket_rcv", &["*sk_buff"])],
        proof: Proof::Otherwise("packets in a ring report nothing"),
        sees: "packet for the ring of a packet socket, of any process",
        lost: "what packet sockets receive through rings",
        ..Probe::USUAL
    },
    Probe {
        name: "tpacket_rcv_exit",
        family: Family::Packet,
        role: Role::Evidence,
        ways: &[fexit("tpacket_rcv_exit", "tpacket_rcv", &["*sk_buff"])],
        sees: "the end of that",
        lost: "that another copy of such a packet is none into the ring",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_copy_bits",
        family: Family::Packet,
        role: Role::CopySite,
        ways: &[fentry("skb_copy_bits", "skb_copy_bits", &["*sk_buff"])],
        proof: Proof::Otherwise("packets in a ring report nothing"),
        sees: "packet into the ring of a packet socket",
        lost: "what packet sockets receive through rings",
        ..Probe::USUAL
    },
];
