//! Sockets.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, fexit};
use crate::object::End;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "skb_copy_datagram_iter",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit(
            "skb_copy_datagram_iter",
            "skb_copy_datagram_iter",
            &["*sk_buff"],
        )],
        woken_by: Some(Exercise::UnixSockets),
        proof: Proof::Unplugged(&[("unix-stream", &[Op::Recv, Op::RecvPeek, Op::Read])]),
        sees: "packet to receiver: TCP, unix, large datagrams",
        lost: "receives of TCP and unix sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "udp_recvmsg",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("udp_recvmsg", "udp_recvmsg", &["*sock"])],
        woken_by: Some(Exercise::Udp),
        proof: Proof::Unplugged(&[("udp-small", &[Op::Recv, Op::RecvPeek, Op::Read])]),
        sees: "packet to receiver: UDP over IPv4",
        lost: "receives of UDP over IPv4",
        ..Probe::USUAL
    },
    Probe {
        name: "udpv6_recvmsg",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("udpv6_recvmsg", "udpv6_recvmsg", &["*sock"])],
        proof: Proof::Unplugged(&[("udp6", &[Op::Recv, Op::RecvPeek, Op::Read])]),
        sees: "packet to receiver: UDP over IPv6",
        lost: "receives of UDP over IPv6",
        ..Probe::USUAL
    },
    Probe {
        name: "tcp_sendmsg_locked",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit(
            "tcp_sendmsg_locked",
            "tcp_sendmsg_locked",
            &["*sock"],
        )],
        woken_by: Some(Exercise::Tcp),
        proof: Proof::Unplugged(&[("tcp", &[Op::Send, Op::Write])]),
        sees: "sender to packet: TCP",
        lost: "sends of TCP",
        ..Probe::USUAL
    },
    Probe {
        name: "mptcp_sendmsg",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("mptcp_sendmsg", "mptcp_sendmsg", &["*sock"])],
        proof: Proof::Unplugged(&[("mptcp", &[Op::Send, Op::Write, Op::Sendfile])]),
        sees: "sender to packet: MPTCP",
        lost: "sends of MPTCP",
        ..Probe::USUAL
    },
    Probe {
        name: "sk_msg_recvmsg",
        family: Family::Socket,
        role: Role::CopySite,
        // The first is part of the second where the kernel has both.
        ways: &[
            fexit("sk_msg_recvmsg", "__sk_msg_recvmsg", &["*sock"]),
            fexit("sk_msg_recvmsg", "sk_msg_recvmsg", &["*sock"]),
        ],
        proof: Proof::Unplugged(&[("sockmap", &[Op::Recv, Op::RecvPeek, Op::Read])]),
        sees: "message that a sockmap's program redirected, to receiver",
        lost: "receives of sockets in a sockmap whose messages bypass the network stack",
        ..Probe::USUAL
    },
    Probe {
        name: "bpf_msg_pull_data",
        family: Family::Socket,
        role: Role::Evidence,
        ways: &[fexit("bpf_msg_pull_data", "bpf_msg_pull_data", &["u64"])],
        sees: "message that a sockmap's program makes one piece of, copied again",
        lost: "that a message was copied again for a sockmap's program",
        ..Probe::USUAL
    },
    Probe {
        name: "bpf_msg_push_data",
        family: Family::Socket,
        role: Role::Evidence,
        ways: &[fexit("bpf_msg_push_data", "bpf_msg_push_data", &["u64"])],
        sees: "message that a sockmap's program adds to, copied again",
        lost: "that a message was copied again for a sockmap's program",
        ..Probe::USUAL
    },
    Probe {
        name: "ip_generic_getfrag",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit(
            "ip_generic_getfrag",
            "ip_generic_getfrag",
            &["*void"],
        )],
        woken_by: Some(Exercise::Udp),
        proof: Proof::Unplugged(&[("udp-small", &[Op::Send, Op::Write])]),
        sees: "sender to packet: UDP and raw sockets",
        lost: "sends of UDP and raw sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_copy_datagram_from_iter",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit(
            "skb_copy_datagram_from_iter",
            "skb_copy_datagram_from_iter",
            &["*sk_buff"],
        )],
        woken_by: Some(Exercise::UnixSockets),
        proof: Proof::Unplugged(&[("unix-stream", &[Op::Send, Op::Write])]),
        sees: "sender to packet: unix sockets",
        lost: "sends of unix sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_splice_from_iter",
        family: Family::Socket,
        role: Role::NoCopySite,
        ways: &[fexit(
            "skb_splice_from_iter",
            "skb_splice_from_iter",
            &["*sk_buff"],
        )],
        woken_by: Some(Exercise::Tcp),
        proof: Proof::Unplugged(&[("sendfile-tcp", &[Op::Sendfile])]),
        sees: "pages to packet by reference: sendfile and splice to a socket (6.5 and later)",
        lost: "sendfile and splice to sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "do_tcp_sendpages",
        family: Family::Socket,
        role: Role::NoCopySite,
        ways: &[fexit("do_tcp_sendpages", "do_tcp_sendpages", &["*sock"])],
        woken_by: Some(Exercise::Tcp),
        proof: Proof::Unplugged(&[("sendfile-tcp", &[Op::Sendfile])]),
        sees: "pages to packet by reference: sendfile and splice to TCP (before 6.5)",
        lost: "sendfile and splice to TCP",
        ..Probe::USUAL
    },
    Probe {
        name: "unix_stream_sendpage",
        family: Family::Socket,
        role: Role::NoCopySite,
        ways: &[fexit(
            "unix_stream_sendpage",
            "unix_stream_sendpage",
            &["*socket"],
        )],
        proof: Proof::UnpluggedBetween("splice-unix", Op::Splice, [End::Pipe, End::Unix]),
        sees: "pages to packet by reference: splice to a unix socket (before 6.5)",
        lost: "sendfile and splice to unix sockets",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_splice_bits",
        family: Family::Socket,
        role: Role::CopySite,
        ways: &[fexit("skb_splice_bits", "skb_splice_bits", &["*sk_buff"])],
        woken_by: Some(Exercise::Tcp),
        proof: Proof::Unplugged(&[("splice-tcp-pipe", &[Op::Splice])]),
        sees: "packet to pipe: pages by reference, linear parts copied",
        lost: "splice from sockets",
        ..Probe::USUAL
    },
];
