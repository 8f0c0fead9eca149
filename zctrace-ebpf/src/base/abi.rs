//! Constants of the kernel's interfaces that are not in its BTF.

/// `O_DIRECT`.
#[cfg(bpf_target_arch = "aarch64")]
pub(crate) const O_DIRECT: u32 = 0o200_000;
/// `O_DIRECT`.
#[cfg(not(bpf_target_arch = "aarch64"))]
pub(crate) const O_DIRECT: u32 = 0o40_000;
/// `FMODE_WRITE`: the write end of a pipe.
pub(crate) const FMODE_WRITE: u32 = 2;
/// `FMODE_PATH`: opened with `O_PATH`.
pub(crate) const FMODE_PATH: u32 = 0x4000;
/// Every flag of `splice`.
pub(crate) const SPLICE_F_ALL: u32 = 0x0f;
/// `SPLICE_F_MOVE` and `SPLICE_F_GIFT`.
pub(crate) const SPLICE_F_MOVE_OR_GIFT: u32 = 0x01 | 0x08;

// include/uapi/linux/fs.h
pub(crate) const FICLONE: u64 = 0x4004_9409;
pub(crate) const FICLONERANGE: u64 = 0x4020_940d;
pub(crate) const FIDEDUPERANGE: u64 = 0xc018_9436;

// include/uapi/linux/userfaultfd.h
pub(crate) const UFFDIO_COPY: u64 = 0xc028_aa03;
pub(crate) const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
pub(crate) const UFFDIO_MOVE: u64 = 0xc028_aa05;
pub(crate) const UFFDIO_CONTINUE: u64 = 0xc020_aa07;

/// `MSG_COPY` of `msgrcv`: the message stays in the queue (include/uapi/linux/msg.h).
pub(crate) const MSG_COPY: u64 = 0o40_000;
/// `EEXIST`, for what the helpers of maps return.
pub(crate) const EEXIST: i32 = 17;
/// A pointer above the negative of this is an error number.
pub(crate) const MAX_ERRNO: u64 = 4095;

// include/linux/socket.h
pub(crate) const MSG_OOB: u32 = 0x01;
pub(crate) const MSG_PEEK: u32 = 0x02;
pub(crate) const MSG_TRUNC: u32 = 0x20;
pub(crate) const MSG_ERRQUEUE: u32 = 0x2000;
pub(crate) const MSG_SOCK_DEVMEM: u32 = 0x0200_0000;
pub(crate) const MSG_ZEROCOPY: u32 = 0x0400_0000;
/// The pages of the message should be referenced (6.5 and later).
pub(crate) const MSG_SPLICE_PAGES: u32 = 0x0800_0000;

pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
pub(crate) const AF_VSOCK: u16 = 40;
pub(crate) const AF_XDP: u16 = 44;
pub(crate) const IPPROTO_TCP: u16 = 6;
pub(crate) const IPPROTO_UDP: u16 = 17;
pub(crate) const IPPROTO_ICMPV6: u16 = 58;
pub(crate) const IPPROTO_UDPLITE: u16 = 136;
pub(crate) const SOCK_STREAM: u16 = 1;
pub(crate) const SOCK_DGRAM: u16 = 2;
pub(crate) const SOCK_RAW: u16 = 3;
/// `NETIF_F_SG`, bit `NETIF_F_SG_BIT`.
pub(crate) const NETIF_F_SG: u64 = 1;
pub(crate) const NETIF_F_IP_CSUM: u64 = 1 << 1;
pub(crate) const NETIF_F_HW_CSUM: u64 = 1 << 3;
pub(crate) const NETIF_F_IPV6_CSUM: u64 = 1 << 4;

pub(crate) const S_IFMT: u16 = 0o170_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFSOCK: u16 = 0o140_000;
pub(crate) const S_IFBLK: u16 = 0o060_000;
pub(crate) const S_IFCHR: u16 = 0o020_000;
pub(crate) const S_IFIFO: u16 = 0o010_000;

// include/linux/sched.h
pub(crate) const PF_EXITING: u32 = 0x0000_0004;
pub(crate) const PF_IO_WORKER: u32 = 0x0000_0010;
/// Linux 6.4 and later. Threads of io_uring have it too.
pub(crate) const PF_USER_WORKER: u32 = 0x0000_4000;
pub(crate) const PF_KTHREAD: u32 = 0x0020_0000;

// include/uapi/linux/bpf.h
pub(crate) const BPF_NOEXIST: u64 = 1;
/// Memory for an entry of the map is allocated only when the entry is made.
pub(crate) const BPF_F_NO_PREALLOC: u32 = 1;

// include/uapi/linux/magic.h
pub(crate) const EXT_MAGIC: u64 = 0xef53;
pub(crate) const XFS_MAGIC: u64 = 0x5846_5342;
pub(crate) const BTRFS_MAGIC: u64 = 0x9123_683e;
pub(crate) const TMPFS_MAGIC: u64 = 0x0102_1994;
pub(crate) const F2FS_MAGIC: u64 = 0xf2f5_2010;
pub(crate) const EROFS_MAGIC: u64 = 0xe0f5_e1e2;
pub(crate) const FUSE_MAGIC: u64 = 0x6573_5546;
pub(crate) const SQUASHFS_MAGIC: u64 = 0x7371_7368;
pub(crate) const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
pub(crate) const MSDOS_MAGIC: u64 = 0x4d44;
pub(crate) const RAMFS_MAGIC: u64 = 0x8584_58f6;
pub(crate) const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;
pub(crate) const PROC_MAGIC: u64 = 0x9fa0;
pub(crate) const SYSFS_MAGIC: u64 = 0x6265_6572;
pub(crate) const CGROUP2_MAGIC: u64 = 0x6367_7270;
pub(crate) const DEBUGFS_MAGIC: u64 = 0x6462_6720;
pub(crate) const TRACEFS_MAGIC: u64 = 0x7472_6163;

/// Where registers are that the kernel saved when a thread entered it: `struct pt_regs`.
#[cfg(not(bpf_target_arch = "aarch64"))]
pub(crate) mod regs {
    pub(crate) const PC: u32 = 128;
    pub(crate) const SP: u32 = 152;
    pub(crate) const FP: u32 = 32;
    /// A register for the return address; there is none.
    pub(crate) const LR: Option<u32> = None;
}

/// Where registers are that the kernel saved when a thread entered it: `struct user_pt_regs`.
#[cfg(bpf_target_arch = "aarch64")]
pub(crate) mod regs {
    pub(crate) const PC: u32 = 256;
    pub(crate) const SP: u32 = 248;
    pub(crate) const FP: u32 = 232;
    /// The register for the return address.
    pub(crate) const LR: Option<u32> = Some(240);
}
