use std::collections::BTreeSet;

use zctrace_common::{Evidence, IP_SOCKETS, Mark, ObjectKind, Op};

use super::*;
use crate::{catalog::conclusion, ledger::Totals};

#[test]
fn marks_are_explained() {
    for (mark, name) in [("~", "inferred"), ("?", "unexplained")] {
        assert_eq!(find(mark), find(name), "{mark}");
        assert!(find(mark).is_some());
    }
}

#[test]
fn everything_in_a_report_is_explained() {
    let totals = Totals::default();
    let fields = totals.classes().into_iter().chain(totals.extras());
    let fields = fields.map(|(name, _)| name);
    let ops = Op::ALL.iter().map(|op| op.name());
    let evidence = [Evidence::Measured, Evidence::Inferred].map(Evidence::name);
    let design = [
        "recv.zerocopy",
        "send.zerocopy",
        "aio.read",
        "aio.write",
        "uring.send_zc",
        "file:ext4",
        "block",
        "pipe",
        "tcp",
        "udp",
        "unix",
        "vsock",
        "socket:16",
        "char:mem",
        "anon",
        "file:ext4->tcp",
        "moved",
        "filled",
        "ops",
        "errors",
        "copies_per_byte",
        "copies_per_sent_byte",
        "copies_per_received_byte",
        "sent",
        "received",
        "pending",
        "in_flight",
        "unattributed",
        "coverage",
        "loss",
        "overhead",
        "backend",
        "evidence",
        "conservation",
        "COPIES/B",
        "COPY/B",
        "C/B",
        "copying",
        "network",
        "open",
        "PASS",
        "FAIL",
        "INCONCLUSIVE",
    ];
    let claims = Mark::ALL.iter().map(|claim| claim.name());
    let techniques = technique::ALL.iter().map(|technique| technique.name);
    for name in fields
        .chain(ops)
        .chain(evidence)
        .chain(design)
        .chain(techniques)
        .chain(claims)
    {
        let entry = find(name);
        assert!(entry.is_some_and(|entry| entry.text.len() > 20), "{name}");
    }
}

/// Every kind of object, as reports name one of it.
#[test]
fn every_kind_of_object_is_explained() {
    let name = |kind| match kind {
        ObjectKind::File => "file:erofs",
        ObjectKind::Block => "block",
        ObjectKind::Pipe => "pipe",
        ObjectKind::Tcp => "tcp",
        ObjectKind::Udp => "udp",
        ObjectKind::Unix => "unix",
        ObjectKind::Vsock => "vsock",
        ObjectKind::Socket => "socket:netlink",
        ObjectKind::Char => "char:tun",
        ObjectKind::Anon => "anon",
        ObjectKind::Unknown => "unknown",
        ObjectKind::Syscall => "syscall:ioctl",
        ObjectKind::Overlay => "file:overlay",
        ObjectKind::Mqueue => "mqueue",
        ObjectKind::Msgqueue => "msgqueue",
        ObjectKind::Userfaultfd => "userfaultfd",
    };
    for kind in (0..=u8::MAX).filter_map(ObjectKind::from_raw) {
        assert!(find(name(kind)).is_some(), "{}", name(kind));
    }
    for row in conclusion::ALL {
        for end in row.objects.iter().chain(row.sinks) {
            assert!(find(&end.to_string()).is_some(), "{end}");
        }
    }
    for protocol in IP_SOCKETS {
        let name = format!("socket:{}", protocol.1);
        assert!(find(&name).is_some(), "{name}");
    }
}

/// One style for all of them: what is at the ends, and how the bytes get there.
#[test]
fn every_technique_has_a_picture_of_its_way() {
    let arrows = [
        "==copy==>",
        "--reference-->",
        "--mapped-->",
        "~~DMA~~>",
        "##cipher##>",
    ];
    for technique in technique::ALL {
        let text = find(technique.name).unwrap().text;
        let paragraphs = text.split("\n\n").filter(|text| text.starts_with("    "));
        let is_picture = |text: &&str| arrows.iter().any(|arrow| text.contains(arrow));
        let pictures: Vec<_> = paragraphs.filter(is_picture).collect();
        assert_eq!(pictures.len(), 1, "{}: {text}", technique.name);
        for line in pictures[0].lines() {
            assert!(line.len() <= 80, "{line}");
            let mut rest = line.to_owned();
            for arrow in arrows {
                rest = rest.replace(arrow, "");
            }
            assert!(!rest.contains('>'), "another arrow: {line}");
        }
    }
}

#[test]
fn every_errno_is_explained() {
    for number in 1..=516 {
        let errno = Errno::new(number);
        if let Some(name) = errno.name() {
            assert!(find(&name).is_some(), "{name}");
        }
    }
    assert!(find("errno_4000").is_some());
    assert_eq!(
        find("EIO").and_then(|entry| entry.names().next()),
        Some("EIO")
    );
    assert_eq!(find("ENOTNAM"), find("errors"));
    assert_eq!(find("ENONSENSE"), None);
}

#[test]
fn flags_are_explained_by_their_names() {
    for word in [
        "O_APPEND",
        "O_DIRECT",
        "O_NONBLOCK",
        "O_SYNC",
        "RWF_NOWAIT",
        "RWF_DONTCACHE",
        "RWF_APPEND",
        "RWF_HIPRI",
        "preadv2",
        "pwritev2",
        "MSG_PEEK",
        "MSG_TRUNC",
        "MSG_OOB",
        "MSG_DONTWAIT",
        "MSG_MORE",
        "MSG_WAITALL",
        "MSG_ERRQUEUE",
        "SPLICE_F_GIFT",
        "SPLICE_F_MOVE",
        "SPLICE_F_NONBLOCK",
        "MAP_PRIVATE",
        "MAP_POPULATE",
        "UFFDIO_COPY",
        "SQPOLL",
        "FICLONE",
        "AF_PACKET",
        "PACKET_MMAP",
        "AF_XDP",
        "AF_ALG",
        "MPTCP",
        "hugetlbfs",
        "procfs",
        "DAX",
        "memfd",
        "veth",
        "tun",
        "WireGuard",
        "netem",
        "nfqueue",
        "iptables",
        "mq_send",
        "msgrcv",
        "copy-on-write",
    ] {
        let entry = find(word);
        assert!(entry.is_some_and(|entry| !is_internal(&entry)), "{word}");
    }
}

/// The limits that stand behind ENOBUFS and ENOMEM, as people type them.
#[test]
fn limits_on_pinned_memory_are_explained() {
    let first = |name| find(name).and_then(|entry| entry.names().next());
    for word in [
        "RLIMIT_MEMLOCK",
        "memlock",
        "ulimit",
        "ulimit -l",
        "LimitMEMLOCK",
        "max locked memory",
        "CAP_IPC_LOCK",
        "optmem_max",
        "net.core.optmem_max",
    ] {
        assert_eq!(first(word), Some("RLIMIT_MEMLOCK"), "{word}");
    }
    let text = find("memlock").map_or("", |entry| entry.text);
    assert!(
        text.contains("ENOBUFS") && text.contains("ENOMEM"),
        "{text}"
    );
    for errno in ["ENOBUFS", "ENOMEM"] {
        let text = find(errno).map_or("", |entry| entry.text);
        assert!(text.contains("RLIMIT_MEMLOCK"), "{errno}: {text}");
    }
}

#[test]
fn names_are_unique_and_summaries_short() {
    let mut names = BTreeSet::new();
    for entry in entries() {
        for name in entry.names() {
            assert!(names.insert(name), "{name} twice");
        }
        let summary = entry.summary();
        assert!(summary.ends_with('.'), "{}: {summary}", entry.heading);
        assert!(summary.len() <= 110, "{}: {summary}", entry.heading);
    }
}

#[test]
fn names_are_found_as_reports_show_them() {
    let first = |name| find(name).and_then(|entry| entry.names().next());
    assert_eq!(first("file:overlay"), Some("file:<fs>"));
    assert_eq!(first("file"), Some("file:<fs>"));
    assert_eq!(first("uring.recv"), Some("uring.*"));
    assert_eq!(first("uring"), Some("uring.*"));
    assert_eq!(first("copied to user"), Some("copied_to_user"));
    assert_eq!(first("+deferred"), Some("deferred"));
    assert_eq!(first("file:ext4->file:tmpfs"), Some("a->b"));
    assert_eq!(first("aio.write"), Some("aio.read"));
    assert_eq!(first("fault.map"), Some("fault.map"));
    assert_eq!(first("fbufs:pipe"), Some("fbufs"));
    assert_eq!(first("cow:private"), Some("cow"));
    assert_eq!(first("copy-file-range:xfs"), Some("copy_file_range"));
    assert_eq!(first("exdev"), Some("EXDEV"));
    assert_eq!(first("EWOULDBLOCK"), Some("EAGAIN"));
    assert_eq!(first("nonsense"), None);
    // A column's title, and no way from one object to another.
    assert_eq!(first("0 SIZES >16M"), None);
    assert_eq!(first("fault.nonsense"), None);
}

#[test]
fn people_use_other_words() {
    for (word, name) in OTHER_NAMES {
        assert!(find(word).is_some(), "{word}");
        assert_eq!(find(word), find(name), "{word}");
    }
    for word in [
        "MSG_ZEROCOPY",
        "SEND_ZC",
        "io_uring",
        "AIO",
        "libaio",
        "mmap",
        "page cache",
        "DMA",
        "zero-copy",
        "userfaultfd",
        "fork",
        "tmpfs",
        "btrfs",
        "overlayfs",
        "copy-up",
        "reflink",
        "kTLS",
        "EINVAL",
        "EXDEV",
        "memcpy",
        "scatter-gather",
        "TSO",
        "sockmap",
        "epoll",
        "fsync",
        "RDMA",
        "DPDK",
        "NUMA",
        "virtio",
        "qemu",
        "docker",
        "bounce buffer",
        "copy_to_user",
        "NFS",
        "ioctl",
        "tracepoints",
        "fexit",
        "STATUS",
        "unverified",
        "MOVED",
        "OPS",
        "OBJECT",
        "OPERATION",
        "HOW",
        "COPIES/B",
        "unwind",
        "frame pointer",
        ".eh_frame",
        "pprof",
        "flame graph",
        "ublk",
        "passthrough",
        "vhost-net",
        "pod",
        "dontcache",
    ] {
        let entry = find(word);
        assert!(entry.is_some_and(|entry| !is_internal(&entry)), "{word}");
    }
}

#[test]
fn a_topic_and_a_search_find_sections() {
    assert!(
        of_topic("errors")
            .iter()
            .any(|entry| entry.names().any(|n| n == "EXDEV"))
    );
    assert!(of_topic("nonsense").is_empty());
    let found = search("O_APPEND");
    assert!(
        found
            .iter()
            .any(|entry| entry.names().any(|n| n == "EINVAL"))
    );
    assert!(search("qqqq").is_empty());
    let first = search("sendfile")[0];
    assert!(first.heading.contains("sendfile"));
}

#[test]
fn probes_are_suggested_last() {
    let first = suggestions("io_urin");
    assert_eq!(first.first(), Some(&"io_uring"), "{first:?}");
    assert_eq!(
        suggestions("tcp_sendmsg_lock").first(),
        Some(&"tcp_sendmsg_locked")
    );
}

#[test]
fn a_slip_is_understood() {
    assert_eq!(suggestions("splice_d").first(), Some(&"spliced"));
    assert!(suggestions("sendfil").contains(&"sendfile"));
    assert!(suggestions("copied_user").contains(&"copied_to_user"));
    assert!(suggestions("qqqq").is_empty());
    for word in ["zpdk", "spdk", "cquux"] {
        let alike = suggestions(word);
        assert!(alike.iter().all(|name| name.len() > 1), "{alike:?}");
    }
}
