//! Every known way in which "zero-copy" copies after all: what is claimed, what a measurement of it must say, and the
//! traffic that shows it. The documentation's table and the tests are made from this.

use zctrace_common::Op;

use super::{Claim, MIN_BYTES, Verdict, ZERO_COPY};

/// A claim that people make, and the truth.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What is claimed or done.
    pub claim: &'static str,
    /// What really happens.
    pub truth: &'static str,
    /// The rules that say so.
    pub codes: &'static [&'static str],
    /// Measurements that show it.
    pub cases: &'static [Case],
    /// The test that shows it if no such traffic can, because it is judged while the work is still in progress.
    pub test: &'static str,
}

/// Traffic and what must be said about it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// A family of `zctrace traffic`.
    pub traffic: &'static str,
    /// Whose rows are judged: empty for the main process, else its role.
    pub process: &'static str,
    /// The claim's `path`.
    pub path: Option<Op>,
    /// The claim's limit of copies per byte.
    pub limit: f64,
    /// The claim's `min_bytes`.
    pub min_bytes: u64,
    /// On Linux 6.1, functions.
    pub linux_6_1: Expected,
    /// On Linux 6.12, functions.
    pub linux_6_12: Expected,
    /// On Linux 7.3, functions.
    pub linux_7_3: Expected,
    /// On any kernel that allows tracepoints only.
    pub tracepoints: Expected,
}

/// What must be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This verdict, with a reason of this code.
    Says(Verdict, &'static str),
    /// The kernel cannot do it, so the traffic is skipped.
    Refuses,
}

use Expected::{Refuses, Says};
use Verdict::{Fail, Inconclusive, Pass};

impl Case {
    const fn of(traffic: &'static str, functions: Expected, tracepoints: Expected) -> Self {
        Self {
            traffic,
            process: "",
            path: None,
            limit: ZERO_COPY,
            min_bytes: MIN_BYTES,
            linux_6_1: functions,
            linux_6_12: functions,
            linux_7_3: functions,
            tracepoints,
        }
    }

    const fn path(mut self, path: Op) -> Self {
        self.path = Some(path);
        self
    }

    const fn limit(mut self, limit: f64) -> Self {
        self.limit = limit;
        self
    }

    const fn min_bytes(mut self, min_bytes: u64) -> Self {
        self.min_bytes = min_bytes;
        self
    }

    const fn on_6_1(mut self, expected: Expected) -> Self {
        self.linux_6_1 = expected;
        self
    }

    /// The claim that is judged.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim {
            max_copies_per_byte: Some(self.limit),
            min_bytes: self.min_bytes,
            path: self.path.map(|op| op.name().to_owned()),
            ..Claim::named(self.traffic)
        }
    }

    /// What must be said on this kernel by this backend; `None` if the table does not say.
    #[must_use]
    pub fn expected(&self, kernel: &str, backend: &str) -> Option<Expected> {
        if backend == "tracepoints" {
            return Some(self.tracepoints);
        }
        let mut numbers = kernel.split(['.', '-', '+']);
        match (numbers.next()?, numbers.next()?) {
            ("6", "1") => Some(self.linux_6_1),
            ("6", "12") => Some(self.linux_6_12),
            ("7", "2" | "3") => Some(self.linux_7_3),
            _ => None,
        }
    }
}

/// Small enough for what procfs has to give, and a few hundred pages.
const SMALL: u64 = 1000;

/// The table.
pub const LINES: &[Line] = &[
    Line {
        claim: "read and write, the usual baseline",
        truth: "one copy each",
        codes: &["above-limit"],
        cases: &[
            Case::of(
                "demo-read-write",
                Says(Fail, "above-limit"),
                Says(Fail, "above-limit"),
            ),
            Case::of("tcp", Says(Fail, "above-limit"), Says(Fail, "above-limit")),
        ],
        test: "",
    },
    Line {
        claim: "message queues and userfaultfd pass memory on",
        truth: "each message is copied in and out; UFFDIO_COPY copies each page, UFFDIO_CONTINUE and UFFDIO_MOVE do not",
        codes: &["above-limit"],
        cases: &[
            Case::of(
                "mqueue",
                Says(Fail, "above-limit"),
                Says(Fail, "above-limit"),
            ),
            Case::of(
                "msgqueue",
                Says(Fail, "above-limit"),
                Says(Fail, "above-limit"),
            ),
            Case::of("uffd", Says(Fail, "above-limit"), Says(Fail, "above-limit")),
        ],
        test: "",
    },
    Line {
        claim: "sendfile to a socket",
        truth: "by reference to the page cache",
        codes: &["only-inferred"],
        cases: &[Case::of(
            "sendfile-tcp",
            // Nothing needs to be said about it.
            Says(Pass, ""),
            Says(Inconclusive, "only-inferred"),
        )
        .path(Op::Sendfile)],
        test: "",
    },
    Line {
        claim: "sendfile, splice and MSG_ZEROCOPY over TCP to another host, over a device without scatter-gather",
        truth: "by reference, but every byte is copied when its packet is segmented; nobody is notified",
        codes: &["splice-copied-later", "zerocopy-copied-later"],
        cases: &[
            Case::of(
                "sendfile-sg",
                // Nothing needs to be said about it.
                Says(Pass, ""),
                // The other end of a veth pair can pass packets on to any device.
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::Sendfile),
            Case::of(
                "sendfile-nosg",
                Says(Fail, "splice-copied-later"),
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::Sendfile),
            Case::of(
                "splice-nosg",
                Says(Fail, "splice-copied-later"),
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::Splice),
            Case::of(
                "zc-tcp-nosg",
                Says(Fail, "zerocopy-copied-later"),
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::SendZerocopy),
        ],
        test: "",
    },
    Line {
        claim: "the same through WireGuard or IPsec",
        truth: "by reference, but every byte is copied before it is encrypted",
        codes: &["splice-copied-later", "zerocopy-copied-later"],
        cases: &[],
        test: "one_kernel::routes::every_route_is_accounted_for_to_the_byte",
    },
    Line {
        claim: "the same through MACsec, over a device without checksum offload, or to an XDP program of a veth device",
        truth: "every byte is copied, in packets that do not say whose they are",
        codes: &["unattributed-copies"],
        cases: &[],
        test: "one_kernel::routes::copies_of_segments_without_an_owner_are_no_pass",
    },
    Line {
        claim: "the same in fragments of IP",
        truth: "by reference, but every packet that is cut is copied later",
        codes: &["splice-copied-later"],
        cases: &[],
        test: "one_kernel::routes::what_goes_in_fragments_is_copied_but_for_packets_that_fit",
    },
    Line {
        claim: "an ordinary send, over a device without scatter-gather, WireGuard or fragments",
        truth: "copied by the call, and once more later",
        codes: &["unattributed-copies"],
        cases: &[],
        test: "one_kernel::routes::what_is_copied_twice_is_not_said_to_be_copied_once",
    },
    Line {
        claim: "MSG_ZEROCOPY over loopback",
        truth: "every byte is copied later; the notification says COPIED",
        codes: &["zerocopy-loopback", "zerocopy-copied-later"],
        cases: &[
            Case::of(
                "zc-tcp",
                Says(Fail, "zerocopy-loopback"),
                Says(Fail, "zerocopy-copied-later"),
            )
            .path(Op::SendZerocopy),
            Case::of(
                "zc-udp",
                Says(Fail, "zerocopy-loopback"),
                Says(Fail, "zerocopy-copied-later"),
            )
            .path(Op::SendZerocopy),
        ],
        test: "",
    },
    Line {
        claim: "MSG_ZEROCOPY without SO_ZEROCOPY",
        truth: "the flag is ignored, the bytes are copied, and there is no notification",
        codes: &["zerocopy-flag-ignored"],
        cases: &[Case::of(
            "zc-tcp-off",
            Says(Fail, "zerocopy-flag-ignored"),
            Says(Fail, "zerocopy-flag-ignored"),
        )
        .path(Op::SendZerocopy)],
        test: "",
    },
    Line {
        claim: "MSG_ZEROCOPY, UDP over veth to a destination outside the host",
        truth: "truly zero-copy",
        codes: &["zerocopy-confirmed"],
        cases: &[Case::of(
            "zc-udp-out",
            Says(Pass, "zerocopy-confirmed"),
            Says(Inconclusive, "too-much-unexplained"),
        )
        .path(Op::SendZerocopy)],
        test: "",
    },
    Line {
        claim: "the same with scatter-gather off",
        truth: "copied; the reason names the device",
        codes: &["zerocopy-no-scatter-gather"],
        cases: &[Case::of(
            "zc-udp-nosg",
            Says(Fail, "zerocopy-no-scatter-gather"),
            Says(Fail, "zerocopy-no-scatter-gather"),
        )
        .path(Op::SendZerocopy)],
        test: "",
    },
    Line {
        claim: "MSG_ZEROCOPY made the benchmark faster",
        truth: "proves nothing: on loopback it is often faster and fully copied",
        codes: &["speed-proves-nothing"],
        cases: &[Case::of(
            "zc-tcp",
            Says(Fail, "speed-proves-nothing"),
            Says(Fail, "speed-proves-nothing"),
        )
        .path(Op::SendZerocopy)],
        test: "",
    },
    Line {
        claim: "TCP_ZEROCOPY_RECEIVE",
        truth: "unaligned tails are copied",
        codes: &["receive-unaligned"],
        cases: &[Case::of(
            "zc-receive",
            Says(Fail, "receive-unaligned"),
            Says(Fail, "receive-unaligned"),
        )
        .path(Op::RecvZerocopy)
        .limit(0.0)],
        test: "",
    },
    Line {
        claim: "sendfile or splice, file to file",
        truth: "copied once in the kernel",
        codes: &["splice-into-file"],
        cases: &[
            Case::of(
                "sendfile-file",
                Says(Fail, "splice-into-file"),
                Says(Fail, "splice-into-file"),
            )
            .path(Op::Sendfile),
            Case::of(
                "splice-pipe-ext4",
                Says(Fail, "splice-into-file"),
                Says(Fail, "splice-into-file"),
            )
            .path(Op::Splice),
        ],
        test: "",
    },
    Line {
        claim: "copy_file_range on ext4, tmpfs",
        truth: "copied through the page cache",
        codes: &["copy-file-range-copied"],
        cases: &[
            Case::of(
                "copy-ext4",
                Says(Fail, "copy-file-range-copied"),
                Says(Fail, "copy-file-range-copied"),
            )
            .path(Op::CopyFileRange),
            Case::of(
                "copy-tmpfs",
                Says(Fail, "copy-file-range-copied"),
                Says(Fail, "copy-file-range-copied"),
            )
            .path(Op::CopyFileRange),
        ],
        test: "",
    },
    Line {
        claim: "copy_file_range on btrfs, xfs",
        truth: "extents are shared, nothing is moved",
        codes: &["reflinked"],
        cases: &[
            Case::of(
                "copy-xfs",
                Says(Pass, "reflinked"),
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::CopyFileRange),
            Case::of(
                "copy-btrfs",
                Says(Pass, "reflinked"),
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::CopyFileRange),
        ],
        test: "",
    },
    Line {
        claim: "splice from a source without splice_read",
        truth: "bytes are read into fresh pages, which is a copy",
        codes: &["splice-read-copied"],
        cases: &[Case::of(
            "sendfile-proc-tcp",
            Says(Fail, "splice-read-copied"),
            Says(Inconclusive, "too-much-unexplained"),
        )
        .path(Op::Sendfile)
        .min_bytes(SMALL)],
        test: "",
    },
    Line {
        claim: "sendfile to a unix socket",
        truth: "by reference to a stream socket; a datagram or seqpacket socket copies every byte",
        codes: &["splice-sink-copied"],
        cases: &[Case::of(
            "sendfile-unix-dgram",
            Says(Fail, "splice-sink-copied"),
            Says(Fail, "splice-sink-copied"),
        )
        .path(Op::Sendfile)],
        test: "",
    },
    Line {
        claim: "O_DIRECT on tmpfs",
        truth: "refused before 6.6, accepted and always copied since",
        codes: &["direct-on-tmpfs"],
        cases: &[Case::of(
            "direct-tmpfs",
            Says(Fail, "direct-on-tmpfs"),
            Says(Fail, "direct-on-tmpfs"),
        )
        .on_6_1(Refuses)],
        test: "",
    },
    Line {
        claim: "O_DIRECT on loop, brd, zram, dm-crypt",
        truth: "the page cache is bypassed, but a CPU copies below",
        codes: &["direct-device-unknown"],
        cases: &[Case::of(
            "direct-ext4",
            Says(Inconclusive, "direct-device-unknown"),
            Says(Inconclusive, "direct-device-unknown"),
        )
        .path(Op::Read)],
        test: "",
    },
    Line {
        claim: "vmsplice with SPLICE_F_GIFT, splice with SPLICE_F_MOVE",
        truth: "reading the pipe copies",
        codes: &["gift-ignored"],
        cases: &[Case::of(
            "vmsplice-gift",
            Says(Fail, "gift-ignored"),
            Says(Fail, "gift-ignored"),
        )],
        test: "",
    },
    Line {
        claim: "mmap with MAP_PRIVATE, fork",
        truth: "copied at the first write, 4 KiB a page",
        codes: &["copy-on-write"],
        cases: &[
            Case::of(
                "fault-cow-ext4",
                Says(Fail, "copy-on-write"),
                Says(Inconclusive, "probes-missing"),
            )
            .path(Op::FaultCow)
            .min_bytes(SMALL),
            Case::of(
                "fault-fork-parent",
                Says(Fail, "copy-on-write"),
                Says(Inconclusive, "probes-missing"),
            )
            .path(Op::FaultCow),
        ],
        test: "",
    },
    Line {
        claim: "a process with few copies per byte",
        truth: "reflinks, mapped libraries and pipe hops dilute the total: rows are judged, not totals",
        codes: &["diluted"],
        cases: &[Case::of(
            // As many bytes by reference as by copies.
            "sendfile-tcp",
            Says(Fail, "diluted"),
            Says(Fail, "diluted"),
        )
        .limit(0.9)],
        test: "",
    },
    Line {
        claim: "MSG_ZEROCOPY with a packet capture, tun or TX time stamps on the path",
        truth: "copied when the packet is passed to them",
        codes: &["zerocopy-copied-later"],
        cases: &[
            Case::of(
                "zc-captured",
                Says(Fail, "zerocopy-copied-later"),
                Says(Fail, "zerocopy-copied-later"),
            )
            .path(Op::SendZerocopy),
            Case::of(
                "zc-captured-late",
                Says(Fail, "zerocopy-copied-later"),
                Says(Fail, "zerocopy-copied-later"),
            )
            .path(Op::SendZerocopy),
            Case::of(
                "zc-tun",
                Says(Fail, "zerocopy-copied-later"),
                Says(Fail, "zerocopy-copied-later"),
            )
            .path(Op::SendZerocopy),
            Case::of(
                "zc-stamped",
                Says(Fail, "zerocopy-copied-later"),
                Says(Fail, "zerocopy-copied-later"),
            )
            .path(Op::SendZerocopy),
        ],
        test: "",
    },
    Line {
        claim: "queued zero-copy sends when tracing stops",
        truth: "may still be copied",
        codes: &["zerocopy-pending"],
        cases: &[],
        test: "every_kernel::zerocopy::sends_that_are_still_queued_are_no_pass",
    },
    Line {
        claim: "sendfile's bytes that are not acknowledged when tracing stops",
        truth: "may still be copied",
        codes: &["zerocopy-pending"],
        cases: &[],
        test: "one_kernel::queued::a_file_that_is_still_in_the_socket_is_no_pass",
    },
    Line {
        claim: "io_uring's SEND_ZC",
        truth: "copied like MSG_ZEROCOPY; the application is told only if it asks",
        codes: &["send-zc-copied"],
        cases: &[Case::of(
            "uring-send-zc",
            Says(Fail, "send-zc-copied"),
            Says(Inconclusive, "too-much-unexplained"),
        )
        .path(Op::UringSendZc)],
        test: "",
    },
    Line {
        claim: "splice from TCP",
        truth: "linear parts of packets are copied",
        codes: &["splice-tcp-linear"],
        cases: &[
            Case::of(
                "splice-tcp-linear",
                Says(Fail, "splice-tcp-linear"),
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::Splice),
            Case::of(
                "splice-tcp-chained",
                Says(Fail, "splice-tcp-linear"),
                Says(Inconclusive, "too-much-unexplained"),
            )
            .path(Op::Splice)
            .limit(0.5),
        ],
        test: "",
    },
    Line {
        claim: "O_DIRECT writes on btrfs with checksums, misaligned and compressed parts",
        truth: "buffered (on older kernels only the latter two)",
        codes: &["direct-fell-back"],
        cases: &[Case::of(
            "direct-btrfs-write",
            Says(Fail, "direct-fell-back"),
            Says(Inconclusive, "too-much-unexplained"),
        )
        .path(Op::Write)
        // Direct after all, on a loop device.
        .on_6_1(Says(Inconclusive, "direct-device-unknown"))],
        test: "",
    },
    Line {
        claim: "kTLS in software",
        truth: "the plaintext is not copied, but the cipher passes over every byte",
        codes: &["ktls-software"],
        cases: &[Case::of(
            "ktls",
            Says(Fail, "ktls-software"),
            Says(Inconclusive, "too-much-unexplained"),
        )
        .path(Op::Sendfile)],
        test: "",
    },
    Line {
        claim: "overlayfs, copy-up",
        truth: "copied between the layers",
        codes: &["overlay-copy-up"],
        cases: &[Case::of(
            "overlay-copy-up",
            Says(Fail, "overlay-copy-up"),
            // Opening a file is no operation, and a byte is too few.
            Says(Inconclusive, "too-few-bytes"),
        )],
        test: "",
    },
    Line {
        claim: "AF_XDP in copy mode",
        truth: "every packet copied",
        codes: &["xdp-copy-mode"],
        cases: &[Case::of(
            "xdp",
            Says(Fail, "xdp-copy-mode"),
            // Packets come and go without system calls.
            Says(Inconclusive, "too-few-bytes"),
        )],
        test: "",
    },
    Line {
        claim: "FUSE",
        truth: "copied between the kernel and its server",
        codes: &["fuse-copied"],
        cases: &[Case::of(
            "file-fuse",
            Says(Fail, "fuse-copied"),
            Says(Inconclusive, "too-much-unexplained"),
        )],
        test: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::rules;

    #[test]
    fn every_rule_of_the_table_exists() {
        for line in LINES {
            assert!(!line.codes.is_empty(), "{}", line.claim);
            for code in line.codes {
                assert!(rules::find(code).is_some(), "{code}");
            }
            for case in line.cases {
                assert_eq!(case.claim().check(), Ok(()), "{}", case.traffic);
                for expected in [
                    case.linux_6_1,
                    case.linux_6_12,
                    case.linux_7_3,
                    case.tracepoints,
                ] {
                    if let Says(_, code) = expected {
                        assert!(code.is_empty() || rules::find(code).is_some(), "{code}");
                    }
                }
            }
        }
    }

    #[test]
    fn kernels_are_told_apart() {
        let case = Case::of("tcp", Says(Fail, "a"), Says(Inconclusive, "b")).on_6_1(Refuses);
        let at = |kernel| case.expected(kernel, "functions");
        assert_eq!(at("6.1.192-cloud"), Some(Refuses));
        assert_eq!(at("6.12.95+deb13"), Some(Says(Fail, "a")));
        assert_eq!(at("6.18.1"), None);
        assert_eq!(
            case.expected("6.18.1", "tracepoints"),
            Some(Says(Inconclusive, "b"))
        );
    }
}
