//! sendfile and splice.

use zctrace_common::{Mark, Op};

use super::{Look, Rule, Seen, Sight};
use crate::{
    catalog,
    ledger::{End, Path},
};

/// The code of the rule about routes that may copy.
pub(crate) const ROUTE_COPIES: &str = "route-may-copy";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "splice-into-file",
        says: "sendfile or splice into a file copies every byte into its page cache",
        evidence: "`copied_in_kernel` in a splice or sendfile row whose sink is a file",
        remedy: "use copy_file_range on a filesystem that shares extents (xfs, btrfs), or O_DIRECT",
        look: Look::Copies(into_file),
    },
    Rule {
        code: "splice-read-copied",
        says: "The source cannot give references, so its bytes are first read into fresh pages",
        evidence: "`copied_in_kernel` or `recopied` in a splice or sendfile row whose source is a file or device",
        remedy: "keep the data on a filesystem whose splice_read passes references to its page cache (ext4, xfs, btrfs, tmpfs)",
        look: Look::Copies(splice_read),
    },
    Rule {
        code: "splice-sink-copied",
        says: "The target takes no pages by reference, so every byte is copied into it",
        evidence: "`copied_in_kernel` in a splice or sendfile row whose source lends its pages and whose sink is a socket: only stream sockets take pages, and a TCP socket does not if a BPF program looks at its messages (sockmap)",
        remedy: "use a unix socket of type SOCK_STREAM, or TCP without a program for its messages: both take pages",
        look: Look::Copies(into_socket),
    },
    Rule {
        code: "splice-tcp-linear",
        says: "splice from TCP copies the linear part of each packet; small packets consist only of it",
        evidence: "`copied_in_kernel` in a splice row from tcp",
        remedy: "use larger packets (jumbo frames, GRO) and a device that splits header and data",
        look: Look::Copies(from_tcp),
    },
    Rule {
        code: "splice-copied-later",
        says: "Pages of a file or pipe were passed by reference, but the kernel copied them on their way",
        evidence: "`deferred` in a splice or sendfile row into a socket: the packets were segmented or made linear for a device without scatter-gather, WireGuard, IPsec or a queue to user space",
        remedy: "use ethtool -K DEV sg on, or a route that neither encrypts in software nor passes packets to a program",
        look: Look::Copies(copied_later),
    },
    Rule {
        code: ROUTE_COPIES,
        says: "Something on the route of a send by reference may copy, unseen by the tracepoints backend",
        evidence: "`no_scatter_gather` or `copying_route` in `claims` of a sendfile or splice row on the tracepoints backend",
        remedy: "use a kernel on which functions can be traced, which counts these copies (`zctrace doctor`), or ethtool -K DEV sg on tx on, or a route without tunnels, veth pairs, netfilter rules, tc filters, and queues other than fq, fq_codel, pfifo and mq",
        look: Look::Notes(route),
    },
    Rule {
        code: "gift-ignored",
        says: "SPLICE_F_GIFT and SPLICE_F_MOVE change nothing: reading the pipe copies",
        evidence: "`copied_to_user` in reads of a pipe, while pages were vmspliced into a pipe",
        remedy: "splice from the pipe to a socket or another pipe instead of reading it, or share memory",
        look: Look::Copies(gift),
    },
];

fn is_splice(path: &Path) -> bool {
    path.op.is(Op::splices)
}

fn into_file(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    let (_, sink) = path.object.joined()?;
    if !is_splice(path) || !sink.is_stored() {
        return None;
    }
    Seen::some(path.totals.copied_in_kernel, || {
        format!("copied into the page cache of {sink}")
    })
}

fn splice_read(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    let (source, sink) = path.object.joined()?;
    if !is_splice(path) || !(source.is_stored() || matches!(source, End::Char(_))) {
        return None;
    }
    // The copy that is made at every sink of this kind is another rule's.
    let bytes = if sink.is_stored() || is_copied_at_sink(sight, source, sink) {
        path.totals.recopied
    } else {
        path.totals
            .copied_in_kernel
            .saturating_add(path.totals.recopied)
    };
    Seen::some(bytes, || format!("{source} was read into fresh pages"))
}

/// Whether a socket made the copies, and not the source: one of another kind than streams, which lend on, or a TCP socket
/// with a program that looks at messages (`sk_msg_memcopy_from_iter`).
fn is_copied_at_sink(sight: &Sight<'_>, source: End<'_>, sink: End<'_>) -> bool {
    let lends = catalog::conclusion::lends(source) && sight.claimed(Mark::Direct).next().is_none();
    lends && matches!(sink, End::Unix | End::Socket(_) | End::Tcp)
}

fn into_socket(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    let (source, sink) = path.object.joined()?;
    if !is_splice(path) || !is_copied_at_sink(sight, source, sink) {
        return None;
    }
    Seen::some(path.totals.copied_in_kernel, || {
        format!("this {sink} socket copies what it is given")
    })
}

fn from_tcp(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    let (source, _) = path.object.joined()?;
    if !is_splice(path) || source != End::Tcp {
        return None;
    }
    Seen::some(path.totals.copied_in_kernel, || {
        "in the linear parts of packets".to_owned()
    })
}

fn route(sight: &Sight<'_>) -> Option<Seen> {
    if !is_splice(sight.row.path) {
        return None;
    }
    let told = [
        (Mark::NoScatterGather, "has scatter-gather off"),
        (
            Mark::CopyingRoute,
            "encrypts, passes packets on, or has no checksum offload",
        ),
    ];
    told.into_iter().find_map(|(claim, what)| {
        let bytes = sight.sum(claim, |totals| totals.unexplained);
        Seen::some(bytes, || {
            let device = sight.device(claim);
            let device = device.as_deref().unwrap_or("the device of the route");
            match sight.obstacle() {
                Some(obstacle) => format!("on the way over {device}: {obstacle}"),
                None => format!("{device} {what}"),
            }
        })
    })
}

fn copied_later(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if !is_splice(path) {
        return None;
    }
    let device = sight
        .copied_at()
        .map_or_else(String::new, |device| format!(" at {device}"));
    Seen::some(path.totals.deferred, || {
        format!("passed by reference, and copied later{device}")
    })
}

fn gift(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if !path.object.is(End::Pipe) || path.totals.copied_to_user == 0 {
        return None;
    }
    let gave = sight.snapshot.processes.iter().find(|process| {
        process
            .paths
            .iter()
            .any(|path| path.op == Op::Vmsplice && path.totals.spliced > 0)
    })?;
    Seen::some(path.totals.copied_to_user, || {
        format!(
            "read from a pipe; {} had vmspliced pages into one",
            gave.comm
        )
    })
}
