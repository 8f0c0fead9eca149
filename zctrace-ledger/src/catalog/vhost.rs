//! vhost: what the kernel carries for virtual machines.

use super::{Family, Probe, Proof, Role, Sign, fentry_of};

/// Without it, nothing is known of what a worker of vhost-net takes for a tap device.
pub const TUN_SENDMSG: &str = "tun_sendmsg";

/// The same for macvtap.
pub const TAP_SENDMSG: &str = "tap_sendmsg";

const PROOF: Proof = Proof::Otherwise("packets of vhost report nothing");

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: TUN_SENDMSG,
        family: Family::Vhost,
        role: Role::CopySite,
        ways: &[fentry_of("tun", "tun_sendmsg", "tun_sendmsg")],
        sign: Some(Sign::File("/sys/module/tun")),
        proof: PROOF,
        sees: "packets of a virtual machine, by its worker of vhost to a tap device",
        lost: "what workers of vhost take from their processes",
        ..Probe::USUAL
    },
    Probe {
        name: TAP_SENDMSG,
        family: Family::Vhost,
        role: Role::CopySite,
        ways: &[fentry_of("tap", "tap_sendmsg", "tap_sendmsg")],
        sign: Some(Sign::File("/sys/module/tap")),
        proof: PROOF,
        sees: "packets of a virtual machine, by its worker of vhost to a macvtap",
        lost: "what workers of vhost take from their processes for a macvtap",
        ..Probe::USUAL
    },
];
