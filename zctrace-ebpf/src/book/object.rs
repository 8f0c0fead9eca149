//! What an operation works on: from `struct file` and `struct sock` to a packed object.

use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use zctrace_common::{
    ABSENT, By, IPPROTO_ICMP, IPPROTO_MPTCP, IPPROTO_RAW, IPPROTO_SCTP, Label, Object, ObjectKind,
    Request, Task,
};

use crate::{
    base::{
        abi::{
            AF_INET, AF_INET6, AF_UNIX, AF_VSOCK, AF_XDP, BTRFS_MAGIC, EROFS_MAGIC, EXT_MAGIC,
            F2FS_MAGIC, FUSE_MAGIC, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
            MSDOS_MAGIC, OVERLAYFS_MAGIC, RAMFS_MAGIC, S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT, S_IFREG,
            S_IFSOCK, SOCK_RAW, TMPFS_MAGIC, XFS_MAGIC,
        },
        global::global,
        kernel::{self, Access, Probed, Typed},
        loss::lost,
        maps::{FS_NAMES, LABELS, offset, setting},
        words,
    },
    book::{mark, region},
};

/// An object that could not be read.
pub(crate) const UNKNOWN: u64 = Object::pack(ObjectKind::Unknown, 0);
/// A pipe.
pub(crate) const PIPE: u64 = Object::pack(ObjectKind::Pipe, 0);
/// A POSIX message queue.
pub(crate) const MQUEUE: u64 = Object::pack(ObjectKind::Mqueue, 0);
/// A System V message queue.
pub(crate) const MSGQUEUE: u64 = Object::pack(ObjectKind::Msgqueue, 0);
/// Memory that a process fills in itself.
pub(crate) const USERFAULTFD: u64 = Object::pack(ObjectKind::Userfaultfd, 0);
/// An AF_XDP socket.
pub(crate) const XDP: u64 = Object::pack(ObjectKind::Socket, AF_XDP as u64);
/// Anonymous memory.
pub(crate) const ANON: u64 = Object::pack(ObjectKind::Anon, 0);

/// The object or the two objects of an operation.
pub(crate) struct Ends {
    /// Packed [`Object`].
    pub(crate) source: u64,
    /// Packed [`Object`], or 0.
    pub(crate) sink: u64,
    /// Value of the `--by` dimension.
    pub(crate) dimension: u64,
    /// What was asked for and seen, a bit for each [`Mark`](zctrace_common::Mark).
    pub(crate) marks: u8,
    /// Address of the `struct file` of `source`, or 0.
    source_file: u64,
    /// Address of the `struct file` of `sink`, or 0.
    sink_file: u64,
}

impl Ends {
    /// An operation on something that is not a file.
    #[inline(always)]
    pub(crate) fn of(object: u64) -> Self {
        let dimension = match setting!(by) {
            by if is_of_task(by) => task_dimension(),
            _ => 0,
        };
        let zero = words::zero();
        Self {
            source: object,
            sink: zero,
            dimension,
            marks: zero as u8,
            source_file: zero,
            sink_file: zero,
        }
    }

    /// An operation on the page cache of an inode (typed pointer), whose file is not at hand: it has no dimension
    /// of files.
    #[inline(always)]
    pub(crate) fn inode(task: &mut Task, inode: *const u8) -> Self {
        let object = classify_inode::<Typed>(task, inode, inode);
        Self::of(words::opaque(task, object))
    }

    /// An operation on a socket whose file is not at hand (any pointer).
    #[inline(always)]
    pub(crate) fn sock(task: &mut Task, sock: *const u8) -> Self {
        let object = of_sock(sock);
        let mut ends = Self::of(words::opaque(task, object));
        if setting!(by) == By::Connection as u32 {
            ends.dimension = connection(sock);
        }
        ends
    }

    /// An operation on one file.
    #[inline(always)]
    pub(crate) fn file<A: Access>(task: &mut Task, file: *const u8) -> Self {
        let (source, marks) = of_file::<A>(task, file);
        Self {
            source,
            sink: 0,
            dimension: dimension(file, core::ptr::null()),
            marks,
            source_file: words::opaque(task, file as u64),
            sink_file: 0,
        }
    }

    /// Ends that were read earlier.
    #[inline(always)]
    pub(crate) fn stored(source: u64, sink: u64, dimension: u64) -> Self {
        Self {
            source,
            sink,
            dimension,
            marks: 0,
            source_file: 0,
            sink_file: 0,
        }
    }

    /// The ends of a request, as [`Ends::keep`] kept them.
    #[inline(always)]
    pub(crate) fn kept(request: &Request) -> Self {
        Self {
            source: request.source,
            sink: request.sink,
            dimension: request.dimension,
            marks: request.marks as u8,
            source_file: request.source_file,
            sink_file: request.sink_file,
        }
    }

    /// Keeps them with a request. It stays in the region in which it began: any thread can complete it.
    #[inline(always)]
    pub(crate) fn keep(&self, request: &mut Request) {
        request.source = self.source;
        request.sink = self.sink;
        if !region::are_marked() {
            request.dimension = self.dimension;
        }
        request.marks = self.marks.into();
        request.source_file = self.source_file;
        request.sink_file = self.sink_file;
    }

    /// Whether both files are on filesystems that may share extents instead of copying.
    #[inline(always)]
    pub(crate) fn may_reflink(&self) -> bool {
        reflinks(magic(self.source_file)) && reflinks(magic(self.sink_file))
    }

    /// An operation that joins two files.
    #[inline(always)]
    pub(crate) fn files<A: Access>(task: &mut Task, source: *const u8, sink: *const u8) -> Self {
        let (from, of_source) = of_file::<A>(task, source);
        let (into, of_sink) = of_file::<A>(task, sink);
        Self {
            source: from,
            sink: into,
            dimension: dimension(source, sink),
            marks: of_source | of_sink,
            source_file: words::opaque(task, source as u64),
            sink_file: words::opaque(task, sink as u64),
        }
    }
}

/// The kind of a packed object.
#[inline(always)]
pub(crate) fn is(object: u64, kind: ObjectKind) -> bool {
    Object::is(object, kind)
}

/// The object behind a `struct file`, [`UNKNOWN`] where there is none, and what its flags ask for. Those of
/// a socket ask for nothing.
#[inline(always)]
fn of_file<A: Access>(task: &mut Task, file: *const u8) -> (u64, u8) {
    if A::CAN_BE_NULL && file.is_null() {
        return (words::opaque(task, UNKNOWN), 0);
    }
    let object = classify::<A>(task, file);
    let marks = if A::CAN_BE_NULL && task.sock != 0 {
        0
    } else {
        mark::of_file::<A>(file)
    };
    (words::opaque(task, object), marks)
}

#[inline(always)]
fn classify<A: Access>(task: &mut Task, file: *const u8) -> u64 {
    if A::CAN_BE_NULL {
        return recognize(task, file as u64);
    }
    let inode = kernel::pointer::<A>(file, offset!(file_inode));
    classify_inode::<A>(task, file, inode)
}

/// What the file at an address is. Each read is a call of a helper here, and a thread often comes back to the same
/// files.
///
/// A function of its own, because its callers have little room on the stack.
#[inline(never)]
fn recognize(task: &mut Task, file: u64) -> u64 {
    let file = file as *const u8;
    let inode = kernel::pointer::<Probed>(file, offset!(file_inode));
    let ino: u64 = Probed::load(inode, offset!(inode_ino));
    let [last, before, first] = &task.met;
    for met in [last, before, first] {
        if met.file == file as u64 && met.inode == inode as u64 && met.ino == ino {
            task.sock = met.sock;
            return met.object;
        }
    }
    task.sock = 0;
    let object = classify_inode::<Probed>(task, file, inode);
    task.met[2] = task.met[1];
    task.met[1] = task.met[0];
    let met = &mut task.met[0];
    met.file = file as u64;
    met.inode = inode as u64;
    met.ino = ino;
    met.object = object;
    met.sock = task.sock;
    object
}

#[inline(always)]
fn classify_inode<A: Access>(task: &mut Task, file: *const u8, inode: *const u8) -> u64 {
    let mode: u16 = A::load(inode, offset!(inode_mode));
    match mode & S_IFMT {
        S_IFIFO => PIPE,
        S_IFSOCK => {
            let socket = kernel::pointer::<A>(file, offset!(file_private_data));
            let sock = kernel::pointer::<Probed>(socket, offset!(socket_sk));
            task.sock = sock as u64;
            of_sock(sock)
        }
        S_IFBLK => Object::pack(ObjectKind::Block, 0),
        S_IFCHR => Object::pack(
            ObjectKind::Char,
            u64::from(A::load::<u32>(inode, offset!(inode_rdev))),
        ),
        // Regular files, directories and anonymous inodes such as those of eventfd.
        _ => {
            let sb = kernel::pointer::<A>(inode, offset!(inode_sb));
            let fs_type = kernel::pointer::<A>(sb, offset!(sb_type));
            Object::pack(ObjectKind::File, words::opaque(task, fs_type as u64))
        }
    }
}

global! {
    /// Notes the name of the filesystem type behind a packed object, for the user side.
    pub(crate) fn remember_fs(object: u64) -> u32 {
        // As little of the stack as can be: io_uring's programs fill it before they call this.
        let key = &object;
        if !is(object, ObjectKind::File) || FS_NAMES.get_ptr(key).is_some() {
            return 0;
        }
        // Packing cut off the upper byte, which is 0xff in every kernel address.
        let fs_type = (object | 0xff << 56) as *const u8;
        let name = kernel::pointer::<Probed>(fs_type, offset!(fs_type_name));
        // Words, because bytes are cleared by a function with a frame of its own.
        let mut words = [0_u64; 2];
        // SAFETY: bytes may be at any address. The helper writes at most the length of `text` and checks the source.
        let text: &mut [u8; 16] = unsafe { &mut *(&raw mut words).cast() };
        // SAFETY: see above.
        unsafe {
            let _ = bpf_probe_read_kernel_str_bytes(name, text);
        }
        let text: &[u8; 16] = text;
        let _ = FS_NAMES.insert(key, text, 0);
        0
    }
}

/// Magic number of the filesystem of a file (any pointer).
#[inline(always)]
fn magic(file: u64) -> u64 {
    let inode = kernel::pointer::<Probed>(file as *const u8, offset!(file_inode));
    let sb = kernel::pointer::<Probed>(inode, offset!(inode_sb));
    Probed::load(sb, offset!(sb_magic))
}

/// The object behind a `struct sock`, which may be any pointer.
#[inline(always)]
pub(crate) fn of_sock(sock: *const u8) -> u64 {
    of_family(sock, family_and_ports(sock).0)
}

/// The ports of a `struct sock` (any pointer). With its address they identify the socket. They remain after the
/// application has closed it, unlike the inode number.
#[inline(always)]
pub(crate) fn ports(sock: *const u8) -> u32 {
    family_and_ports(sock).1
}

/// The family of a `struct sock` (any pointer) and its [`ports`]. They are adjacent, so one read gets both.
#[inline(always)]
fn family_and_ports(sock: *const u8) -> (u16, u32) {
    let at = offset!(sock_family).wrapping_sub(offset!(sock_dport));
    let word: u64 = Probed::load(sock, offset!(sock_dport));
    let family = if at <= 6 {
        (word >> ((at & 7) * 8)) as u16
    } else {
        Probed::load(sock, offset!(sock_family))
    };
    (family, word as u32)
}

#[inline(always)]
fn of_family(sock: *const u8, family: u16) -> u64 {
    match family {
        AF_UNIX => Object::pack(ObjectKind::Unix, 0),
        AF_VSOCK => Object::pack(ObjectKind::Vsock, 0),
        AF_INET | AF_INET6 => match ip_protocol(sock) {
            IPPROTO_TCP => Object::pack(ObjectKind::Tcp, 0),
            IPPROTO_UDP | IPPROTO_UDPLITE => Object::pack(ObjectKind::Udp, 0),
            IPPROTO_ICMP | IPPROTO_ICMPV6 => Object::ip_socket(IPPROTO_ICMP),
            protocol @ (IPPROTO_SCTP | IPPROTO_RAW | IPPROTO_MPTCP) => Object::ip_socket(protocol),
            _ => Object::pack(ObjectKind::Socket, u64::from(family)),
        },
        _ => Object::pack(ObjectKind::Socket, u64::from(family)),
    }
}

/// The protocol of a socket over IP; [`IPPROTO_RAW`] for any raw socket. A raw socket can be for the packets of TCP
/// without doing anything that TCP does.
#[inline(always)]
fn ip_protocol(sock: *const u8) -> u16 {
    // Adjacent in most kernels, so that one load is enough.
    let (kind, protocol) = if offset!(sock_protocol) == offset!(sock_type).wrapping_add(2) {
        let both: u32 = Probed::load(sock, offset!(sock_type));
        (both as u16, (both >> 16) as u16)
    } else {
        (
            Probed::load(sock, offset!(sock_type)),
            Probed::load(sock, offset!(sock_protocol)),
        )
    };
    if kind == SOCK_RAW {
        IPPROTO_RAW
    } else {
        protocol
    }
}

/// The `struct file` of a descriptor of the current task, as any pointer; null if there is none.
#[inline(always)]
pub(crate) fn file_of_fd(fd: u32) -> *const u8 {
    let files = kernel::pointer::<Typed>(kernel::current_task(), offset!(task_files));
    let table = kernel::pointer::<Typed>(files, offset!(files_fdt));
    if fd >= Typed::load::<u32>(table, offset!(fdtable_max_fds)) {
        return core::ptr::null();
    }
    let array = kernel::pointer::<Typed>(table, offset!(fdtable_fd));
    kernel::pointer::<Probed>(array.wrapping_add(fd as usize * 8), 0)
}

/// Whether a call that returned `result` had no file. `file` is the file of its descriptor now. If that is null but the
/// call found a file (`EBADF` says that it did not), another thread has closed the descriptor in the meantime.
#[inline(always)]
pub(crate) fn had_no_file(file: *const u8, result: i64) -> bool {
    const EBADF: i64 = 9;
    file.is_null() && result == -EBADF
}

/// Whether the dimension follows from the current task alone.
#[inline(always)]
const fn is_of_task(by: u32) -> bool {
    by == By::Thread as u32 || by == By::Cgroup as u32 || by == By::Region as u32
}

#[inline(always)]
fn task_dimension() -> u64 {
    if region::are_marked() {
        region::current_region()
    } else if setting!(by) == By::Thread as u32 {
        aya_ebpf::helpers::bpf_get_current_pid_tgid() & 0xffff_ffff
    } else {
        kernel::current_cgroup()
    }
}

#[inline(always)]
fn dimension(source: *const u8, sink: *const u8) -> u64 {
    match setting!(by) {
        by if by == By::Nothing as u32 => 0,
        by if is_of_task(by) => task_dimension(),
        _ => {
            let of_source = file_dimension(source as u64);
            if of_source != 0 || sink.is_null() {
                of_source
            } else {
                file_dimension(sink as u64)
            }
        }
    }
}

/// The file, mount or connection, whichever `--by` asks for; 0 for an object that has none.
#[inline(never)]
fn file_dimension(file: u64) -> u64 {
    let file = file as *const u8;
    if file.is_null() {
        return 0;
    }
    let inode = kernel::pointer::<Probed>(file, offset!(file_inode));
    let mode: u16 = Probed::load(inode, offset!(inode_mode));
    let by = setting!(by);
    if by == By::Connection as u32 {
        if mode & S_IFMT != S_IFSOCK {
            return 0;
        }
        let socket = kernel::pointer::<Probed>(file, offset!(file_private_data));
        return connection(kernel::pointer::<Probed>(socket, offset!(socket_sk)));
    }
    if by == By::Unnamed as u32 {
        return u64::from(mode & S_IFMT == S_IFREG && has_no_name(inode));
    }
    if mode & S_IFMT == S_IFSOCK || mode & S_IFMT == S_IFIFO {
        return 0;
    }
    let sb = kernel::pointer::<Probed>(inode, offset!(inode_sb));
    let dev: u32 = Probed::load(sb, offset!(sb_dev));
    if by == By::Mount as u32 {
        return u64::from(dev);
    }
    let ino: u64 = Probed::load(inode, offset!(inode_ino));
    let mut label = Label {
        major: dev,
        number: ino,
        ..Label::default()
    };
    if offset!(file_dentry) != ABSENT {
        let dentry = kernel::pointer::<Probed>(file, offset!(file_dentry));
        let name = kernel::pointer::<Probed>(dentry, offset!(dentry_name));
        // SAFETY: the helper writes at most the length of `text` and checks the source.
        unsafe {
            let _ = bpf_probe_read_kernel_str_bytes(name, &mut label.text);
        }
    }
    let id = mix(mix(SEED, u64::from(dev)), ino);
    remember(id, &label);
    id
}

/// Whether a file was removed, or never had a name (`O_TMPFILE`, `memfd_create`).
#[inline(always)]
fn has_no_name(inode: *const u8) -> bool {
    if offset!(inode_nlink) == ABSENT {
        return false;
    }
    let names: u32 = Probed::load(inode, offset!(inode_nlink));
    names == 0
}

/// The two ends of a socket.
#[inline(never)]
fn connection(sock: *const u8) -> u64 {
    let family: u16 = Probed::load(sock, offset!(sock_family));
    let mut label = Label {
        major: u32::from(family),
        ..Label::default()
    };
    let local: u16 = Probed::load(sock, offset!(sock_num));
    let remote: u16 = u16::from_be(Probed::load(sock, offset!(sock_dport)));
    label.ports = u32::from(local) | u32::from(remote) << 16;
    let mut id = mix(mix(SEED, u64::from(family)), u64::from(label.ports));
    if family == AF_INET {
        let local: [u8; 4] = Probed::load(sock, offset!(sock_rcv_saddr));
        let remote: [u8; 4] = Probed::load(sock, offset!(sock_daddr));
        label.text[..4].copy_from_slice(&local);
        label.text[16..20].copy_from_slice(&remote);
        id = mix(
            mix(id, u64::from(u32::from_ne_bytes(local))),
            u64::from(u32::from_ne_bytes(remote)),
        );
    } else if family == AF_INET6 && offset!(sock_v6_daddr) != ABSENT {
        let local: [u64; 2] = Probed::load(sock, offset!(sock_v6_rcv_saddr));
        let remote: [u64; 2] = Probed::load(sock, offset!(sock_v6_daddr));
        label.text[..8].copy_from_slice(&local[0].to_ne_bytes());
        label.text[8..16].copy_from_slice(&local[1].to_ne_bytes());
        label.text[16..24].copy_from_slice(&remote[0].to_ne_bytes());
        label.text[24..].copy_from_slice(&remote[1].to_ne_bytes());
        id = mix(mix(mix(mix(id, local[0]), local[1]), remote[0]), remote[1]);
    } else {
        label.number = sock as u64;
        id = mix(id, sock as u64);
    }
    remember(id, &label);
    id
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A step of a 64-bit hash (the finalizer of MurmurHash3). The probability that two objects get equal ids is about
/// 2^-64.
#[inline(always)]
fn mix(state: u64, value: u64) -> u64 {
    let mut x = state.rotate_left(23) ^ value;
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[inline(always)]
fn remember(id: u64, label: &Label) {
    if LABELS.get_ptr(id).is_none() && LABELS.insert(id, label, 0).is_err() {
        lost();
    }
}

/// Whether the devices below the files of an operation are known to transfer by DMA, so that
/// `direct` is measured and not concluded.
#[inline(never)]
pub(crate) fn does_dma(ends: &Ends) -> bool {
    file_does_dma(ends.source, ends.source_file)
        && (ends.sink == 0 || file_does_dma(ends.sink, ends.sink_file))
}

#[inline(never)]
fn file_does_dma(object: u64, file: u64) -> bool {
    let file = file as *const u8;
    let device = if is(object, ObjectKind::File) {
        let inode = kernel::pointer::<Probed>(file, offset!(file_inode));
        if is_encrypted(inode) {
            return false;
        }
        let sb = kernel::pointer::<Probed>(inode, offset!(inode_sb));
        if other_devices_do_dma(sb as u64) == 0 {
            return false;
        }
        kernel::pointer::<Probed>(sb, offset!(sb_bdev))
    } else if is(object, ObjectKind::Block) && offset!(bdev_inode) != ABSENT {
        let mapping = kernel::pointer::<Probed>(file, offset!(file_mapping));
        let inode = kernel::pointer::<Probed>(mapping, offset!(mapping_host));
        inode
            .wrapping_sub(offset!(bdev_inode) as usize)
            .wrapping_add(offset!(bdev_bdev) as usize)
    } else {
        // A pipe or a socket, which has nothing to do with the page cache.
        return !is(object, ObjectKind::Unknown);
    };
    device_does_dma(device)
}

/// Whether a block device (any pointer, or null) is known to transfer by DMA, out of the pages that it is given.
#[inline(always)]
fn device_does_dma(device: *const u8) -> bool {
    if device.is_null() || wants_stable_pages(device) {
        return false;
    }
    disk_does_dma(kernel::pointer::<Probed>(device, offset!(bdev_disk)) as u64) != 0
}

global! {
    /// Whether the devices of a filesystem (`super_block`, any pointer) besides `s_bdev` are known to transfer by DMA, or
    /// there are none. Which of them has the bytes of a file is not asked. Where the kernel does not describe what says
    /// it, it is not known.
    fn other_devices_do_dma(sb: u64) -> u64 {
        let sb = sb as *const u8;
        let info = kernel::pointer::<Probed>(sb, offset!(sb_fs_info));
        let does = match Probed::load::<u64>(sb, offset!(sb_magic)) {
            XFS_MAGIC => realtime_does_dma(info),
            F2FS_MAGIC => {
                offset!(f2fs_devices) != ABSENT
                    && Probed::load::<u32>(info, offset!(f2fs_devices)) == 0
            }
            EROFS_MAGIC => is_of_one_device(info),
            // A program has the bytes.
            FUSE_MAGIC => false,
            _ => true,
        };
        u64::from(does)
    }
}

/// Whether what xfs (`xfs_mount`, any pointer) has for realtime files transfers by DMA. A filesystem without them has
/// nothing for them.
#[inline(always)]
fn realtime_does_dma(mount: *const u8) -> bool {
    if offset!(xfs_realtime) == ABSENT {
        return false;
    }
    let target = kernel::pointer::<Probed>(mount, offset!(xfs_realtime));
    if target.is_null() {
        return true;
    }
    offset!(xfs_target_bdev) != ABSENT
        && device_does_dma(kernel::pointer::<Probed>(target, offset!(xfs_target_bdev)))
}

/// Whether erofs (`erofs_sb_info`, any pointer) has all data on the device that was mounted.
#[inline(always)]
fn is_of_one_device(info: *const u8) -> bool {
    if offset!(erofs_devices) == ABSENT || offset!(erofs_extra_devices) == ABSENT {
        return false;
    }
    let devices = kernel::pointer::<Probed>(info, offset!(erofs_devices));
    Probed::load::<u32>(devices, offset!(erofs_extra_devices)) == 0
}

/// Whether the filesystem encrypts the contents of an inode (any pointer). The device can do that (`inlinecrypt`), and
/// where it cannot, the CPU does, into pages of its own.
#[inline(always)]
fn is_encrypted(inode: *const u8) -> bool {
    const S_ENCRYPTED: u32 = 1 << 14;
    Probed::load::<u32>(inode, offset!(inode_flags)) & S_ENCRYPTED != 0
}

/// Whether pages must not change while a device (`block_device`, any pointer) reads them. Filesystems copy them for that
/// (`IOMAP_DIO_BOUNCE`, Linux 7.0).
#[inline(always)]
fn wants_stable_pages(device: *const u8) -> bool {
    const BLK_FEAT_STABLE_WRITES: u32 = 1 << 5;
    if offset!(queue_features) == ABSENT || offset!(bdev_queue) == ABSENT {
        return false;
    }
    let queue = kernel::pointer::<Probed>(device, offset!(bdev_queue));
    Probed::load::<u32>(queue, offset!(queue_features)) & BLK_FEAT_STABLE_WRITES != 0
}

/// The beginning of the name of a device's bus (any pointer), zeros without a bus.
#[inline(always)]
fn bus_of(device: *const u8) -> [u8; 4] {
    let bus = kernel::pointer::<Probed>(device, offset!(device_bus));
    Probed::load(kernel::pointer::<Probed>(bus, offset!(bus_name)), 0)
}

/// How many devices are looked at between a disk and the machine.
const MOST_PARENTS: u32 = 16;

global! {
    /// Whether a disk (`gendisk`, any pointer) is of a kind whose driver passes pages on, and hangs on a device of PCI or
    /// Hyper-V that reaches memory by itself: NVMe, SCSI and virtio disks. Not so `scsi_debug`, iSCSI, NVMe over TCP,
    /// software FCoE, USB/IP and vDPA devices that are programs, whose pages a CPU copies: their names are the same, but
    /// they hang on no such device, or on one of a bus in between. Every platform device has a mask, so it says nothing.
    /// Loop, brd, zram, device mapper and md copy, or can; Xen's disks copy into pages that they share for good.
    fn disk_does_dma(disk: u64) -> u64 {
        if offset!(gendisk_part0) == ABSENT || offset!(bdev_parent) == ABSENT
            || offset!(device_parent) == ABSENT || offset!(device_dma_mask) == ABSENT
            || offset!(device_bus) == ABSENT || offset!(bus_name) == ABSENT
        {
            return 0;
        }
        let disk = disk as *const u8;
        let name: [u8; 4] = Probed::load(disk, offset!(gendisk_name));
        if !matches!(name, [b's' | b'v', b'd', _, _] | [b'n', b'v', b'm', b'e']) {
            return 0;
        }
        let whole = kernel::pointer::<Probed>(disk, offset!(gendisk_part0));
        let mut device = kernel::pointer::<Probed>(whole, offset!(bdev_parent));
        for _ in 0..MOST_PARENTS {
            if device.is_null() {
                return 0;
            }
            let bus = bus_of(device);
            if matches!(&bus, b"vdpa" | b"fcoe") {
                return 0;
            }
            if !kernel::pointer::<Probed>(device, offset!(device_dma_mask)).is_null() {
                return u64::from(matches!(&bus, b"pci\0" | b"vmbu"));
            }
            device = kernel::pointer::<Probed>(device, offset!(device_parent));
        }
        0
    }
}

/// Whether the filesystem may keep the first block of a file within its metadata, where nothing can be shared: a clone of
/// it is a copy (`clone_copy_inline_extent` of btrfs). The file can be longer than that: it may have grown since, and a
/// compressed block of any length stays where it is. Overlayfs does not tell what is below it.
#[inline(always)]
pub(crate) fn may_be_inline<A: Access>(file: *const u8) -> bool {
    let inode = kernel::pointer::<A>(file, offset!(file_inode));
    let sb = kernel::pointer::<A>(inode, offset!(inode_sb));
    matches!(
        A::load(sb, offset!(sb_magic)),
        BTRFS_MAGIC | OVERLAYFS_MAGIC
    )
}

/// Whether a filesystem with this magic number can share extents.
#[inline(always)]
fn reflinks(magic: u64) -> bool {
    !matches!(
        magic,
        EXT_MAGIC | TMPFS_MAGIC | F2FS_MAGIC | RAMFS_MAGIC | MSDOS_MAGIC
    )
}
