//! Zero-copy sends.

use zctrace_common::{Mark, Op};

use super::{Look, Rule, Seen, Sight};
use crate::{ledger::Path, text::bytes::bytes};

/// The code of the rule about sockets without the option.
pub(super) const FLAG_IGNORED: &str = "zerocopy-flag-ignored";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "zerocopy-loopback",
        says: "MSG_ZEROCOPY over loopback passes references, but every byte is copied at delivery",
        evidence: "`deferred` in a send row, copied at the device lo",
        remedy: "use a receiver on another host; on one host a plain send costs less than this detour, and unix sockets or shared memory cost even less",
        look: Look::Copies(loopback),
    },
    Rule {
        code: "zerocopy-copied-later",
        says: "MSG_ZEROCOPY passed references, and the kernel copied the bytes on their way all the same",
        evidence: "`deferred` in a send row copied elsewhere than at lo, or a notification that says COPIED; causes are delivery on this host, a packet capture, a tun device or TX time stamps",
        remedy: "use a receiver on another host, and no capture, tun device or TX time stamps on the path",
        look: Look::Copies(later),
    },
    Rule {
        code: FLAG_IGNORED,
        says: "MSG_ZEROCOPY is ignored on a socket without SO_ZEROCOPY: the bytes are copied at once",
        evidence: "`copied_from_user` in sends with the flag on sockets without the option",
        remedy: "call setsockopt(SO_ZEROCOPY) before the first send, and check that it succeeds",
        look: Look::Copies(ignored),
    },
    Rule {
        code: "zerocopy-no-scatter-gather",
        says: "The device of the route cannot gather pages, so zero-copy sends are copied",
        evidence: "`copied_from_user` or `deferred` in zero-copy sends whose device has scatter-gather off",
        remedy: "use ethtool -K DEV sg on, or another device",
        look: Look::Copies(no_gather),
    },
    Rule {
        code: "zerocopy-confirmed",
        says: "These bytes were sent from the application's own pages and released without a copy",
        evidence: "`spliced` in a send row with MSG_ZEROCOPY or SEND_ZC, nothing `deferred`, no notification that says COPIED",
        remedy: "nothing: this is what was claimed",
        look: Look::Notes(confirmed),
    },
    Rule {
        code: "send-zc-copied",
        says: "io_uring's SEND_ZC was copied after all, which the application learns only if it asks",
        evidence: "`deferred` or `copied_from_user` in a row of uring.send_zc or uring.sendmsg_zc",
        remedy: "use a receiver on another host, and a device with scatter-gather; set IORING_SEND_ZC_REPORT_USAGE to be notified of copies",
        look: Look::Copies(send_zc),
    },
    Rule {
        code: "speed-proves-nothing",
        says: "MSG_ZEROCOPY on loopback is often faster although every byte is copied, so a benchmark proves nothing",
        evidence: "at least half of what a row sent by reference was copied later; the text names the throughput",
        remedy: "measure copies, not seconds",
        look: Look::Notes(speed),
    },
];

fn is_send_zc(path: &Path) -> bool {
    path.op.is(|op: Op| op.lends() && op.is_request())
}

/// Bytes of MSG_ZEROCOPY copied later, but for those whose device cannot gather.
fn deferred(sight: &Sight<'_>) -> u64 {
    let path = sight.row.path;
    if is_send_zc(path) || path.op.is(Op::splices) {
        return 0;
    }
    let other = sight.sum(Mark::NoScatterGather, |totals| totals.deferred);
    path.totals.deferred.saturating_sub(other)
}

fn is_loopback(sight: &Sight<'_>) -> bool {
    sight
        .claimed(Mark::Zerocopy)
        .filter(|part| part.totals.deferred > 0)
        .any(|part| part.device.as_deref() == Some("lo"))
}

fn loopback(sight: &Sight<'_>) -> Option<Seen> {
    if !is_loopback(sight) {
        return None;
    }
    let spliced = sight.row.totals().spliced;
    Seen::some(deferred(sight), || {
        format!(
            "{} were passed by reference, these were copied at lo",
            bytes(spliced)
        )
    })
}

fn later(sight: &Sight<'_>) -> Option<Seen> {
    if is_loopback(sight) {
        return None;
    }
    let notified = sight.row.notified();
    let spliced = sight.row.totals().spliced;
    let device = sight
        .device(Mark::Zerocopy)
        .map_or_else(String::new, |device| format!(" at {device}"));
    Seen::some(deferred(sight), || {
        format!(
            "{} were passed by reference, these were copied later{device}",
            bytes(spliced)
        )
    })
    .or_else(|| {
        Seen::some(notified.bytes, || {
            format!(
                "{} of {} sends were notified as copied; the bytes are estimated from that",
                notified.notifications,
                sight.row.totals().ops
            )
        })
    })
}

fn ignored(sight: &Sight<'_>) -> Option<Seen> {
    let copied = sight.sum(Mark::NoSoZerocopy, |totals| totals.copied_from_user);
    Seen::some(copied, || "the socket lacks SO_ZEROCOPY".to_owned())
}

fn no_gather(sight: &Sight<'_>) -> Option<Seen> {
    let ignored = Mark::NoSoZerocopy.name();
    let bytes = sight
        .claimed(Mark::NoScatterGather)
        .filter(|part| part.claims.iter().all(|name| name != ignored))
        .fold(0_u64, |sum, part| {
            sum.saturating_add(part.totals.copied_from_user)
                .saturating_add(part.totals.deferred)
        });
    Seen::some(bytes, || {
        let device = sight.device(Mark::NoScatterGather);
        let device = device.as_deref().unwrap_or("the device of the route");
        format!("{device} has scatter-gather off")
    })
}

fn confirmed(sight: &Sight<'_>) -> Option<Seen> {
    let totals = sight.row.totals();
    if totals.deferred > 0 || sight.row.notified().notifications > 0 || sight.row.is_inferred() {
        return None;
    }
    let spliced = sight.sum(Mark::Zerocopy, |totals| totals.spliced);
    Seen::some(spliced, || "sent from the application's pages".to_owned())
}

fn send_zc(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if !is_send_zc(path) {
        return None;
    }
    let copied = path
        .totals
        .deferred
        .saturating_add(path.totals.copied_from_user);
    Seen::some(copied, || {
        format!(
            "{} copied at once, {} later",
            bytes(path.totals.copied_from_user),
            bytes(path.totals.deferred)
        )
    })
}

fn speed(sight: &Sight<'_>) -> Option<Seen> {
    let totals = sight.row.totals();
    let later = totals.deferred.saturating_add(sight.row.notified().bytes);
    if later == 0 || later < totals.moved / 2 || sight.claimed(Mark::Zerocopy).next().is_none() {
        return None;
    }
    let seconds = u128::from(sight.snapshot.duration_ns.max(1));
    let per_second = u128::from(totals.moved) * 1_000_000_000 / seconds;
    let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
    Seen::some(totals.moved, || {
        format!("{} a second went out, and were copied", bytes(per_second))
    })
}
