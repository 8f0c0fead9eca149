//! What the user side tells the BPF programs at load time.
//!
//! Both records end up in frozen read-only maps, which the verifier treats as constants: an offset
//! costs a load, and a branch on a setting is decided before the program runs.

/// Value of an [`Offsets`] field that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $field:ident: $($source:literal)|+;)+) => {
        /// Byte offsets, bit positions and enum values of the running kernel, from its BTF.
        ///
        /// rustc emits no CO-RE relocations, so these are resolved by the user side.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Offsets {
            $($(#[$doc])* pub $field: u32,)+
        }

        impl Offsets {
            /// No field known.
            pub const NONE: Self = Self { $($field: ABSENT,)+ };

            /// The names of the fields.
            pub const NAMES: &[&'static str] = &[$(stringify!($field)),+];

            /// Resolves every field: `resolve` is given a source expression and returns its value.
            ///
            /// A source is `struct.member.member` for a byte offset, `struct.member[N]` for that of a 64-bit
            /// word in an array, `bit:struct.member` for a bit offset, `size:struct` for a size, `enum:TYPE.NAME` for an enumerator, or `arg:FUNCTION.NAME` for the position of a
            /// parameter, counted without the first. The first source that resolves is used; a
            /// field without one stays [`ABSENT`].
            pub fn resolve(mut resolve: impl FnMut(&str) -> Option<u32>) -> Self {
                let mut first = |sources: &[&str]| {
                    sources.iter().find_map(|source| resolve(source)).unwrap_or(ABSENT)
                };
                Self { $($field: first(&[$($source),+]),)+ }
            }

            /// Names of the fields that are [`ABSENT`].
            pub fn missing(&self) -> impl Iterator<Item = &'static str> + '_ {
                [$((stringify!($field), self.$field),)+]
                    .into_iter()
                    .filter_map(|(name, value)| (value == ABSENT).then_some(name))
            }
        }
    };
}

offsets! {
    /// Offset of the system call number in the saved registers.
    regs_nr: "pt_regs.orig_ax" | "pt_regs.syscallno";
    /// First argument of the system call in the saved registers.
    /// On arm64 the result takes its register, and it is kept beside.
    regs_arg0: "pt_regs.di" | "pt_regs.orig_x0";
    /// Second argument.
    regs_arg1: "pt_regs.si" | "pt_regs.regs[1]";
    /// Third argument.
    regs_arg2: "pt_regs.dx" | "pt_regs.regs[2]";
    /// Fourth argument.
    regs_arg3: "pt_regs.r10" | "pt_regs.regs[3]";
    /// Fifth argument.
    regs_arg4: "pt_regs.r8" | "pt_regs.regs[4]";
    /// Sixth argument.
    regs_arg5: "pt_regs.r9" | "pt_regs.regs[5]";
    /// Leader of the thread group.
    task_group_leader: "task_struct.group_leader";
    /// Start of the task in nanoseconds since boot, sleep included.
    task_start_boottime: "task_struct.start_boottime";
    /// Shared by the threads of a process.
    task_signal: "task_struct.signal";
    /// `PF_*`.
    task_flags: "task_struct.flags";
    /// Not 0 while the task must not wait for a page.
    task_faults_off: "task_struct.pagefault_disabled";
    /// Page faults of the task that needed no device, those for pages that a call pins among them.
    task_min_flt: "task_struct.min_flt";
    /// Those that did.
    task_maj_flt: "task_struct.maj_flt";
    /// Bytes that the task has read by read calls, those within the kernel among them (`CONFIG_TASK_XACCT`).
    task_rchar: "task_struct.ioac.rchar";
    /// The same of writes.
    task_wchar: "task_struct.ioac.wchar";
    /// Command name.
    task_comm: "task_struct.comm";
    /// Open files.
    task_files: "task_struct.files";
    /// The cgroups it is in.
    task_cgroups: "task_struct.cgroups";
    /// `TS_*` of the thread (x86) or its `TIF_*` (arm64): whether it runs a 32-bit system call.
    task_status: "task_struct.thread_info.status" | "task_struct.thread_info.flags";
    /// Thread id in the initial PID namespace.
    task_pid: "task_struct.pid";
    /// Thread group id in the initial PID namespace.
    task_tgid: "task_struct.tgid";
    /// Number of live threads.
    signal_live: "signal_struct.live";
    /// The cgroup in the v2 hierarchy.
    css_set_dfl_cgrp: "css_set.dfl_cgrp";
    /// Its directory.
    cgroup_kn: "cgroup.kn";
    /// Depth below the root.
    cgroup_level: "cgroup.level";
    /// Ids from the root down, or pointers (5.19 and later: `ancestors`).
    cgroup_ancestors: "cgroup.ancestors";
    /// The id that `/sys/fs/cgroup/…` shows as inode number.
    kernfs_node_id: "kernfs_node.id";
    /// The table of open files.
    files_fdt: "files_struct.fdt";
    /// Array of `struct file *`.
    fdtable_fd: "fdtable.fd";
    /// Length of that array.
    fdtable_max_fds: "fdtable.max_fds";
    /// The inode of an open file.
    file_inode: "file.f_inode";
    /// `O_*`.
    file_flags: "file.f_flags";
    /// `FMODE_*`.
    file_mode: "file.f_mode";
    /// A socket file's `struct socket`.
    file_private_data: "file.private_data";
    /// The page cache of an open file.
    file_mapping: "file.f_mapping";
    /// The inode that owns a page cache.
    mapping_host: "address_space.host";
    /// The inode within a block device's structure.
    bdev_inode: "bdev_inode.vfs_inode";
    /// The block device within that structure.
    bdev_bdev: "bdev_inode.bdev";
    /// A file's directory entry, for its name.
    file_dentry: "file.f_path.dentry" | "file.__f_path.dentry";
    /// Last component of its name.
    dentry_name: "dentry.d_name.name";
    /// `S_IF*` and permissions.
    inode_mode: "inode.i_mode";
    /// The mounted filesystem.
    inode_sb: "inode.i_sb";
    /// Device number of a device file.
    inode_rdev: "inode.i_rdev";
    /// Inode number.
    inode_ino: "inode.i_ino";
    /// Number of names.
    inode_nlink: "inode.i_nlink";
    /// Length in bytes.
    inode_size: "inode.i_size";
    /// Allocated 512-byte blocks.
    inode_blocks: "inode.i_blocks";
    /// `S_DAX` and its like.
    inode_flags: "inode.i_flags";
    /// Number of the bits of an offset within a block.
    inode_blkbits: "inode.i_blkbits";
    /// Length of a message in a queue.
    msg_size: "msg_msg.m_ts";
    /// The file that a `seq_file` was opened for.
    seq_file_file: "seq_file.file";
    /// The filesystem's type.
    sb_type: "super_block.s_type";
    /// The filesystem's magic number.
    sb_magic: "super_block.s_magic";
    /// Device number of the mount.
    sb_dev: "super_block.s_dev";
    /// The block device below, if there is one.
    sb_bdev: "super_block.s_bdev";
    /// What the filesystem keeps about the mount.
    sb_fs_info: "super_block.s_fs_info";
    /// xfs: the device for the data of realtime files.
    xfs_realtime: "xfs_mount.m_rtdev_targp";
    /// The block device of such a device.
    xfs_target_bdev: "xfs_buftarg.bt_bdev";
    /// f2fs: how many devices a filesystem of several has; 0 for one.
    f2fs_devices: "f2fs_sb_info.s_ndevs";
    /// erofs: the devices of a filesystem.
    erofs_devices: "erofs_sb_info.devs";
    /// How many there are besides the one that was mounted.
    erofs_extra_devices: "erofs_dev_context.extra_devices";
    /// Name of the filesystem type.
    fs_type_name: "file_system_type.name";
    /// The disk of a block device.
    bdev_disk: "block_device.bd_disk";
    /// Name of the disk.
    gendisk_name: "gendisk.disk_name";
    /// The block device of the whole disk.
    gendisk_part0: "gendisk.part0";
    /// What a block device hangs on.
    bdev_parent: "block_device.bd_device.parent";
    /// What a device hangs on.
    device_parent: "device.parent";
    /// The addresses that a device reaches by itself; null where it reaches none.
    device_dma_mask: "device.dma_mask";
    /// The bus of a device, null without one.
    device_bus: "device.bus";
    /// Its name.
    bus_name: "bus_type.name";
    /// Where the requests for a block device are queued.
    bdev_queue: "block_device.bd_queue";
    /// `BLK_FEAT_*` (6.11 and later).
    queue_features: "request_queue.limits.features";
    /// The file of a socket.
    socket_file: "socket.file";
    /// The protocol's socket.
    socket_sk: "socket.sk";
    /// What user space has given to TCP: the sequence number of the next byte.
    tcp_write_seq: "tcp_sock.write_seq";
    /// What the other side of a TCP connection has not acknowledged begins here.
    tcp_snd_una: "tcp_sock.snd_una";
    /// `TCP_ESTABLISHED` …
    sock_state: "sock.__sk_common.skc_state";
    /// Memory of packets that have not left yet, plus 1.
    sock_wmem_alloc: "sock.sk_wmem_alloc";
    /// `AF_*`.
    sock_family: "sock.__sk_common.skc_family";
    /// Local port, host order.
    sock_num: "sock.__sk_common.skc_num";
    /// Remote port, network order.
    sock_dport: "sock.__sk_common.skc_dport";
    /// Remote IPv4 address.
    sock_daddr: "sock.__sk_common.skc_daddr";
    /// Local IPv4 address.
    sock_rcv_saddr: "sock.__sk_common.skc_rcv_saddr";
    /// Remote IPv6 address.
    sock_v6_daddr: "sock.__sk_common.skc_v6_daddr";
    /// Local IPv6 address.
    sock_v6_rcv_saddr: "sock.__sk_common.skc_v6_rcv_saddr";
    /// `IPPROTO_*`.
    sock_protocol: "sock.sk_protocol";
    /// `SOCK_STREAM` …
    sock_type: "sock.sk_type";
    /// Bits of `enum sock_flags`.
    sock_flags: "sock.__sk_common.skc_flags";
    /// `NETIF_F_*` of the route.
    sock_route_caps: "sock.sk_route_caps";
    /// Not null where a BPF program or the kernel itself has taken the socket over.
    sock_user_data: "sock.sk_user_data";
    /// Length of a message that a sockmap's program is given.
    sk_msg_size: "sk_msg.sg.size";
    /// The cached route.
    sock_dst: "sock.sk_dst_cache";
    /// The device of a route.
    dst_dev: "dst_entry.dev";
    /// What encrypts on a route (IPsec).
    dst_xfrm: "dst_entry.xfrm";
    /// What made a device, null of hardware.
    netdev_link_ops: "net_device.rtnl_link_ops";
    /// The kind of devices that it makes.
    link_ops_kind: "rtnl_link_ops.kind";
    /// `NETIF_F_*` of a device.
    netdev_features: "net_device.features";
    /// The devices below a device: a list.
    netdev_lower: "net_device.adj_list.lower";
    /// The place in it of one of them.
    adjacent_list: "netdev_adjacent.list";
    /// The device at that place.
    adjacent_dev: "netdev_adjacent.dev";
    /// The devices above a device: a list.
    netdev_upper: "net_device.adj_list.upper";
    /// `IFF_*` of a device.
    netdev_flags: "net_device.flags";
    /// The network namespace of a device.
    netdev_net: "net_device.nd_net.net";
    /// Its queues to the hardware.
    netdev_tx: "net_device._tx";
    /// How many of them are in use.
    netdev_tx_number: "net_device.real_num_tx_queues";
    /// Its root queue.
    netdev_qdisc: "net_device.qdisc";
    /// Filters and programs for packets that leave.
    netdev_egress: "net_device.tcx_egress" | "net_device.miniq_egress";
    /// Those for packets that arrive.
    netdev_ingress: "net_device.tcx_ingress" | "net_device.miniq_ingress";
    /// Netfilter's hooks for packets that leave.
    netdev_hooks_egress: "net_device.nf_hooks_egress";
    /// Those for packets that arrive.
    netdev_hooks_ingress: "net_device.nf_hooks_ingress";
    /// A program for packets that arrive, run by the kernel instead of the driver.
    netdev_xdp: "net_device.xdp_prog";
    /// What queues packets before a queue to the hardware.
    tx_qdisc: "netdev_queue.qdisc_sleeping";
    /// The size of such a queue's structure.
    tx_size: "size:netdev_queue";
    /// What a queue does.
    qdisc_ops: "Qdisc.ops";
    /// Its own data.
    qdisc_data: "Qdisc.privdata";
    /// The name of a kind of queues.
    qdisc_id: "Qdisc_ops.id";
    /// The network namespace of a socket.
    sock_net: "sock.__sk_common.skc_net.net";
    /// Whether a TCP connection is under repair.
    tcp_repair: "bit:tcp_sock.repair";
    /// The generation of routes that a route for IPv4 belongs to.
    route_generation: "rtable.rt_genid";
    /// The current one of a network namespace.
    net_route_generation: "net.ipv4.rt_genid";
    /// What encapsulates on a route.
    dst_tunnel: "dst_entry.lwtstate";
    /// Netfilter's hooks for IPv4 of a network namespace.
    net_hooks_ipv4: "net.nf.hooks_ipv4";
    /// Those for IPv6.
    net_hooks_ipv6: "net.nf.hooks_ipv6";
    /// Those of bridges.
    net_hooks_bridge: "net.nf.hooks_bridge";
    /// How many hooks are at one place.
    hooks_number: "nf_hook_entries.num_hook_entries";
    /// The hooks, and behind them pointers to their descriptions.
    hooks_all: "nf_hook_entries.hooks";
    /// Who made a hook: `NF_HOOK_OP_*`.
    hook_maker: "nf_hook_ops.hook_ops_type";
    /// The priority of a hook.
    hook_priority: "nf_hook_ops.priority";
    /// The packet sockets of a network namespace.
    net_packet_sockets: "net.packet.sklist";
    /// The place of a socket in that list.
    sock_node: "sock.__sk_common.skc_node";
    /// The ring for received packets of a packet socket.
    packet_ring: "packet_sock.rx_ring.pg_vec";
    /// Name of a device.
    netdev_name: "net_device.name";
    /// Bit number in [`Offsets::sock_flags`].
    bit_sock_zerocopy: "enum:sock_flags.SOCK_ZEROCOPY";
    /// The upper-layer protocol of a TCP socket, such as kernel TLS.
    sock_ulp: "inet_connection_sock.icsk_ulp_ops";
    /// Name of an upper-layer protocol.
    ulp_name: "tcp_ulp_ops.name";
    /// `MSG_*`.
    msghdr_flags: "msghdr.msg_flags";
    /// Control data, or what one part of the kernel tells another.
    msghdr_control: "msghdr.msg_control";
    /// A caller's own `ubuf_info` (io_uring).
    msghdr_ubuf: "msghdr.msg_ubuf";
    /// Kind of memory behind a message.
    msghdr_iter_type: "msghdr.msg_iter.iter_type";
    /// Kind of memory behind an iterator.
    iter_type: "iov_iter.iter_type";
    /// Bytes left in an iterator.
    iter_count: "iov_iter.count";
    /// A single user buffer.
    iter_ubuf: "enum:iter_type.ITER_UBUF";
    /// A vector of user buffers.
    iter_iovec: "enum:iter_type.ITER_IOVEC";
    /// Pages of a pipe (6.1: sendfile and splice reads).
    iter_pipe: "enum:iter_type.ITER_PIPE";
    /// The file of a request.
    kiocb_filp: "kiocb.ki_filp";
    /// `IOCB_*`.
    kiocb_flags: "kiocb.ki_flags";
    /// `IOMAP_DIO_*`.
    iomap_dio_flags: "iomap_dio.flags";
    /// The request of a direct transfer.
    iomap_dio_iocb: "iomap_dio.iocb";
    /// What it has transferred.
    iomap_dio_size: "iomap_dio.size";
    /// What was transferred for the same call before it.
    iomap_dio_done_before: "iomap_dio.done_before";
    /// The size of its file.
    iomap_dio_i_size: "iomap_dio.i_size";
    /// Why it failed, or 0.
    iomap_dio_error: "iomap_dio.error";
    /// The inode of a file of which one mapping after the other is worked on.
    iomap_iter_inode: "iomap_iter.inode";
    /// Where in it the current mapping begins; where what has been done of it ends, in kernels with
    /// the next field.
    iomap_iter_pos: "iomap_iter.pos";
    /// Where the current mapping begins (6.15 and later).
    iomap_iter_start: "iomap_iter.iter_start_pos";
    /// Bytes done of the current mapping (before 6.15).
    iomap_iter_processed: "iomap_iter.processed";
    /// `IOMAP_*` of it.
    iomap_iter_flags: "iomap_iter.flags";
    /// Length of the current mapping, 0 before the first one.
    iomap_iter_length: "iomap_iter.iomap.length";
    /// What it is: `IOMAP_HOLE` and its like.
    iomap_iter_type: "iomap_iter.iomap.type";
    /// Where in the file a request begins, until it has ended.
    kiocb_pos: "kiocb.ki_pos";
    /// In the place of a request to a filesystem below overlayfs: the request itself.
    backing_aio_orig: "backing_aio.orig_iocb";
    /// The request of a transfer to or from a block device.
    blkdev_dio_iocb: "blkdev_dio.iocb";
    /// Its bytes.
    blkdev_dio_size: "blkdev_dio.size";
    /// The block request within it.
    blkdev_dio_bio: "blkdev_dio.bio";
    /// `BIO_CLONED` and its like.
    bio_flags: "bio.bi_flags";
    /// What a block request belongs to.
    bio_private: "bio.bi_private";
    /// Bytes in a packet.
    skb_len: "sk_buff.len";
    /// Bytes in its pages.
    skb_data_len: "sk_buff.data_len";
    /// The next packet in its list.
    skb_next: "sk_buff.next";
    /// Start of its linear buffer.
    skb_head: "sk_buff.head";
    /// End of its linear buffer, as an offset.
    skb_end: "sk_buff.end";
    /// Its network header, as an offset.
    skb_network_header: "sk_buff.network_header";
    /// What follows that header, as an offset.
    skb_transport_header: "sk_buff.transport_header";
    /// How far a packet of IPv4 has been cut into fragments.
    ip_frag_position: "ip_frag_state.ptr";
    /// The same of IPv6.
    ip6_frag_position: "ip6_frag_state.ptr";
    /// Bit offset of `cloned`.
    skb_bit_cloned: "bit:sk_buff.cloned";
    /// Bit offset of `head_frag`.
    skb_bit_head_frag: "bit:sk_buff.head_frag";
    /// References to the data.
    shinfo_dataref: "skb_shared_info.dataref";
    /// `SKBFL_*`.
    shinfo_flags: "skb_shared_info.flags";
    /// The `ubuf_info` of pages that a packet borrows.
    shinfo_destructor_arg: "skb_shared_info.destructor_arg";
    /// The socket of a packet.
    skb_sk: "sk_buff.sk";
    /// The device of a packet.
    skb_dev: "sk_buff.dev";
    /// References to borrowed pages.
    ubuf_refcnt: "ubuf_info.refcnt";
    /// The socket of a `struct sock`.
    sock_socket: "sock.sk_socket";
    /// The inode beside a socket.
    socket_inode: "socket_alloc.vfs_inode";
    /// Messages about errors and zero-copy sends, newest last.
    sock_error_queue_last: "sock.sk_error_queue.prev";
    /// Private data of a packet.
    skb_cb: "sk_buff.cb";
    /// Operation and flags of a transfer by `__blockdev_direct_IO`.
    dio_opf: "dio.opf";
    /// Bytes of it so far.
    dio_result: "dio.result";
    /// The disk of its last request; null if it has made none.
    dio_disk: "dio.bio_disk";
    /// Its errors.
    dio_io_error: "dio.io_error";
    /// Errors of the application's pages.
    dio_page_errors: "dio.page_errors";
    /// Length of the file when it began.
    dio_i_size: "dio.i_size";
    /// Its request.
    dio_iocb: "dio.iocb";
    /// Within that, the length of a message of a stream parser.
    cb_strp_full_len: "sk_skb_cb.strp.strp.full_len";
    /// Whether a TLS record is decrypted into the receiver's own pages (module tls).
    tls_decrypt_zc: "tls_decrypt_arg.zc";
    /// The packet with the record.
    tls_decrypt_skb: "tls_decrypt_arg.skb";
    /// Within those, of a message in the error queue: where it comes from.
    serr_origin: "sock_exterr_skb.ee.ee_origin";
    /// Its code.
    serr_code: "sock_exterr_skb.ee.ee_code";
    /// Of `getsockopt(TCP_ZEROCOPY_RECEIVE)`: bytes mapped.
    zc_length: "tcp_zerocopy_receive.length";
    /// Bytes copied into the buffer beside.
    zc_copied: "tcp_zerocopy_receive.copybuf_len";
    /// Chained packets.
    shinfo_frag_list: "skb_shared_info.frag_list";
    /// The mapping that faulted.
    vmf_vma: "vm_fault.vma";
    /// The address that faulted.
    vmf_address: "vm_fault.address";
    /// The copy of a private file mapping's page.
    vmf_cow_page: "vm_fault.cow_page";
    /// The page that was there.
    vmf_page: "vm_fault.page";
    /// The mapped file.
    vma_file: "vm_area_struct.vm_file";
    /// Null while the mapping has had no anonymous page.
    vma_anon: "vm_area_struct.anon_vma";
    /// Where a mapping ends.
    vma_end: "vm_area_struct.vm_end";
    /// The memory of a thread's process.
    task_mm: "task_struct.mm";
    /// Pages of it that are pinned for long, such as registered buffers of io_uring.
    mm_pinned: "mm_struct.pinned_vm";
    /// `VM_*`.
    vma_flags: "vm_area_struct.vm_flags";
    /// Pages in a large folio.
    folio_nr_pages: "folio._nr_pages" | "folio._folio_nr_pages";
    /// `PG_*` of a folio.
    folio_flags: "folio.flags";
    /// The page cache that it is in.
    folio_mapping: "folio.mapping";
    /// The one of them that says that it is large.
    folio_head: "enum:pageflags.PG_head";
    /// Bytes of a block request.
    bio_size: "bio.bi_iter.bi_size";
    /// Its segments.
    bio_io_vec: "bio.bi_io_vec";
    /// How many there are.
    bio_vcnt: "bio.bi_vcnt";
    /// The length of a segment.
    bvec_len: "bio_vec.bv_len";
    /// The page of a segment.
    bvec_page: "bio_vec.bv_page";
    /// Called when a request completes; null in a request that its caller waits for.
    kiocb_complete: "kiocb.ki_complete";
    /// The operation of an io_uring request.
    req_opcode: "io_kiocb.opcode";
    /// Its file.
    req_file: "io_kiocb.file";
    /// What belongs to its operation alone.
    req_cmd: "io_kiocb.cmd";
    /// `REQ_F_*`.
    req_flags: "io_kiocb.flags";
    /// `REQ_F_POLLED_BIT`: it has waited for its file at least once.
    req_polled: "enum:io_req_flags_bits.REQ_F_POLLED_BIT" | "enum:.REQ_F_POLLED_BIT";
    /// Its ring.
    req_ctx: "io_kiocb.ctx";
    /// How many requests the kernel has taken out of the submission queue of a ring so far.
    ctx_sq_taken: "io_ring_ctx.cached_sq_head";
    /// What the kernel and the application share of a ring.
    ctx_rings: "io_ring_ctx.rings";
    /// In that: how many the kernel has told that it has taken, which it does once for all of a submission.
    rings_sq_told: "io_rings.sq.head";
    /// What the application calls it.
    req_user_data: "io_kiocb.cqe.user_data";
    /// Its result.
    req_res: "io_kiocb.cqe.res";
    /// `IORING_CQE_F_*` of its completion.
    req_cqe_flags: "io_kiocb.cqe.flags";
    /// Its registered buffer (6.13 and later).
    req_buffer: "io_kiocb.buf_node";
    /// The memory of a registered buffer.
    buffer_memory: "io_rsrc_node.buf";
    /// Its lowest bit says that this is the kernel's, not the application's (6.15 and later): `IO_REGBUF_F_KBUF`.
    memory_flags: "io_mapped_ubuf.is_kbuf" | "io_mapped_ubuf.flags";
    /// Its place in a list of requests that complete.
    req_completing: "io_kiocb.comp_list";
    /// Of a ring, the first request whose completion is about to be told.
    ctx_completing: "io_ring_ctx.submit_state.compl_reqs.first";
    /// Its descriptor, before it is issued.
    req_fd: "io_kiocb.cqe.fd";
    /// `IORING_RECV_MULTISHOT` and the like of a send or receive.
    uring_msg_flags: "io_sr_msg.flags";
    /// `MSG_*` of it.
    uring_message_flags: "io_sr_msg.msg_flags";
    /// The descriptor that a splice reads from.
    uring_splice_in: "io_splice.splice_fd_in";
    /// `SPLICE_F_*` of it.
    uring_splice_flags: "io_splice.flags";
    /// How much it is asked for.
    uring_splice_len: "io_splice.len";
    /// Position of the completion among the arguments of its tracepoint (6.16 and later).
    arg_complete_cqe: "arg:__traceiter_io_uring_complete.cqe" | "arg:__bpf_trace_io_uring_complete.cqe";
    /// Result of a completion.
    cqe_res: "io_uring_cqe.res";
    /// What the application calls the request.
    cqe_user_data: "io_uring_cqe.user_data";
    /// `IORING_CQE_F_*`.
    cqe_flags: "io_uring_cqe.flags";
    /// Packets to send of an AF_XDP socket.
    xsk_tx: "xdp_sock.tx";
    /// How far the kernel has read that ring.
    xsk_queue_cached_cons: "xsk_queue.cached_cons";
    /// What makes a position an index.
    xsk_queue_mask: "xsk_queue.ring_mask";
    /// The memory shared with the application.
    xsk_queue_ring: "xsk_queue.ring";
    /// The descriptors there.
    xdp_ring_desc: "xdp_rxtx_ring.desc";
    /// Length of a packet.
    xdp_desc_len: "xdp_desc.len";
    /// The socket that a hook for received packets belongs to.
    packet_type_private: "packet_type.af_packet_priv";
    /// Start of a received packet.
    xdp_data: "xdp_buff.data";
    /// Its end.
    xdp_data_end: "xdp_buff.data_end";
    /// The last member of an `xdp_buff`: 32 bits.
    xdp_flags: "xdp_buff.flags";
    /// Position of its length among the arguments (6.6 and later: it can have several parts).
    arg_xsk_rcv_len: "arg:__xsk_rcv.len";
    /// What a page belongs to.
    page_mapping: "page.mapping" | "folio.mapping";
    /// The first page of a large page, with bit 0 set.
    page_compound_head: "page.compound_head" | "page.compound_info";
}

/// Which tasks are the target. The first ones are put into the map of tasks by the user side; this
/// decides which join them.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those in the map and, unless told otherwise, their children.
    Tasks = 0,
    /// Every task.
    System = 1,
    /// Also every task with a command name.
    Comm = 2,
    /// Also every task in a cgroup or below.
    Cgroup = 3,
}

/// The dimension that `--by` adds to rows.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// None.
    Nothing = 0,
    /// Thread id.
    Thread = 1,
    /// Device and inode number.
    File = 2,
    /// Device number of the mount.
    Mount = 3,
    /// The socket.
    Connection = 4,
    /// Id of the cgroup.
    Cgroup = 5,
    /// Whether the file has no name: what is in it, only those wrote who have it open.
    Unnamed = 6,
    /// The region that the thread or its process has marked.
    Region = 7,
}

/// What to trace.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The cgroup of [`Scope::Cgroup`].
    pub cgroup: u64,
    /// A stack is sampled whenever this many bytes were copied; 0: never.
    pub stack_bytes: u64,
    /// The kernel's page size.
    pub page_size: u64,
    /// Inode number of the pipe that regions are marked on; 0 without one.
    pub region_inode: u64,
    /// A [`Scope`].
    pub scope: u32,
    /// A [`By`].
    pub by: u32,
    /// Not 0: children of a target are targets.
    pub follow: u32,
    /// zctrace itself, never a target of [`Scope::System`].
    pub own_tgid: u32,
    /// Not 0: breakpoints are set on copy routines.
    pub audited: u32,
    /// The device of the pipe that regions are marked on, as the kernel numbers it.
    pub region_device: u32,
    /// Not 0: memory of a sampled user's stack is kept, to unwind it.
    pub unwind: u32,
    /// Not 0: programs are attached in pairs, because the kernel can preempt them.
    pub twins: u32,
    /// Not 0: operations are counted by their size too.
    pub sizes: u32,
    /// Depth of [`Settings::cgroup`] below the root.
    pub cgroup_level: u32,
    /// The name of [`Scope::Comm`], padded with zeros.
    pub comm: [u8; crate::COMM_LEN],
}

impl Settings {
    /// Nothing but the tasks in the map.
    pub const DEFAULT: Self = Self {
        cgroup: 0,
        stack_bytes: 0,
        page_size: 4096,
        region_inode: 0,
        scope: Scope::Tasks as u32,
        by: By::Nothing as u32,
        follow: 1,
        own_tgid: 0,
        audited: 0,
        region_device: 0,
        unwind: 0,
        cgroup_level: 0,
        twins: 0,
        sizes: 0,
        comm: [0; crate::COMM_LEN],
    };
}

const _: () = assert!(size_of::<Settings>() == 88);
