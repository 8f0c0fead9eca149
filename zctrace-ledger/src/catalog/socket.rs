//! Sockets.

use super::{Family, Probe, Role, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "skb_copy_datagram_iter",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("skb_copy_datagram_iter", "skb_copy_datagram_iter")],
        sees: "packet to receiver: TCP, unix, large datagrams",
        lost: "receives of TCP and unix sockets",
    },
    Probe {
        name: "udp_recvmsg",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("udp_recvmsg", "udp_recvmsg")],
        sees: "packet to receiver: UDP over IPv4",
        lost: "receives of UDP over IPv4",
    },
    Probe {
        name: "udpv6_recvmsg",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("udpv6_recvmsg", "udpv6_recvmsg")],
        sees: "packet to receiver: UDP over IPv6",
        lost: "receives of UDP over IPv6",
    },
    Probe {
        name: "tcp_sendmsg_locked",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("tcp_sendmsg_locked", "tcp_sendmsg_locked")],
        sees: "sender to packet: TCP",
        lost: "sends of TCP",
    },
    Probe {
        name: "mptcp_sendmsg",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("mptcp_sendmsg", "mptcp_sendmsg")],
        sees: "sender to packet: MPTCP",
        lost: "sends of MPTCP",
    },
    Probe {
        name: "sk_msg_recvmsg",
        family: Family::Socket,
        role: Role::CopySite,
        // The first is part of the second where the kernel has both.
        ways: &[
            fexit("sk_msg_recvmsg", "__sk_msg_recvmsg"),
            fexit("sk_msg_recvmsg", "sk_msg_recvmsg"),
        ],
        sees: "message that a sockmap's program redirected, to receiver",
        lost: "receives of sockets in a sockmap whose messages come past the network stack",
    },
    Probe {
        name: "ip_generic_getfrag",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("ip_generic_getfrag", "ip_generic_getfrag")],
        sees: "sender to packet: UDP and raw sockets",
        lost: "sends of UDP and raw sockets",
    },
    Probe {
        name: "skb_copy_datagram_from_iter",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit(
            "skb_copy_datagram_from_iter",
            "skb_copy_datagram_from_iter",
        )],
        sees: "sender to packet: unix sockets",
        lost: "sends of unix sockets",
    },
    Probe {
        name: "skb_splice_from_iter",
        family: Family::Socket,
        role: Role::NoCopySite,
        ways: &[fexit("skb_splice_from_iter", "skb_splice_from_iter")],
        sees: "pages to packet by reference: sendfile and splice to a socket (6.5 and later)",
        lost: "sendfile and splice to sockets",
    },
    Probe {
        name: "do_tcp_sendpages",
        family: Family::Socket,
        role: Role::NoCopySite,
        ways: &[fexit("do_tcp_sendpages", "do_tcp_sendpages")],
        sees: "pages to packet by reference: sendfile and splice to TCP (before 6.5)",
        lost: "sendfile and splice to TCP",
    },
    Probe {
        name: "unix_stream_sendpage",
        family: Family::Socket,
        role: Role::NoCopySite,
        ways: &[fexit("unix_stream_sendpage", "unix_stream_sendpage")],
        sees: "pages to packet by reference: splice to a unix socket (before 6.5)",
        lost: "sendfile and splice to unix sockets",
    },
    Probe {
        name: "skb_splice_bits",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("skb_splice_bits", "skb_splice_bits")],
        sees: "packet to pipe: pages by reference, linear parts copied",
        lost: "splice from sockets",
    },
];
