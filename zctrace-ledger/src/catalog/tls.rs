//! Kernel TLS in software.

use super::{Family, Probe, Proof, Role, fexit, fexit_of, kretprobe};

/// Every kernel with the module `tls` has its function.
pub const TLS_SW_SENDMSG: &str = "tls_sw_sendmsg";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "sk_msg_memcopy_from_iter",
        family: Family::Tls,
        role: Role::CopySite,
        ways: &[fexit(
            "sk_msg_memcopy_from_iter",
            "sk_msg_memcopy_from_iter",
            &["*sock"],
        )],
        proof: Proof::Otherwise("tests/privileged/every_kernel/ktls.rs unplugs it"),
        sees: "sender to TLS record",
        lost: "sends over kernel TLS whose bytes are copied before they are encrypted",
        ..Probe::USUAL
    },
    Probe {
        name: "sk_msg_zerocopy_from_iter",
        family: Family::Tls,
        role: Role::NoCopySite,
        ways: &[fexit(
            "sk_msg_zerocopy_from_iter",
            "sk_msg_zerocopy_from_iter",
            &["*sock"],
        )],
        proof: Proof::Otherwise("tests/privileged/every_kernel/ktls.rs unplugs it"),
        sees: "user pages for a TLS record, by reference",
        lost: "sends over kernel TLS that are encrypted directly from user pages",
        ..Probe::USUAL
    },
    Probe {
        name: TLS_SW_SENDMSG,
        family: Family::Tls,
        role: Role::NoCopySite,
        ways: &[
            fexit_of("tls", "tls_sw_sendmsg", "tls_sw_sendmsg"),
            kretprobe("tls_sw_sendmsg_kretprobe", "tls_sw_sendmsg"),
        ],
        proof: Proof::Otherwise("encrypts, and explains no byte"),
        sees: "bytes encrypted (module tls)",
        lost: "that sends over kernel TLS are encrypted by a CPU",
        ..Probe::USUAL
    },
    Probe {
        name: "tls_sw_sendpage",
        family: Family::Tls,
        role: Role::NoCopySite,
        ways: &[
            fexit_of("tls", "tls_sw_sendpage", "tls_sw_sendpage"),
            kretprobe("tls_sw_sendpage_kretprobe", "tls_sw_sendpage"),
        ],
        proof: Proof::Otherwise("encrypts, and explains no byte"),
        sees: "bytes encrypted for sendfile and splice before 6.5 (module tls)",
        lost: "that sendfile over kernel TLS is encrypted by a CPU",
        ..Probe::USUAL
    },
    Probe {
        name: "tls_sw_recvmsg",
        family: Family::Tls,
        role: Role::NoCopySite,
        ways: &[
            fexit_of("tls", "tls_sw_recvmsg", "tls_sw_recvmsg"),
            kretprobe("tls_sw_recvmsg_kretprobe", "tls_sw_recvmsg"),
        ],
        proof: Proof::Otherwise("encrypts, and explains no byte"),
        sees: "bytes decrypted (module tls)",
        lost: "that receives over kernel TLS are decrypted by a CPU",
        ..Probe::USUAL
    },
    Probe {
        name: "tls_rx_one_record",
        family: Family::Tls,
        role: Role::NoCopySite,
        ways: &[fexit_of("tls", "tls_rx_one_record", "tls_rx_one_record")],
        proof: Proof::Otherwise("tests/privileged/every_kernel/ktls.rs unplugs it"),
        sees: "plaintext that the cipher writes into the receiver's own pages (module tls)",
        lost: "receives over kernel TLS that are decrypted directly into user pages",
        ..Probe::USUAL
    },
    Probe {
        name: "tls_sw_splice_read",
        family: Family::Tls,
        role: Role::NoCopySite,
        ways: &[
            fexit_of("tls", "tls_sw_splice_read", "tls_sw_splice_read"),
            kretprobe("tls_sw_splice_read_kretprobe", "tls_sw_splice_read"),
        ],
        proof: Proof::Otherwise("encrypts, and explains no byte"),
        sees: "bytes decrypted for splice (module tls)",
        lost: "that splice from kernel TLS is decrypted by a CPU",
        ..Probe::USUAL
    },
];
