//! Which families of traffic may be skipped where. Every other one must run.

use zctrace::{
    kernel,
    workload::truth::report::{Outcome, Status},
};

/// The start of a kernel's version, and what may be skipped there: the family, with its variants, and the start of
/// the reason. Of a kernel without a line nothing is known, and at least one family must run.
const SKIPS: &[(&str, &[(&str, &str)])] = &[
    (
        "6.1.",
        &[
            // O_DIRECT came to tmpfs with 6.6, UFFDIO_MOVE with 6.8, splice_read to /dev/zero with 6.5.
            ("direct-tmpfs", "this kernel's tmpfs refuses O_DIRECT"),
            ("uffd-move", "this kernel's userfaultfd cannot do that"),
            (
                "splice-zero-pipe",
                "this kernel cannot splice from /dev/zero",
            ),
            (
                "sendfile-zero-tcp",
                "this kernel cannot splice from /dev/zero",
            ),
            // Opcode 49 came with 6.7, bundles with 6.10.
            (
                "uring-read-multishot",
                "this kernel's io_uring has no opcode 49",
            ),
            ("uring-bundle", "this kernel's io_uring has no bundles"),
            // Since 6.8 exfat knows how much of a file was ever written.
            ("direct-holes-exfat", "this kernel's exfat writes zeros"),
            ("fuse-pass", "no passthrough of FUSE"),
            ("ublk", "no ublk"),
            ("vhost", "this kernel's vhost works in kernel threads"),
            NO_RECEIVE,
        ],
    ),
    (
        "6.12.",
        &[
            // Buffers of requests came with 6.15.
            ("ublk-zero-copy", "this kernel's ublk has no ZeroCopy"),
            NO_RECEIVE,
        ],
    ),
    (
        "6.18.",
        // Some are built without CONFIG_TLS, CONFIG_IP_SCTP, CONFIG_VFAT_FS and CONFIG_EXFAT_FS.
        &[
            ("direct-vfat", "no vfat in this kernel"),
            ("fuse-move", "no vfat in this kernel"),
            ("ublk", "no ublk"),
            ("vhost", "no vhost"),
            ("direct-exfat", "no exfat in this kernel"),
            ("direct-holes-exfat", "no exfat in this kernel"),
            ("ktls", "no kernel TLS"),
            ("sctp", "no socket of protocol 132"),
            // Without a device it works since 7.2.
            ("uring-recv-zc", "no device here can place packets"),
        ],
    ),
    ("7.2.", &[]),
    ("7.3.", &[]),
];

/// Where memory is in small pieces, the kernel finds none.
const ANYWHERE: &[(&str, &str)] = &[
    ("fault-hugetlb", "no memory for huge pages"),
    ("file-hugetlbfs", "no memory for huge pages"),
];

/// Zero-copy receive of io_uring came with 6.15.
const NO_RECEIVE: (&str, &str) = (
    "uring-recv-zc",
    "this kernel's io_uring has no zero-copy receive",
);

/// Fails if a family was skipped that this kernel can run.
pub(crate) fn assert_known(outcomes: &[Outcome]) {
    let is_skipped = |outcome: &&Outcome| outcome.status == Status::Skipped;
    let release = kernel::release();
    let Some((_, known)) = SKIPS
        .iter()
        .find(|(version, _)| release.starts_with(version))
    else {
        assert!(!outcomes.iter().all(|one| is_skipped(&one)), "nothing ran");
        return;
    };
    let unknown: Vec<_> = outcomes
        .iter()
        .filter(is_skipped)
        .map(|outcome| {
            (
                &*outcome.name,
                outcome.reason.as_deref().unwrap_or_default(),
            )
        })
        .filter(|(family, reason)| {
            let is_it = |(name, start): &(&str, &str)| {
                let rest = family.strip_prefix(name);
                let is_family = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
                is_family && reason.starts_with(start)
            };
            !known.iter().chain(ANYWHERE).any(is_it)
        })
        .collect();
    assert!(unknown.is_empty(), "skipped on {release}: {unknown:?}");
}
