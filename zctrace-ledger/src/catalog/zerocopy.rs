//! Zero-copy sends and receives.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, fentry, fentry_of, fexit, fexit_of, tp_btf};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "skb_zerocopy_iter_stream",
        family: Family::Zerocopy,
        role: Role::NoCopySite,
        ways: &[fexit(
            "skb_zerocopy_iter_stream",
            "skb_zerocopy_iter_stream",
            &["*sock"],
        )],
        woken_by: Some(Exercise::Zerocopy),
        proof: Proof::Unplugged(&[("zc-tcp", &[Op::SendZerocopy])]),
        sees: "user pages to packet by reference: MSG_ZEROCOPY and SEND_ZC over TCP",
        lost: "zero-copy sends over TCP",
        ..Probe::USUAL
    },
    Probe {
        name: "zerocopy_sg_from_iter",
        family: Family::Zerocopy,
        role: Role::NoCopySite,
        ways: &[fexit(
            "zerocopy_sg_from_iter",
            "__zerocopy_sg_from_iter",
            &["*msghdr"],
        )],
        proof: Proof::Unplugged(&[("zc-udp", &[Op::SendZerocopy])]),
        sees: "user pages to packet by reference: MSG_ZEROCOPY and SEND_ZC over UDP and vsock",
        lost: "zero-copy sends over UDP and vsock",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_copy_ubufs",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fentry("skb_copy_ubufs", "skb_copy_ubufs", &["*sk_buff"])],
        woken_by: Some(Exercise::Zerocopy),
        always_there: true,
        proof: Proof::Later(&["zc-tcp", "zc-udp"]),
        sees: "borrowed pages copied later: local delivery, captures, timestamps",
        lost: "that a zero-copy send was copied after all",
        ..Probe::USUAL
    },
    Probe {
        name: "psample_sample_packet_enter",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[fentry_of(
            "psample",
            "psample_sample_packet_enter",
            "psample_sample_packet",
        )],
        sees: "packet copied as a sample (psample), of any process",
        lost: "that packets were copied as samples",
        ..Probe::USUAL
    },
    Probe {
        name: "psample_sample_packet_exit",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[fexit_of(
            "psample",
            "psample_sample_packet_exit",
            "psample_sample_packet",
        )],
        sees: "the end of that",
        lost: "that another copy of such a packet is none for that",
        ..Probe::USUAL
    },
    Probe {
        name: "nfulnl_log_packet_enter",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[fentry_of(
            "nfnetlink_log",
            "nfulnl_log_packet_enter",
            "nfulnl_log_packet",
        )],
        sees: "packet copied for a log (NFLOG), of any process",
        lost: "that packets were copied for a log",
        ..Probe::USUAL
    },
    Probe {
        name: "nfulnl_log_packet_exit",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[fexit_of(
            "nfnetlink_log",
            "nfulnl_log_packet_exit",
            "nfulnl_log_packet",
        )],
        sees: "the end of that",
        lost: "that another copy of such a packet is none for that",
        ..Probe::USUAL
    },
    Probe {
        name: "virtio_transport_build_skb",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[fexit_of(
            "vmw_vsock_virtio_transport_common",
            "virtio_transport_build_skb",
            "virtio_transport_build_skb",
        )],
        sees: "packet of vsock copied for a capture (vsockmon), of any process",
        lost: "that packets of vsock were copied for a capture",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_copy",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fentry("skb_copy", "skb_copy", &["*sk_buff"])],
        always_there: true,
        proof: Proof::Otherwise("copies what no traffic makes the kernel copy"),
        sees: "pages sent by reference copied later, with their packet",
        lost: "that a packet with pages sent by reference was copied whole",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_copy_expand",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fentry("skb_copy_expand", "skb_copy_expand", &["*sk_buff"])],
        always_there: true,
        proof: Proof::Otherwise("copies what no traffic makes the kernel copy"),
        sees: "pages sent by reference copied later, with their packet, to enlarge it",
        lost: "that a packet with pages sent by reference was copied to enlarge it",
        ..Probe::USUAL
    },
    Probe {
        name: "pskb_pull_tail",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fentry("pskb_pull_tail", "__pskb_pull_tail", &["*sk_buff"])],
        always_there: true,
        proof: Proof::With("skb_segment"),
        sees: "pages sent by reference copied later, into the packet's linear buffer: ciphers and others",
        lost: "that a packet with pages sent by reference was made linear",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_segment",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fentry("skb_segment", "skb_segment", &["*sk_buff"])],
        always_there: true,
        proof: Proof::Later(&["sendfile-nosg", "splice-nosg"]),
        sees: "pages sent by reference copied later, when their packet is segmented in software",
        lost: "that a packet with pages sent by reference was copied when it was segmented",
        ..Probe::USUAL
    },
    Probe {
        name: "ip_frag_next",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fexit("ip_frag_next", "ip_frag_next", &["*sk_buff"])],
        always_there: true,
        proof: Proof::Otherwise("what it sees is nobody's: one_kernel::routes"),
        sees: "packets copied later, into fragments for a smaller MTU",
        lost: "that what was sent was copied again in fragments",
        ..Probe::USUAL
    },
    Probe {
        name: "ip6_frag_next",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fexit("ip6_frag_next", "ip6_frag_next", &["*sk_buff"])],
        proof: Proof::Otherwise("as ip_frag_next; no traffic goes through a tunnel of IPv6"),
        sees: "packets copied later, into fragments for a smaller MTU over IPv6",
        lost: "that what was sent was copied again in fragments over IPv6",
        ..Probe::USUAL
    },
    Probe {
        name: "skb_pp_cow_data",
        family: Family::Zerocopy,
        role: Role::CopySite,
        ways: &[fentry(
            "skb_pp_cow_data",
            "skb_pp_cow_data",
            &["*page_pool"],
        )],
        proof: Proof::Otherwise("its bytes are nobody's: one_kernel::routes"),
        sees: "pages sent by reference copied later, for an XDP program that gets packets of its own",
        lost: "that a packet with pages sent by reference was copied for an XDP program",
        ..Probe::USUAL
    },
    Probe {
        name: "msg_zerocopy_complete",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[
            fexit(
                "msg_zerocopy_complete",
                "msg_zerocopy_complete",
                &["*sk_buff"],
            ),
            fexit(
                "msg_zerocopy_complete",
                "msg_zerocopy_callback",
                &["*sk_buff"],
            ),
        ],
        woken_by: Some(Exercise::Zerocopy),
        sees: "borrowed pages given back: MSG_ZEROCOPY",
        lost: "when pages sent with MSG_ZEROCOPY are no longer pending, and how long that took",
        ..Probe::USUAL
    },
    Probe {
        name: "msg_zerocopy_put_abort",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[fexit(
            "msg_zerocopy_put_abort",
            "msg_zerocopy_put_abort",
            &["*ubuf_info"],
        )],
        sees: "borrowed pages given back: MSG_ZEROCOPY that failed",
        lost: "when pages of failed sends are no longer pending",
        ..Probe::USUAL
    },
    Probe {
        name: "msg_zerocopy_realloc",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[fexit(
            "msg_zerocopy_realloc",
            "msg_zerocopy_realloc",
            &["*sock"],
        )],
        woken_by: Some(Exercise::Zerocopy),
        sees: "the beginning of a send with MSG_ZEROCOPY",
        lost: "that an address now belongs to another send, and when the sends began that share a notification",
        ..Probe::USUAL
    },
    Probe {
        name: "io_tx_ubuf_complete",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[
            fexit("io_tx_ubuf_complete", "io_tx_ubuf_complete", &["*sk_buff"]),
            fexit("io_tx_ubuf_complete", "io_tx_ubuf_callback", &["*sk_buff"]),
            fexit(
                "io_tx_ubuf_complete",
                "io_uring_tx_zerocopy_callback",
                &["*sk_buff"],
            ),
        ],
        sees: "borrowed pages given back: io_uring's SEND_ZC",
        lost: "when pages sent with SEND_ZC are no longer pending, and how long that took",
        ..Probe::USUAL
    },
    Probe {
        name: "inet_sk_error_report",
        family: Family::Zerocopy,
        role: Role::Evidence,
        ways: &[tp_btf("inet_sk_error_report", "inet_sk_error_report")],
        woken_by: Some(Exercise::Zerocopy),
        sees: "notifications that a send with MSG_ZEROCOPY was copied",
        lost: "on the tracepoints backend, that MSG_ZEROCOPY was copied",
        ..Probe::USUAL
    },
    Probe {
        name: "tcp_zerocopy_receive",
        family: Family::Zerocopy,
        role: Role::Interface(Op::RecvZerocopy),
        ways: &[fexit(
            "tcp_zerocopy_receive",
            "tcp_zerocopy_receive",
            &["*sock"],
        )],
        sees: "TCP_ZEROCOPY_RECEIVE, and the pages that it maps",
        lost: "TCP_ZEROCOPY_RECEIVE is not seen",
        ..Probe::USUAL
    },
];
