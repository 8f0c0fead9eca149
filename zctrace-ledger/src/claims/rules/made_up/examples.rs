//! Every rule about rows sees what it is for, and nothing else.

use std::collections::BTreeSet;

use zctrace_common::Mark;

use super::{
    super::{Look, all},
    M, MIB, claim, judged, path, process,
};
use crate::claims::Verdict;

/// One row, what was asked for there, and what must be said.
struct Example {
    row: (&'static str, &'static str, &'static str),
    numbers: &'static [(&'static str, u64)],
    asked: &'static [Mark],
    device: Option<&'static str>,
    verdict: Verdict,
    code: &'static str,
}

const fn example(
    row: (&'static str, &'static str, &'static str),
    numbers: &'static [(&'static str, u64)],
    verdict: Verdict,
    code: &'static str,
) -> Example {
    Example {
        row,
        numbers,
        asked: &[],
        device: None,
        verdict,
        code,
    }
}

impl Example {
    const fn asked(mut self, asked: &'static [Mark]) -> Self {
        self.asked = asked;
        self
    }

    const fn device(mut self, device: &'static str) -> Self {
        self.device = Some(device);
        self
    }
}

const EXAMPLES: &[Example] = &[
    example(
        ("send.zerocopy", "tcp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-loopback",
    )
    .asked(&[Mark::Zerocopy])
    .device("lo"),
    example(
        ("send.zerocopy", "udp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-copied-later",
    )
    .asked(&[Mark::Zerocopy])
    .device("tun0"),
    example(
        ("send.zerocopy", "tcp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "speed-proves-nothing",
    )
    .asked(&[Mark::Zerocopy]),
    example(
        ("send.zerocopy", "tcp", M),
        &[("copied_from_user", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-flag-ignored",
    )
    .asked(&[Mark::Zerocopy, Mark::NoSoZerocopy]),
    example(
        ("send.zerocopy", "udp", M),
        &[("copied_from_user", 4 * MIB)],
        Verdict::Fail,
        "zerocopy-no-scatter-gather",
    )
    .asked(&[Mark::Zerocopy, Mark::NoScatterGather])
    .device("eth0"),
    example(
        ("send.zerocopy", "udp", M),
        &[("spliced", 4 * MIB)],
        Verdict::Pass,
        "zerocopy-confirmed",
    )
    .asked(&[Mark::Zerocopy]),
    example(
        ("uring.send_zc", "tcp", M),
        &[("spliced", 4 * MIB), ("deferred", MIB)],
        Verdict::Fail,
        "send-zc-copied",
    ),
    example(
        ("splice", "pipe->file:ext4", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-into-file",
    ),
    example(
        ("sendfile", "file:proc->tcp", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-read-copied",
    ),
    example(
        ("sendfile", "file:tmpfs->unix", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-sink-copied",
    ),
    example(
        ("sendfile", "file:tmpfs->unix", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "splice-read-copied",
    )
    .asked(&[Mark::Direct]),
    example(
        ("sendfile", "file:ext4->tcp", M),
        &[("spliced", 4 * MIB), ("deferred", 4 * MIB)],
        Verdict::Fail,
        "splice-copied-later",
    )
    .device("wg0"),
    example(
        ("sendfile", "file:ext4->tcp", "inferred"),
        &[("unexplained", 4 * MIB)],
        Verdict::Inconclusive,
        "route-may-copy",
    )
    .asked(&[Mark::CopyingRoute])
    .device("wg0"),
    example(
        ("splice", "tcp->pipe", M),
        &[("copied_in_kernel", MIB), ("spliced", 3 * MIB)],
        Verdict::Fail,
        "splice-tcp-linear",
    ),
    example(
        ("copy_file_range", "file:ext4->file:ext4", M),
        &[("copied_in_kernel", 4 * MIB)],
        Verdict::Fail,
        "copy-file-range-copied",
    ),
    example(
        ("clone", "file:xfs->file:xfs", M),
        &[("cloned", 4 * MIB)],
        Verdict::Pass,
        "reflinked",
    ),
    example(
        ("read", "file:fuse.sshfs", M),
        &[("copied_to_user", 4 * MIB)],
        Verdict::Fail,
        "fuse-copied",
    ),
    example(
        ("copy_file_range", "file:fuse->file:fuse", M),
        &[("unexplained", 4 * MIB)],
        Verdict::Inconclusive,
        "left-to-server",
    ),
    example(
        ("write", "file:overlay", M),
        &[("copied_from_user", 4 * MIB), ("recopied", 4 * MIB)],
        Verdict::Fail,
        "overlay-copy-up",
    ),
    example(
        ("copy_up", "file:overlay", M),
        &[("recopied", 4 * MIB)],
        Verdict::Fail,
        "overlay-copy-up",
    ),
    example(
        ("read", "file:tmpfs", M),
        &[("copied_to_user", 4 * MIB)],
        Verdict::Fail,
        "direct-on-tmpfs",
    )
    .asked(&[Mark::Direct]),
    example(
        ("write", "file:btrfs", M),
        &[("copied_from_user", 4 * MIB)],
        Verdict::Fail,
        "direct-fell-back",
    )
    .asked(&[Mark::Direct]),
    example(
        ("read", "block", "inferred"),
        &[("direct", 4 * MIB)],
        Verdict::Inconclusive,
        "direct-device-unknown",
    )
    .asked(&[Mark::Direct]),
    example(
        ("fault.cow", "anon", M),
        &[("cow", 4 * MIB)],
        Verdict::Fail,
        "copy-on-write",
    ),
    example(
        ("recv.zerocopy", "tcp", M),
        &[("mapped", 4 * MIB), ("copied_to_user", MIB)],
        Verdict::Fail,
        "receive-unaligned",
    ),
    example(
        ("recv", "socket:xdp", M),
        &[("copied_to_user", 4 * MIB)],
        Verdict::Fail,
        "xdp-copy-mode",
    ),
    example(
        ("sendfile", "file:ext4->tcp", M),
        &[("spliced", 4 * MIB), ("encrypted", 4 * MIB)],
        Verdict::Fail,
        "ktls-software",
    )
    .asked(&[Mark::Tls]),
];

#[test]
fn every_rule_about_rows_sees_its_example() {
    let mut seen = BTreeSet::from(["gift-ignored", "refused"]);
    for example in EXAMPLES {
        let (op, object, evidence) = example.row;
        let row = path(op, object, evidence, example.numbers);
        let judgement = judged(
            &claim(),
            vec![process(vec![row], example.asked, example.device)],
        );
        let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
        assert!(codes.contains(&example.code), "{op} {object}: {codes:?}");
        assert_eq!(
            judgement.verdict, example.verdict,
            "{op} {object}: {codes:?}"
        );
        // What a rule explains is not left over as unexplained copies.
        assert!(
            !codes.contains(&"above-limit") || example.code == "overlay-copy-up",
            "{codes:?}"
        );
        if let Some(device) = example.device.filter(|device| *device != "lo") {
            let named = judgement
                .reasons
                .iter()
                .any(|r| r.evidence.contains(device));
            assert!(named, "{:?}", judgement.reasons);
        }
        seen.insert(example.code);
    }
    for rule in all() {
        if matches!(rule.look, Look::Copies(_) | Look::Notes(_)) {
            assert!(seen.contains(rule.code), "{} has no example", rule.code);
        }
    }
}

/// A source that lends its pages is not the one that copies, and to move the data elsewhere would not help.
#[test]
fn a_copy_is_blamed_on_the_end_that_makes_it() {
    let codes = |object, asked: &[Mark]| {
        let row = path("sendfile", object, M, &[("copied_in_kernel", 4 * MIB)]);
        let reasons = judged(&claim(), vec![process(vec![row], asked, None)]).reasons;
        let codes = reasons.into_iter().map(|reason| reason.code);
        codes
            .filter(|code| code.starts_with("splice-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(codes("file:tmpfs->unix", &[]), ["splice-sink-copied"]);
    assert_eq!(
        codes("file:ext4->socket:mptcp", &[]),
        ["splice-sink-copied"]
    );
    assert_eq!(codes("file:proc->unix", &[]), ["splice-read-copied"]);
    assert_eq!(codes("file:proc->tcp", &[]), ["splice-read-copied"]);
    assert_eq!(
        codes("file:tmpfs->unix", &[Mark::Direct]),
        ["splice-read-copied"]
    );
}
