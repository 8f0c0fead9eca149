//! What every word of a report means: the sections of the documentation, by name.

use crate::{
    ledger::{Errno, Object},
    workload::technique,
};

/// The pages, in the order in which they are listed.
const PAGES: [&str; 8] = [
    include_str!("../docs/ledger.md"),
    include_str!("../docs/operations.md"),
    include_str!("../docs/techniques.md"),
    include_str!("../docs/probes.md"),
    include_str!("../docs/claims.md"),
    include_str!("../docs/errors.md"),
    include_str!("../docs/words.md"),
    include_str!("../docs/advise.md"),
];

/// What people call something that has another name here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("msg_zerocopy", "send.zerocopy"),
    ("so_zerocopy", "send.zerocopy"),
    ("notification", "notified"),
    ("notifications", "notified"),
    ("pinned", "notified"),
    ("send_zc", "uring-send-zc"),
    ("sendmsg_zc", "uring-send-zc"),
    ("recv_zc", "uring-recv-zc"),
    ("zcrx", "uring-recv-zc"),
    ("io_uring", "uring.*"),
    ("liburing", "uring.*"),
    ("aio", "aio.read"),
    ("libaio", "aio.read"),
    ("linux_aio", "aio.read"),
    ("io_submit", "aio.read"),
    ("io_getevents", "aio.read"),
    ("mmap", "mapped"),
    ("page_fault", "fault.map"),
    ("page_faults", "fault.map"),
    ("fork", "fork.cow"),
    ("cow_fault", "fault.cow"),
    ("direct_i/o", "direct"),
    ("reflink", "cloned"),
    ("ficlone", "cloned"),
    ("ktls", "ktls-sendfile"),
    ("kernel_tls", "ktls-sendfile"),
    ("tmpfs", "file:<fs>"),
    ("nfs", "file:<fs>"),
    ("smb", "file:<fs>"),
    ("cifs", "file:<fs>"),
    ("ceph", "file:<fs>"),
    ("zfs", "file:<fs>"),
    ("ext4", "file:<fs>"),
    ("xfs", "file:<fs>"),
    ("btrfs", "file:<fs>"),
    ("overlayfs", "file:<fs>"),
    ("copyup", "copy_up"),
    ("uffd", "userfaultfd"),
    ("pagecache", "page cache"),
    ("msg_peek", "recv.peek"),
    ("splice_f_gift", "splice_gift_or_move"),
    ("splice_f_move", "splice_gift_or_move"),
    ("tcp_cork", "msg_more"),
    ("af_xdp", "af-xdp"),
    ("xdp", "af-xdp"),
    ("mptcp", "socket:mptcp"),
    ("sctp", "socket:sctp"),
    ("icmp", "socket:icmp"),
    ("netlink", "socket:<family>"),
    ("af_alg", "socket:<family>"),
    ("af_unix", "unix"),
    ("af_vsock", "vsock"),
    ("memfd", "file:<fs>"),
    ("shmem", "file:<fs>"),
    ("hugetlb", "hugetlbfs"),
    ("thp", "hugetlbfs"),
    ("proc", "procfs"),
    ("overlay", "file:<fs>"),
    ("fifo", "pipe"),
    ("sqpoll", "uring-sqpoll"),
    ("ioring_setup_sqpoll", "uring-sqpoll"),
    ("ioring_setup_iopoll", "uring.*"),
    ("read_fixed", "uring-read-fixed"),
    ("write_fixed", "uring.*"),
    ("registered_buffers", "uring-read-fixed"),
    ("ficlonerange", "cloned"),
    ("fideduperange", "cloned"),
    ("uffdio_copy", "uffd.copy"),
    ("uffdio_zeropage", "uffd.zeropage"),
    ("uffdio_continue", "uffd.continue"),
    ("uffdio_move", "uffd.move"),
    ("mq_send", "mqueue"),
    ("mq_receive", "mqueue"),
    ("msgsnd", "msgqueue"),
    ("msgrcv", "msgqueue"),
    ("process_vm_readv", "process_vm"),
    ("process_vm_writev", "process_vm"),
    ("gso", "send"),
    ("tpacket_v3", "packet_capture"),
    ("functions", "backend"),
    ("tracepoints", "backend"),
    ("tracepoint", "backend"),
    ("fentry", "backend"),
    ("fexit", "backend"),
    ("kprobe", "backend"),
    ("kretprobe", "backend"),
    ("ebpf", "backend"),
    ("bpf", "backend"),
    ("btf", "backend"),
    ("epoll_wait", "epoll"),
    ("ppoll", "epoll"),
    ("fdatasync", "epoll"),
    ("sync", "epoll"),
    ("sync_file_range", "epoll"),
    ("posix_fadvise", "epoll"),
    ("infiniband", "rdma"),
    ("gds", "gpudirect"),
    ("dma_buf", "gpudirect"),
    ("dmabuf", "gpudirect"),
    ("vm", "virtual_machine"),
    ("guest", "virtual_machine"),
    ("9p", "virtual_machine"),
    ("page_migration", "numa"),
    ("docker", "container"),
    ("podman", "container"),
    ("containerd", "container"),
    ("kubernetes", "container"),
    ("cgroup", "container"),
    ("hugepages", "huge_pages"),
    ("readahead", "filled"),
    ("read_ahead", "filled"),
    ("shm", "map_shared"),
    ("shared_memory", "map_shared"),
    ("bounce_buffer", "bounce-buffers"),
    ("swiotlb", "bounce-buffers"),
    ("copy_to_user", "copied_to_user"),
    ("copy_from_user", "copied_from_user"),
    ("lro", "gro"),
    ("quic", "send"),
    // What lies below O_DIRECT.
    ("nvme", "direct"),
    ("iscsi", "direct"),
    ("dm_crypt", "direct"),
    ("device_mapper", "direct"),
    ("lvm", "direct"),
    ("raid", "direct"),
    // More filesystems.
    ("ext2", "file:<fs>"),
    ("ext3", "file:<fs>"),
    ("f2fs", "file:<fs>"),
    ("fat", "file:<fs>"),
    ("vfat", "file:<fs>"),
    ("exfat", "file:<fs>"),
    ("ntfs", "file:<fs>"),
    ("erofs", "file:<fs>"),
    ("squashfs", "file:<fs>"),
    // Calls by their other names.
    ("ioctl", "other"),
    ("sendfile64", "sendfile"),
    ("pread", "read"),
    ("pread64", "read"),
    ("readv", "read"),
    ("preadv", "read"),
    ("pwrite", "write"),
    ("pwrite64", "write"),
    ("writev", "write"),
    ("pwritev", "write"),
    ("sendto", "send"),
    ("sendmsg", "send"),
    ("sendmmsg", "send"),
    ("recvfrom", "recv"),
    ("recvmsg", "recv"),
    ("recvmmsg", "recv"),
    // Titles of columns, and the letters of the dashboard's bars.
    ("operation", "ops"),
    ("opcode", "ops"),
    ("object", "file:<fs>"),
    ("moved/s", "moved"),
    ("how", "conservation"),
    ("failed", "errors"),
    ("unexpl", "unexplained"),
    ("to_user", "copied_to_user"),
    ("from_user", "copied_from_user"),
    ("in_kernel", "copied_in_kernel"),
    ("u", "copied_to_user"),
    ("f", "copied_from_user"),
    ("k", "copied_in_kernel"),
    ("s", "spliced"),
    ("d", "direct"),
    ("c", "cloned"),
    ("m", "mapped"),
    ("z", "synthetic"),
];

/// How unlike a name may be to be suggested, from 0 to 1.
const LIKENESS: f64 = 0.75;
/// Most suggestions at once.
const MAX_SUGGESTIONS: usize = 3;

/// A section under a heading such as ``### `spliced` ``.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The heading above it.
    pub group: &'static str,
    /// Its heading: one name in backticks, or several with commas in between.
    heading: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

impl Entry {
    /// Its names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.heading.split('`').skip(1).step_by(2)
    }

    /// Its first sentence, without markup.
    #[must_use]
    pub fn summary(&self) -> String {
        let paragraph = self.text.split("\n\n").next().unwrap_or_default();
        let words: Vec<_> = paragraph.split_whitespace().collect();
        let text = words.join(" ").replace('`', "");
        match text.find(". ") {
            Some(end) => text[..=end].into(),
            None => text,
        }
    }
}

/// Every section, in the order of the pages.
#[must_use]
pub fn entries() -> Vec<Entry> {
    PAGES.iter().flat_map(|page| parse(page)).collect()
}

fn parse(page: &'static str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for chapter in page.split("\n## ").skip(1) {
        let group = chapter.lines().next().unwrap_or_default();
        for section in chapter.split("\n### ").skip(1) {
            let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
            if heading.starts_with('`') {
                entries.push(Entry {
                    group,
                    heading,
                    text: text.split("<!--").next().unwrap_or_default().trim(),
                });
            }
        }
    }
    entries
}

/// The section about `name`, as a report shows it: `file:ext4` finds `file:<fs>`, `uring.read` finds
/// `uring.*`, `copied to user` finds `copied_to_user`.
#[must_use]
pub fn find(name: &str) -> Option<Entry> {
    let wanted = match name.trim() {
        // The marks of a table.
        "~" => "inferred".to_owned(),
        "?" => "unexplained".to_owned(),
        name => normal(name),
    };
    let entries = entries();
    // What people call something comes before a probe of the same name.
    let exact_among = |wanted: &str, internal: bool| {
        let is = |entry: &&Entry| {
            is_internal(entry) == internal && entry.names().any(|name| normal(name) == wanted)
        };
        entries.iter().find(is).copied()
    };
    let exact = |wanted: &str| exact_among(wanted, false).or_else(|| exact_among(wanted, true));
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == wanted);
    let other = || exact(&normal(other?.1));
    // An errno that no call gives a meaning of its own.
    let errno = || {
        Errno::parse(&wanted.to_ascii_uppercase())
            .or_else(|| Errno::parse(&wanted))
            .and_then(|_| exact("errors"))
    };
    let probe = || exact_among(&wanted, true);
    let named = exact_among(&wanted, false).or_else(other).or_else(probe);
    named.or_else(errno).or_else(|| {
        if name.contains("->") && Object::from(&*wanted).joined().is_some() {
            return exact("a->b");
        }
        // A workload with its variant.
        if let Some(technique) = wanted
            .split_once(':')
            .and_then(|(technique, _)| exact(technique))
            .filter(|_| technique::Workload::find(name).len() == 1)
        {
            return Some(technique);
        }
        let (family, separator) = match (wanted.split_once(':'), wanted.split_once('.')) {
            (Some((family, _)), _) => (family, ":"),
            (None, Some((family, _))) => (family, "."),
            (None, None) => (wanted.as_str(), ""),
        };
        let of_family = |entry: &&Entry| {
            entry.names().any(|name| {
                name.strip_prefix(family).is_some_and(|rest| {
                    rest.starts_with([':', '.'])
                        && rest.starts_with(separator)
                        && rest.ends_with(['*', '>'])
                })
            })
        };
        entries.iter().find(of_family).copied()
    })
}

/// Names like `name`, the most alike first.
#[must_use]
pub fn suggestions(name: &str) -> Vec<&'static str> {
    let wanted = normal(name);
    let entries = entries();
    let own = entries
        .iter()
        .flat_map(|entry| entry.names().map(|name| (is_internal(entry), name)));
    let other = OTHER_NAMES.iter().map(|(name, _)| (false, *name));
    let mut alike: Vec<_> = own
        .chain(other)
        .map(|(last, name)| (last, strsim::jaro_winkler(&wanted, &normal(name)), name))
        .filter(|(_, likeness, _)| *likeness >= LIKENESS)
        // The letters of bars are like every word that begins with them.
        .filter(|(.., name)| name.len() > 1)
        .collect();
    alike.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    alike.truncate(MAX_SUGGESTIONS);
    alike.into_iter().map(|(_, _, name)| name).collect()
}

/// Whether it is a name of zctrace's own, which nobody asks for by mistake.
fn is_internal(entry: &Entry) -> bool {
    entry.group.starts_with("Probes:")
}

/// Sections whose topic has `topic` in its name.
#[must_use]
pub fn of_topic(topic: &str) -> Vec<Entry> {
    let topic = topic.to_lowercase();
    let mut all = entries();
    all.retain(|entry| entry.group.to_lowercase().contains(&topic));
    all
}

/// Sections with `word` in their names or their text; those with it in a name first.
#[must_use]
pub fn search(word: &str) -> Vec<Entry> {
    let word = word.to_lowercase();
    let mut all = entries();
    all.retain(|entry| {
        format!("{} {}", entry.heading, entry.text)
            .to_lowercase()
            .contains(&word)
    });
    all.sort_by_key(|entry| !entry.heading.to_lowercase().contains(&word));
    all
}

/// A name however it is written.
fn normal(name: &str) -> String {
    name.trim()
        .trim_start_matches(['+', '~'])
        .to_ascii_lowercase()
        .replace([' ', '-'], "_")
        .replace("_>", "->")
}

#[cfg(test)]
mod tests {
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
        assert_eq!(suggestions("filemap_rea").first(), Some(&"filemap_read"));
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
}
