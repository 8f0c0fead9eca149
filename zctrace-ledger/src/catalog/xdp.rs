//! AF_XDP in copy mode.

use zctrace_common::Op;

use super::{Family, Probe, Proof, Role, fentry, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "xsk_rcv",
        family: Family::Xdp,
        role: Role::CopySite,
        ways: &[fexit("xsk_rcv", "__xsk_rcv", &["*xdp_sock"])],
        proof: Proof::Otherwise("packets in a ring report nothing"),
        sees: "packet into the memory of an AF_XDP socket",
        lost: "what AF_XDP sockets receive",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_store_bits",
        family: Family::Xdp,
        role: Role::CopySite,
        ways: &[fexit("skb_store_bits", "skb_store_bits", &["*sk_buff"])],
        proof: Proof::Unplugged(&[("xdp", &[Op::Send])]),
        sees: "packet out of the memory of an AF_XDP socket",
        lost: "how sends of AF_XDP sockets are copied",
        ..Probe::USUAL
    },
    Probe {
        name: "xsk_xmit_enter",
        family: Family::Xdp,
        role: Role::Evidence,
        ways: &[fentry("xsk_xmit_enter", "__xsk_generic_xmit", &["*sock"])],
        sees: "the beginning of a send of an AF_XDP socket",
        lost: "sends of AF_XDP sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "xsk_xmit_exit",
        family: Family::Xdp,
        role: Role::Evidence,
        ways: &[fexit("xsk_xmit_exit", "__xsk_generic_xmit", &["*sock"])],
        sees: "descriptors that a send of an AF_XDP socket has taken",
        lost: "sends of AF_XDP sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "xsk_bind",
        family: Family::Xdp,
        role: Role::Evidence,
        ways: &[fexit("xsk_bind", "xsk_bind", &["*socket"])],
        sees: "the owner of a new AF_XDP socket",
        lost: "receives of AF_XDP sockets on which nobody waits",
        ..Probe::USUAL
    },
    Probe {
        name: "xsk_poll",
        family: Family::Xdp,
        role: Role::Evidence,
        ways: &[fentry("xsk_poll", "xsk_poll", &["*file"])],
        sees: "who waits on an AF_XDP socket",
        lost: "receives of AF_XDP sockets that were there before zctrace",
        ..Probe::USUAL
    },
    Probe {
        name: "xsk_recvmsg",
        family: Family::Xdp,
        role: Role::Evidence,
        ways: &[fentry("xsk_recvmsg", "xsk_recvmsg", &["*socket"])],
        sees: "who asks an AF_XDP socket for packets",
        lost: "receives of AF_XDP sockets that were there before zctrace",
        ..Probe::USUAL
    },
];
