//! Everything that the tracepoints backend concludes, as one table. The programs decide
//! (`zctrace-ebpf/src/tracepoint/`). This table says why they are right. The contradiction hunt (`crate::hunt`) fails
//! if a program gives a class that has no row here.

use std::fmt::Write as _;

use zctrace_common::{Class, Op};

use crate::object::{End, Object};

/// A class that follows from a call and what it works on.
#[derive(Debug)]
pub struct Conclusion {
    /// The operations.
    pub ops: &'static [Op],
    /// Where bytes come from or, without [`Conclusion::sinks`], the only object.
    pub objects: &'static [End<'static>],
    /// Where bytes go, if the operation joins two objects.
    pub sinks: &'static [End<'static>],
    /// What else must hold.
    pub when: &'static str,
    /// The class.
    pub class: Class,
    /// The kernel function that makes it true from Linux 6.1 to 7.x, and its condition.
    pub because: &'static str,
    /// The traffic that would fail if it were wrong; the hunt would fail as well.
    pub tests: &'static [&'static str],
}

impl Conclusion {
    /// Whether this conclusion covers a row of a report.
    #[must_use]
    pub fn covers(&self, op: Op, object: &Object, class: Class) -> bool {
        let matches = match object.joined() {
            Some((source, sink)) => self.objects.contains(&source) && self.sinks.contains(&sink),
            None => self.sinks.is_empty() && self.objects.iter().any(|end| object.is(*end)),
        };
        matches && self.class == class && self.ops.contains(&op)
    }
}

/// Whether the tracepoints backend may give a class to the bytes of a row. Unexplained bytes need no reason, so nobody
/// asks about them.
#[must_use]
pub fn is_concluded(op: Op, object: &Object, class: Class) -> bool {
    ALL.iter().any(|row| row.covers(op, object, class))
}

/// The field of a report that counts a class.
#[must_use]
pub const fn field(class: Class) -> &'static str {
    match class {
        Class::CopiedToUser => "copied_to_user",
        Class::CopiedFromUser => "copied_from_user",
        Class::CopiedInKernel => "copied_in_kernel",
        Class::Spliced => "spliced",
        Class::Direct => "direct",
        Class::Cloned => "cloned",
        Class::Mapped => "mapped",
        Class::Synthetic => "synthetic",
        Class::Unexplained => "unexplained",
    }
}

const READS: &[Op] = &[
    Op::Read,
    Op::UringRead,
    Op::UringReadv,
    Op::UringReadFixed,
    Op::UringReadvFixed,
    Op::UringReadMultishot,
    Op::AioRead,
];
const WRITES: &[Op] = &[
    Op::Write,
    Op::UringWrite,
    Op::UringWritev,
    Op::UringWriteFixed,
    Op::UringWritevFixed,
    Op::AioWrite,
];
const RECEIVES: &[Op] = &[
    Op::Read,
    Op::Recv,
    Op::RecvPeek,
    Op::UringRead,
    Op::UringReadv,
    Op::UringReadFixed,
    Op::UringReadvFixed,
    Op::UringReadMultishot,
    Op::UringRecv,
    Op::UringRecvmsg,
    Op::UringRecvPeek,
    Op::AioRead,
];
const SENDS: &[Op] = &[
    Op::Write,
    Op::Send,
    Op::UringWrite,
    Op::UringWritev,
    Op::UringWriteFixed,
    Op::UringWritevFixed,
    Op::UringSend,
    Op::UringSendmsg,
    Op::AioWrite,
];
const JOINS: &[Op] = &[Op::Sendfile, Op::Splice, Op::UringSplice];

/// Filesystems that copy at the border to user memory.
const COPYING: &[End<'static>] = &[
    End::File("tmpfs"),
    End::File("devtmpfs"),
    End::File("rootfs"),
    End::File("ramfs"),
    End::File("ext2"),
    End::File("ext3"),
    End::File("ext4"),
    End::File("xfs"),
    End::File("btrfs"),
    End::File("vfat"),
    End::File("msdos"),
    End::File("f2fs"),
    End::File("erofs"),
    End::File("squashfs"),
    End::File("overlay"),
    End::Block,
];
/// Filesystems that lend the pages of their cache to a pipe.
const LENDING: &[End<'static>] = &[
    End::File("tmpfs"),
    End::File("devtmpfs"),
    End::File("rootfs"),
    End::File("ramfs"),
    End::File("ext2"),
    End::File("ext3"),
    End::File("ext4"),
    End::File("xfs"),
    End::File("btrfs"),
    End::File("vfat"),
    End::File("msdos"),
    End::Block,
    End::Pipe,
];
const DIRECT: &[End<'static>] = &[
    End::File("ext2"),
    End::File("ext3"),
    End::File("ext4"),
    End::File("xfs"),
    End::File("btrfs"),
    End::File("vfat"),
    End::File("msdos"),
    End::File("f2fs"),
    End::Block,
];
const SEQUENCES: &[End<'static>] = &[
    End::File("proc"),
    End::File("sysfs"),
    End::File("cgroup2"),
    End::File("debugfs"),
    End::File("tracefs"),
];

/// Whether something lends its pages to a pipe, if nobody asked for O_DIRECT.
pub(crate) fn lends(end: End<'_>) -> bool {
    LENDING.contains(&end)
}

/// Every conclusion. What has no row is `unexplained`.
pub const ALL: &[Conclusion] = &[
    Conclusion {
        ops: READS,
        objects: COPYING,
        sinks: &[],
        when: "without O_DIRECT (tmpfs accepts and ignores it); not tmpfs or overlayfs into a registered buffer, which is cleared for a hole",
        class: Class::CopiedToUser,
        because: "copy_page_to_iter or copy_folio_to_iter in filemap_read, shmem_file_read_iter and dax_iomap_iter; holes are copied from the zero page",
        tests: &[
            "file-tmpfs",
            "file-ext4",
            "file-xfs",
            "file-btrfs",
            "file-overlay",
            "block",
        ],
    },
    Conclusion {
        ops: WRITES,
        objects: COPYING,
        sinks: &[],
        when: "without O_DIRECT, as above",
        class: Class::CopiedFromUser,
        because: "copy_page_from_iter_atomic in generic_perform_write, iomap_write_iter and btrfs_buffered_write; _copy_from_iter in dax_iomap_iter",
        tests: &[
            "file-tmpfs",
            "file-ext4",
            "file-xfs",
            "file-btrfs",
            "file-overlay",
            "block",
        ],
    },
    Conclusion {
        ops: &[Op::Read, Op::Write, Op::AioRead, Op::AioWrite],
        objects: DIRECT,
        sinks: &[],
        when: "O_DIRECT; as many bytes as the call's block requests carry from or to anonymous pages; for Linux AIO, all that one io_submit asked for, without vectors",
        class: Class::Direct,
        because: "block_bio_queue: the first page of the request is the caller's own; clones do not count, as those of device mapper are for the same pages, and so btrfs' parts of a split request do not",
        tests: &[
            "direct-ext4",
            "direct-xfs",
            "direct-btrfs",
            "direct-block",
            "direct-holes-ext4",
            "aio-direct",
        ],
    },
    Conclusion {
        ops: READS,
        objects: SEQUENCES,
        sinks: &[],
        when: "the file has a seq_file that names it in return",
        class: Class::CopiedToUser,
        because: "copy_to_iter in seq_read_iter and kernfs_file_read_iter",
        tests: &["file-proc", "file-proc-small"],
    },
    Conclusion {
        ops: &[Op::Recv, Op::RecvPeek],
        objects: &[End::Mqueue, End::Msgqueue],
        sinks: &[],
        when: "always",
        class: Class::CopiedToUser,
        because: "store_msg in do_mq_timedreceive and do_msg_fill",
        tests: &["mqueue", "msgqueue", "msgqueue-copy"],
    },
    Conclusion {
        ops: &[Op::Send],
        objects: &[End::Mqueue, End::Msgqueue],
        sinks: &[],
        when: "always",
        class: Class::CopiedFromUser,
        because: "load_msg in do_mq_timedsend and do_msgsnd",
        tests: &["mqueue", "msgqueue"],
    },
    Conclusion {
        ops: &[Op::UffdCopy],
        objects: &[End::Userfaultfd],
        sinks: &[],
        when: "always",
        class: Class::CopiedFromUser,
        because: "mfill_atomic, which copies each page from the caller's memory",
        tests: &["uffd"],
    },
    Conclusion {
        ops: &[Op::UffdZeropage],
        objects: &[End::Userfaultfd],
        sinks: &[],
        when: "always",
        class: Class::Synthetic,
        because: "mfill_atomic_pte_zeropage: the zero page, or a page of zeros",
        tests: &["uffd"],
    },
    Conclusion {
        ops: &[Op::UffdMove, Op::UffdContinue],
        objects: &[End::Userfaultfd],
        sinks: &[],
        when: "always",
        class: Class::Mapped,
        because: "move_pages and mfill_atomic_pte_continue change page tables only",
        tests: &["uffd-move", "uffd-continue"],
    },
    Conclusion {
        ops: READS,
        objects: &[End::Pipe],
        sinks: &[],
        when: "always",
        class: Class::CopiedToUser,
        because: "copy_page_to_iter in pipe_read",
        tests: &["pipe"],
    },
    Conclusion {
        ops: WRITES,
        objects: &[End::Pipe],
        sinks: &[],
        when: "always",
        class: Class::CopiedFromUser,
        because: "copy_page_from_iter in pipe_write",
        tests: &["pipe"],
    },
    Conclusion {
        ops: RECEIVES,
        objects: &[End::Tcp, End::Udp, End::Unix, End::Socket("netlink")],
        sinks: &[],
        when: "TCP: a stream without an upper-layer protocol or a BPF program; UDP: datagrams; not MSG_SOCK_DEVMEM; with MSG_TRUNC: no more than fits in the buffer, and not a look at TCP",
        class: Class::CopiedToUser,
        because: "skb_copy_datagram_iter in tcp_recvmsg_locked, udp_recvmsg, unix_stream_read_generic, __unix_dgram_recvmsg and netlink_recvmsg",
        tests: &["tcp", "udp-small", "udp-trunc", "unix-stream", "unix-dgram"],
    },
    Conclusion {
        ops: &[Op::Recv],
        objects: &[End::Tcp],
        sinks: &[],
        when: "MSG_TRUNC, under the conditions above",
        class: Class::Synthetic,
        because: "tcp_recvmsg_locked skips the copy; tls_sw_recvmsg does not",
        tests: &["tcp-trunc"],
    },
    Conclusion {
        ops: SENDS,
        objects: &[End::Tcp, End::Udp, End::Unix, End::Socket("netlink")],
        sinks: &[],
        when: "as for receives; without MSG_ZEROCOPY",
        class: Class::CopiedFromUser,
        because: "skb_do_copy_data_nocache or copy_page_from_iter in tcp_sendmsg_locked, ip_generic_getfrag, skb_copy_datagram_from_iter in unix sockets, memcpy_from_msg in netlink_sendmsg",
        tests: &["tcp", "udp-small", "udp-large", "unix-stream", "unix-dgram"],
    },
    Conclusion {
        ops: &[Op::SendZerocopy],
        objects: &[End::Tcp, End::Udp, End::Unix, End::Socket("netlink")],
        sinks: &[],
        when: "the socket lacks SO_ZEROCOPY, or is a unix socket, or is a datagram socket whose route lacks scatter-gather",
        class: Class::CopiedFromUser,
        because: "msg_zerocopy_realloc is not reached (SOCK_ZEROCOPY in tcp_sendmsg_locked and __ip_append_data), or NETIF_F_SG is missing in __ip_append_data; unix and netlink sockets ignore the flag",
        tests: &["zc-tcp-off", "zc-udp-nosg"],
    },
    Conclusion {
        ops: &[Op::RecvZerocopy],
        objects: &[End::Tcp],
        sinks: &[],
        when: "the bytes that the call reports as mapped",
        class: Class::Mapped,
        because: "tcp_zerocopy_receive: tcp_zerocopy_receive.length",
        tests: &["zc-receive"],
    },
    Conclusion {
        ops: &[Op::RecvZerocopy],
        objects: &[End::Tcp],
        sinks: &[],
        when: "the bytes that the call reports as copied",
        class: Class::CopiedToUser,
        because: "tcp_zerocopy_receive: tcp_zerocopy_receive.copybuf_len",
        tests: &["zc-receive"],
    },
    Conclusion {
        ops: READS,
        objects: &[End::Char("mem")],
        sinks: &[],
        when: "null, zero, random, urandom",
        class: Class::Synthetic,
        because: "read_iter_zero, read_iter_null and get_random_bytes_user generate the bytes",
        tests: &["char-zero", "char-null", "char-urandom", "char-random"],
    },
    Conclusion {
        ops: WRITES,
        objects: &[End::Char("mem")],
        sinks: &[],
        when: "null, zero, random, urandom",
        class: Class::Synthetic,
        because: "write_iter_null throws the bytes away; write_pool_user mixes them in",
        tests: &["char-zero", "char-null", "char-urandom", "char-random"],
    },
    Conclusion {
        ops: READS,
        objects: &[
            End::Char("pts"),
            End::Char("ptm"),
            End::Char("tty"),
            End::Char("/dev/tty"),
            End::Char("ttyS"),
            End::Char("fuse"),
        ],
        sinks: &[],
        when: "terminals and /dev/fuse",
        class: Class::CopiedToUser,
        because: "copy_to_iter in iterate_tty_read; fuse_copy_do in fuse_dev_do_read",
        tests: &["tty", "file-fuse"],
    },
    Conclusion {
        ops: WRITES,
        objects: &[
            End::Char("pts"),
            End::Char("ptm"),
            End::Char("tty"),
            End::Char("/dev/tty"),
            End::Char("ttyS"),
            End::Char("fuse"),
        ],
        sinks: &[],
        when: "terminals and /dev/fuse",
        class: Class::CopiedFromUser,
        because: "copy_from_iter in iterate_tty_write; fuse_copy_do in fuse_dev_do_write",
        tests: &["tty", "file-fuse"],
    },
    Conclusion {
        ops: JOINS,
        objects: LENDING,
        sinks: &[End::Pipe],
        when: "without O_DIRECT and DAX; tmpfs without holes",
        class: Class::Spliced,
        because: "filemap_splice_read and shmem_file_splice_read lend pages (vfs_splice_read copies for O_DIRECT and DAX since 6.5); splice_pipe_to_pipe moves buffers",
        tests: &[
            "splice-tmpfs-pipe",
            "splice-ext4-pipe",
            "splice-pipe-pipe",
            "sendfile-pipe",
            "splice-direct-pipe",
        ],
    },
    Conclusion {
        ops: JOINS,
        objects: LENDING,
        sinks: &[End::Tcp, End::Unix],
        when: "as for a pipe; TCP: a stream without an upper-layer protocol or a BPF program, over hardware or loopback with scatter-gather and checksum offload, also below a bridge, bond, VLAN or macvlan; unix: a stream",
        class: Class::Spliced,
        because: "splice_to_socket with MSG_SPLICE_PAGES, before 6.5 tcp_sendpage and unix_stream_sendpage; sk_route_caps and the route's device decide about later copies",
        tests: &[
            "sendfile-tcp",
            "sendfile-ext4-tcp",
            "sendfile-unix",
            "splice-tcp",
            "sendfile-nosg",
            "vmsplice-tcp",
        ],
    },
    Conclusion {
        ops: JOINS,
        objects: LENDING,
        sinks: &[End::Char("mem")],
        when: "as for a pipe; null, zero, random, urandom",
        class: Class::Synthetic,
        because: "splice_write_null drops the buffers; the others write by iter_file_splice_write",
        tests: &["splice-pipe-null", "sendfile-null"],
    },
    Conclusion {
        ops: JOINS,
        objects: LENDING,
        sinks: LENDING_SINKS,
        when: "as for a pipe, on both sides; O_DIRECT on tmpfs as a sink",
        class: Class::CopiedInKernel,
        because: "iter_file_splice_write writes the pages like any other data",
        tests: &[
            "splice-pipe-tmpfs",
            "splice-pipe-ext4",
            "sendfile-file",
            "sendfile-file-ext4",
        ],
    },
    Conclusion {
        ops: JOINS,
        objects: LENDING,
        sinks: &[End::Unix],
        when: "as for a pipe; unix: datagrams and SOCK_SEQPACKET",
        class: Class::CopiedInKernel,
        because: "unix_dgram_sendmsg does not support MSG_SPLICE_PAGES, and sock_no_sendpage copied before 6.5",
        tests: &["sendfile-unix-dgram", "sendfile-unix-seqpacket"],
    },
    Conclusion {
        ops: &[Op::CopyFileRange],
        objects: LENDING_SINKS,
        sinks: LENDING_SINKS,
        when: "unless both are on xfs, btrfs or other filesystems that can share extents",
        class: Class::CopiedInKernel,
        because: "no copy_file_range and no remap_file_range in the file's operations: vfs_copy_file_range calls do_splice_direct",
        tests: &["copy-tmpfs", "copy-ext4"],
    },
    Conclusion {
        ops: &[Op::Tee, Op::UringTee],
        objects: &[End::Pipe],
        sinks: &[End::Pipe],
        when: "always",
        class: Class::Spliced,
        because: "link_pipe takes references to buffers",
        tests: &["tee"],
    },
    Conclusion {
        ops: &[Op::Vmsplice],
        objects: &[End::Pipe],
        sinks: &[],
        when: "into the pipe",
        class: Class::Spliced,
        because: "iter_to_pipe takes references to pages",
        tests: &["vmsplice", "vmsplice-gift"],
    },
    Conclusion {
        ops: &[Op::Vmsplice],
        objects: &[End::Pipe],
        sinks: &[],
        when: "out of the pipe",
        class: Class::CopiedToUser,
        because: "copy_page_to_iter in pipe_to_user",
        tests: &["vmsplice-out"],
    },
    Conclusion {
        ops: &[Op::Clone],
        objects: REFLINKING,
        sinks: REFLINKING,
        when: "the call succeeds; not the first block of a file on btrfs or overlayfs: btrfs copies a block that is within its metadata",
        class: Class::Cloned,
        because: "remap_file_range shares extents",
        tests: &[
            "clone-xfs",
            "clone-btrfs",
            "clone-btrfs-inline",
            "clone-overlay",
        ],
    },
    Conclusion {
        ops: &[Op::ProcessVm],
        objects: &[End::Anon],
        sinks: &[],
        when: "process_vm_readv",
        class: Class::CopiedToUser,
        because: "copy_page_to_iter in process_vm_rw_pages",
        tests: &["process-vm"],
    },
    Conclusion {
        ops: &[Op::ProcessVm],
        objects: &[End::Anon],
        sinks: &[],
        when: "process_vm_writev",
        class: Class::CopiedFromUser,
        because: "copy_page_from_iter in process_vm_rw_pages",
        tests: &["process-vm"],
    },
];

/// [`LENDING`] without pipes, which take references as sinks.
const LENDING_SINKS: &[End<'static>] = &[
    End::File("tmpfs"),
    End::File("devtmpfs"),
    End::File("rootfs"),
    End::File("ramfs"),
    End::File("ext2"),
    End::File("ext3"),
    End::File("ext4"),
    End::File("xfs"),
    End::File("btrfs"),
    End::File("vfat"),
    End::File("msdos"),
    End::Block,
];
const REFLINKING: &[End<'static>] = &[End::File("xfs"), End::File("btrfs"), End::File("overlay")];

/// The table in Markdown.
#[must_use]
pub(super) fn table() -> String {
    let mut text = String::from(
        "\n## What the tracepoints backend concludes\n\nEverything else is `unexplained`. \
         The contradiction hunt compares each row with the functions backend, using random operations.\n\n\
         | operations | objects | when | class | because | traffic that would fail |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in ALL {
        let ops: Vec<_> = row.ops.iter().map(|op| op.name()).collect();
        let names = |ends: &[End<'_>]| {
            let names: Vec<_> = ends.iter().map(End::to_string).collect();
            names.join(", ")
        };
        let mut objects = names(row.objects);
        if !row.sinks.is_empty() {
            let _ = write!(objects, " -> {}", names(row.sinks));
        }
        let _ = writeln!(
            text,
            "| {} | {objects} | {} | `{}` | {} | {} |",
            ops.join(", "),
            row.when,
            field(row.class),
            row.because,
            row.tests.join(", "),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_reports() {
        let fields = Class::ALL.map(field);
        assert_eq!(
            fields,
            crate::ledger::Totals::default()
                .classes()
                .map(|(name, _)| name)
        );
    }

    #[test]
    fn only_what_stands_there_is_concluded() {
        let is = |op, object: &str, class| is_concluded(op, &object.into(), class);
        assert!(is(Op::Sendfile, "file:ext4->tcp", Class::Spliced));
        assert!(!is(Op::Sendfile, "file:ext4->socket:mptcp", Class::Spliced));
        assert!(!is(Op::Sendfile, "file:overlay->tcp", Class::Spliced));
        assert!(is(Op::Read, "file:overlay", Class::CopiedToUser));
        assert!(!is(Op::UringRead, "file:ext4", Class::Direct));
        assert!(!is(Op::Tee, "pipe", Class::Spliced));
    }
}
