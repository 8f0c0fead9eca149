//! What the functions of the catalog take first, to recognise them.
//!
//! The kernel finds a function by its name, and what arguments the function has in its own description of types. These
//! are made apart from each other, and a name can be that of another function in one of them: in Debian's Linux 6.12 for
//! arm64 `read_zero` is described as one of KVM's, which was inlined. A program attached there would hand over too few
//! arguments to the function that is meant, and `read` from `/dev/zero` would return 1.

/// Functions by the type of their first argument, on all kernels that were looked at.
const FIRST: &[(&str, &[&str])] = &[
    ("*dio", &["dio_bio_complete", "dio_complete"]),
    ("*packet_sock", &["packet_xmit"]),
    ("*bio", &["blkdev_bio_end_io", "blkdev_bio_end_io_async"]),
    (
        "*file",
        &[
            "generic_file_splice_read",
            "vfs_dedupe_file_range_one",
            "do_splice",
            "do_tee",
            "filemap_splice_read",
            "mem_read",
            "mem_write",
            "packet_mmap",
            "packet_poll",
            "read_zero",
            "shmem_file_splice_read",
            "userfaultfd_ioctl",
            "vfs_clone_file_range",
            "vfs_copy_file_range",
            "vfs_read",
            "vfs_readv",
            "vfs_write",
            "vfs_writev",
            "write_null",
            "xsk_poll",
        ],
    ),
    ("*folio", &["copy_user_large_folio"]),
    ("gfp_t", &["vma_alloc_folio", "vma_alloc_folio_noprof"]),
    ("*inode", &["io_uring_release"]),
    ("int", &["__sys_recvfrom", "__sys_sendto", "do_sendfile"]),
    (
        "*io_kiocb",
        &[
            "io_issue_sqe",
            "io_poll_issue",
            "io_req_rw_complete",
            "io_req_task_submit",
        ],
    ),
    ("io_tw_req", &["io_req_rw_complete", "io_req_task_submit"]),
    ("*io_wq_work", &["io_wq_submit_work"]),
    ("*iomap_dio", &["iomap_dio_complete"]),
    ("*iomap_iter", &["iomap_iter"]),
    (
        "*kiocb",
        &[
            "__blockdev_direct_IO",
            "iomap_file_buffered_write",
            "__iomap_dio_rw",
            "aio_complete_rw",
            "aio_read",
            "aio_write",
            "anon_pipe_read",
            "anon_pipe_write",
            "blkdev_read_iter",
            "blkdev_write_iter",
            "filemap_read",
            "generic_perform_write",
            "hugetlbfs_read_iter",
            "iomap_dio_rw",
            "pipe_read",
            "pipe_write",
            "random_read_iter",
            "read_iter_zero",
            "seq_read_iter",
            "shmem_file_read_iter",
            "tty_read",
            "tty_write",
            "urandom_read_iter",
            "write_iter_null",
        ],
    ),
    ("*kioctx", &["io_submit_one"]),
    ("*mm_struct", &["mcopy_atomic", "mfill_zeropage"]),
    ("*msg_msg", &["copy_msg"]),
    ("*msghdr", &["__zerocopy_sg_from_iter"]),
    ("*page", &["copy_user_huge_page"]),
    ("pid_t", &["process_vm_rw"]),
    (
        "*pipe_inode_info",
        &["__splice_from_pipe", "splice_write_null"],
    ),
    (
        "*pt_regs",
        &[
            "__arm64_sys_mq_timedreceive",
            "__arm64_sys_mq_timedsend",
            "__arm64_sys_msgrcv",
            "__arm64_sys_msgsnd",
            "__arm64_sys_process_vm_readv",
            "__arm64_sys_process_vm_writev",
            "__arm64_sys_vmsplice",
            "__x64_sys_mq_timedreceive",
            "__x64_sys_mq_timedsend",
            "__x64_sys_msgrcv",
            "__x64_sys_msgsnd",
            "__x64_sys_process_vm_readv",
            "__x64_sys_process_vm_writev",
            "__x64_sys_vmsplice",
        ],
    ),
    (
        "*sk_buff",
        &[
            "packet_parse_headers",
            "tpacket_ubuf_complete",
            "skb_copy_datagram_from_iter",
            "io_tx_ubuf_callback",
            "__pskb_pull_tail",
            "io_tx_ubuf_complete",
            "io_uring_tx_zerocopy_callback",
            "msg_zerocopy_callback",
            "msg_zerocopy_complete",
            "skb_copy",
            "skb_copy_bits",
            "skb_copy_datagram_iter",
            "skb_copy_expand",
            "skb_copy_ubufs",
            "skb_segment",
            "skb_splice_bits",
            "skb_splice_from_iter",
            "skb_store_bits",
            "tpacket_rcv",
        ],
    ),
    (
        "*sock",
        &[
            "skb_zerocopy_iter_stream",
            "sk_msg_memcopy_from_iter",
            "sk_msg_zerocopy_from_iter",
            "__sk_msg_recvmsg",
            "__xsk_generic_xmit",
            "do_tcp_sendpages",
            "mptcp_sendmsg",
            "msg_zerocopy_realloc",
            "sk_msg_recvmsg",
            "tcp_sendmsg_locked",
            "tcp_zerocopy_receive",
            "udp_recvmsg",
            "udpv6_recvmsg",
        ],
    ),
    (
        "*socket",
        &[
            "packet_sendmsg",
            "___sys_recvmsg",
            "___sys_sendmsg",
            "unix_stream_sendpage",
            "xsk_bind",
            "xsk_recvmsg",
        ],
    ),
    ("*ubuf_info", &["msg_zerocopy_put_abort"]),
    (
        "*userfaultfd_ctx",
        &["mfill_atomic_copy", "mfill_atomic_zeropage"],
    ),
    ("*vm_area_struct", &["copy_page_range"]),
    (
        "*vm_fault",
        &["do_fault", "do_set_pte", "do_wp_page", "set_pte_range"],
    ),
    (
        "*void",
        &[
            "ip_generic_getfrag",
            "load_msg",
            "simple_read_from_buffer",
            "store_msg",
        ],
    ),
    ("*xdp_sock", &["__xsk_rcv"]),
];

/// The types that the first argument of `function` has on kernels known so far; none for a function of a module, which is
/// found by the module's name too.
pub fn first_argument(function: &str) -> impl Iterator<Item = &'static str> {
    FIRST
        .iter()
        .filter(move |(_, functions)| functions.contains(&function))
        .map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Kind, probes};

    #[test]
    fn every_traced_function_of_the_kernel_can_be_recognised() {
        let traced = probes()
            .flat_map(|probe| probe.ways)
            .filter(|way| matches!(way.kind, Kind::FEntry | Kind::FExit) && way.module.is_none())
            .map(|way| way.symbol);
        let unknown: Vec<_> = traced
            .filter(|function| first_argument(function).next().is_none())
            .collect();
        assert_eq!(unknown, [] as [&str; 0]);
    }
}
