//! Transmit rings of packet sockets.

use zctrace_common::Op;

use super::{Family, Probe, Proof, Role, fentry, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "packet_xmit",
        family: Family::PacketSend,
        role: Role::NoCopySite,
        ways: &[
            fentry("packet_xmit", "packet_xmit", &["*packet_sock"]),
            // Where that is part of its callers.
            fentry(
                "packet_parse_headers",
                "packet_parse_headers",
                &["*sk_buff"],
            ),
        ],
        proof: Proof::Unplugged(&[
            ("packet-send-raw", &[Op::Send]),
            ("packet-send-dgram", &[Op::Send]),
        ]),
        sees: "frame of a transmit ring to packet: the header copied, the rest by reference",
        lost: "sends from transmit rings of packet sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "packet_sendmsg",
        family: Family::PacketSend,
        role: Role::Evidence,
        ways: &[fexit("packet_sendmsg", "packet_sendmsg", &["*socket"])],
        sees: "whether all these frames were sent",
        lost: "that a frame was skipped (PACKET_LOSS)",
        ..Probe::USUAL
    },
    Probe {
        name: "tpacket_ubuf_complete",
        family: Family::PacketSend,
        role: Role::Evidence,
        ways: &[fentry(
            "tpacket_ubuf_complete",
            "tpacket_ubuf_complete",
            &["*sk_buff"],
        )],
        sees: "a frame given back to the application, where that waits for its last packet",
        lost: "that a later copy of the same memory is not a copy of the frame",
        ..Probe::USUAL
    },
];
