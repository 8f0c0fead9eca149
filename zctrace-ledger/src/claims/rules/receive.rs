//! Receiving.

use zctrace_common::Op;

use super::{Look, Rule, Seen, Sight};
use crate::{ledger::End, text::bytes::bytes};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "receive-unaligned",
        says: "TCP_ZEROCOPY_RECEIVE maps only whole, aligned pages; the rest goes through its copy buffer",
        evidence: "`copied_to_user` in a recv.zerocopy row",
        remedy: "use packets of whole pages (for pages of 4 KiB: MSS 4096 plus 12 of options, MTU 4148 for IPv4), and header split on real devices",
        look: Look::Copies(unaligned),
    },
    Rule {
        code: "xdp-copy-mode",
        says: "AF_XDP in copy mode: the kernel copies each packet into the ring's memory",
        evidence: "copies in a row of an AF_XDP socket",
        remedy: "use a driver with XDP_ZEROCOPY, and bind with that flag, so that copy mode is an error",
        look: Look::Copies(xdp),
    },
];

fn unaligned(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if path.op != Op::RecvZerocopy {
        return None;
    }
    Seen::some(path.totals.copied_to_user, || {
        format!("{} were mapped", bytes(path.totals.mapped))
    })
}

fn xdp(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if !path.object.is(End::Socket("xdp")) {
        return None;
    }
    Seen::some(path.totals.copies(), || "copied by the kernel".to_owned())
}
