//! Records shared by zctrace's BPF programs and its user side.
//!
//! Everything that crosses the boundary is a `repr(C)` struct of plain integers. Any bit pattern is a valid value, so a
//! byte read from a map can be wrong but is never undefined behaviour. Enumerations cross as integers and are converted
//! with a check on the user side ([`Op::from_raw`], [`Evidence::from_raw`], [`Object::unpack`]).

#![no_std]
// An assembly line keeps the compiler from turning stores into a call of `memset`: see `words`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod audit;
mod calls;
mod mark;
mod notified;
mod object;
mod obstacle;
mod op;
mod place;
mod region;
mod request;
mod sample;
mod settings;
mod settle;
mod sizes;
mod stacks;
pub mod words;

pub use audit::{AUDIT_SLOTS, AuditCount, AuditKey, AuditMissed, AuditRoutine, AuditRoutines};
pub use calls::{NO_PAYLOAD, NoPayload};
pub use mark::Mark;
pub use notified::Notified;
pub use object::{
    IP_SOCKETS, IPPROTO_ICMP, IPPROTO_MPTCP, IPPROTO_RAW, IPPROTO_SCTP, Object, ObjectKind,
};
pub use obstacle::{Obstacle, OnRoute};
pub use op::{Cause, Ends, Evidence, Flow, Op, Promise};
pub use place::Place;
pub use region::{
    IN_MARKER, OF_WORKERS, REGION_DEPTH, REGION_NAME, REGIONS, REGIONS_OPEN, Region, RegionCounts,
    RegionKey, RegionStack,
};
pub use request::{MOST_OPCODES, OPCODES, REQUEST_SLOTS, Request, RequestCounts, Way, opcode};
pub use sample::{COPY_ROUTINES, CodeRange, CopyRoutines, CpuSamples, SAMPLE_PERIOD, UserAddress};
pub use settings::{ABSENT, By, Offsets, Scope, Settings};
pub use settle::{Shape, UNREPORTED, explain, legs, take_usual};
pub use sizes::Sizes;
pub use stacks::{StackKey, StackKind, StackSample, USER_FRAMES, UserFrame, samples_among};

/// The type of the frames that traffic sends to AF_XDP sockets: one for local experiments (IEEE 802).
pub const EXPERIMENT_ETHER_TYPE: u16 = 0x88b5;

/// Length of a network device's name, `IFNAMSIZ`.
pub const DEVICE_LEN: usize = 16;

/// Length of a task's command name, `TASK_COMM_LEN`.
pub const COMM_LEN: usize = 16;

/// The nine ways in which a moved byte is explained, in the order of [`Counters::class`].
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A CPU copied it from kernel memory to user memory.
    CopiedToUser,
    /// A CPU copied it from user memory to kernel memory.
    CopiedFromUser,
    /// A CPU copied it from kernel memory to kernel memory.
    CopiedInKernel,
    /// Passed by page reference.
    Spliced,
    /// The file's page cache was bypassed.
    Direct,
    /// The filesystem shared extents; nothing moved.
    Cloned,
    /// Made visible through a page table.
    Mapped,
    /// Generated or dropped: zeros, random bytes, holes, `/dev/null`, `MSG_TRUNC`.
    Synthetic,
    /// No probe saw how.
    Unexplained,
}

impl Class {
    /// Every class, in the order of [`Counters::class`].
    pub const ALL: [Self; 9] = [
        Self::CopiedToUser,
        Self::CopiedFromUser,
        Self::CopiedInKernel,
        Self::Spliced,
        Self::Direct,
        Self::Cloned,
        Self::Mapped,
        Self::Synthetic,
        Self::Unexplained,
    ];
}

/// What one row of the ledger counts. All fields but `ops` and `errors` are bytes.
///
/// Every field is updated with atomic adds. Tracing programs are preemptible, so another task can interrupt a program
/// in the middle of the same per-CPU slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Completed operations.
    pub ops: u64,
    /// Operations that ended in an error, `EAGAIN` included. The map of rows has only the errors for which the map of
    /// errnos had no room; all others are counted there. In [`Task::delta`] this is the errno.
    pub errors: u64,
    /// Bytes that the operations reported as done.
    pub moved: u64,
    /// How the moved bytes are explained, indexed by [`Class`].
    pub class: [u64; 9],
    /// Passed by reference and copied by the kernel later.
    pub deferred: u64,
    /// Copied again by a CPU within one operation.
    pub recopied: u64,
    /// Copied but not delivered.
    pub wasted: u64,
    /// Copied by copy-on-write.
    pub cow: u64,
    /// Read and rewritten by a transform.
    pub encrypted: u64,
    /// Entered the page cache in the operation's thread while it ran.
    pub filled: u64,
}

impl Counters {
    /// Nothing.
    pub const ZERO: Self = Self {
        ops: 0,
        errors: 0,
        moved: 0,
        class: [0; 9],
        deferred: 0,
        recopied: 0,
        wasted: 0,
        cow: 0,
        encrypted: 0,
        filled: 0,
    };
}

/// Key of the map of errnos: a row's slot and an errno.
#[must_use]
pub const fn errno_key(slot: u32, errno: u32) -> u64 {
    (slot as u64) << 32 | errno as u64
}

/// Slot and errno of an [`errno_key`].
#[must_use]
pub const fn of_errno_key(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

/// Key of one row of the ledger.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// Index into the table of processes ([`Proc`]).
    pub proc_slot: u32,
    /// An [`Op`].
    pub op: u16,
    /// An [`Evidence`].
    pub evidence: u8,
    /// What was asked for and seen, a bit for each [`Mark`].
    pub marks: u8,
    /// A packed [`Object`]: where the bytes came from, or the only object.
    pub source: u64,
    /// A packed [`Object`] if the operation joins two, otherwise 0.
    pub sink: u64,
    /// The value of the `--by` dimension, 0 without one.
    pub dimension: u64,
}

/// A process, or a kernel thread, that has rows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Proc {
    /// `task_struct.group_leader->start_boottime`, nanoseconds since boot.
    pub start_ns: u64,
    /// Id of its cgroup (v2); kept current while the process lives.
    pub cgroup: u64,
    /// Runs of zctrace's programs that passed the target filter, for threads that have ended.
    pub runs: u64,
    /// Thread group id in the initial PID namespace.
    pub tgid: u32,
    /// [`Proc::KTHREAD`], [`Proc::EXITED`].
    pub flags: u32,
    /// Command name of the process; kept current while the process lives.
    pub comm: [u8; COMM_LEN],
}

impl Proc {
    /// A kernel thread: its rows belong to `unattributed`.
    pub const KTHREAD: u32 = 1;
    /// Its last thread has ended.
    pub const EXITED: u32 = 2;
}

/// What a value of the `--by` dimension stands for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Label {
    /// For a file: its device number. For a connection: its address family.
    pub major: u32,
    /// For a connection: the local port in the low half, the remote port in the high half, both in host order.
    pub ports: u32,
    /// For a file: its inode number.
    pub number: u64,
    /// For a file: the last component of its name. For a connection: the local address, then the remote address.
    pub text: [u8; 32],
}

/// The owner of the pages of a `struct ubuf_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// Slot of the row that counts them.
    pub row_slot: u32,
    /// Slot of the process.
    pub proc_slot: u32,
    /// Bytes referenced so far.
    pub bytes: u64,
    /// Sends so far: the kernel gives consecutive sends of a socket one notification.
    pub sends: u64,
    /// The sum of the times at which these sends began, in nanoseconds of the monotonic clock. It may wrap.
    pub begun_ns: u64,
}

/// The owner of the zero-copy sends on a `struct sock`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// Inode number of the socket, because another socket can get the same address.
    pub ino: u64,
    /// Start time of the process: another one can come to the same slot.
    pub start_ns: u64,
    /// Slot of the row that counts notifications.
    pub row_slot: u32,
    /// Slot of the process.
    pub proc_slot: u32,
}

/// The owner of the pages of files and pipes in the packets of a `struct sock`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lender {
    /// Start time of the process: another one can come to the same slot.
    pub start_ns: u64,
    /// Slot of the row that counts later copies of them.
    pub row_slot: u32,
    /// Slot of the process.
    pub proc_slot: u32,
    /// Ports of the socket, because another socket can get the same address.
    pub ports: u32,
    /// Not used.
    pub padding: u32,
}

/// What the program `queued` returns for a socket that is no longer the one that a [`Lender`] describes.
pub const NOT_QUEUED: u32 = u32::MAX;

/// Bytes that were copied from the packets of a `struct sock` before its first send by reference had ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Early {
    /// Bytes that are not in any row yet.
    pub bytes: u64,
    /// Ports of the socket.
    pub ports: u32,
    /// Not used.
    pub padding: u32,
    /// The device that the packets were about to pass.
    pub device: [u8; DEVICE_LEN],
}

/// What zctrace itself lost. Every field is a count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// A task, process or row did not fit into its map.
    pub map_full: u64,
    /// Calls of `io_submit` with requests that the tracepoints backend could not follow to their end.
    pub unfollowed_submits: u64,
    /// Calls with 32-bit numbers that can move bytes and that the tracepoints backend does not follow.
    pub unfollowed_compat: u64,
    /// Receive rings of packet sockets, and rings of AF_XDP, that processes of the target set up, where nothing sees
    /// what the kernel copies into and out of them.
    pub unfollowed_rings: u64,
    /// Requests of io_uring whose end the tracepoints backend does not see, and completions of requests that it does not
    /// know.
    pub unfollowed_requests: u64,
    /// Calls that moved bytes and had begun before their threads were followed (tracepoints backend).
    pub begun_calls: u64,
    /// What they reported.
    pub begun_bytes: u64,
}

/// Calls of a function whose return a kretprobe should see: see `zctrace-ebpf/src/book/room.rs`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// How many concurrent calls there is room for.
    pub room: u64,
    /// Calls for which there was room.
    pub entered: u64,
    /// Calls that have returned.
    pub returned: u64,
    /// Calls for which there was no room.
    pub unseen: u64,
}

/// A bit of what the tracepoints backend reports, beside the bits of the [`Op`]s: nothing else sees Linux AIO, so its
/// requests are followed from call to call (`zctrace-ebpf/src/tracepoint/aio.rs`).
pub const FOLLOWS_AIO: u32 = 63;

/// Another such bit: rings of packet sockets and of AF_XDP are not seen, so those that are set up are counted.
pub const COUNTS_RINGS: u32 = 62;

/// Another such bit: the copies of page faults are not seen, so faults that may have made one are counted.
pub const COUNTS_FAULTS: u32 = 61;

/// Another such bit: what workers of vhost-net copy is seen. Without it, each of them is counted.
pub const FOLLOWS_VHOST: u32 = 60;

/// Slots of the table of tasks; a power of two. See `zctrace-ebpf/src/book/target.rs`.
pub const TASK_SLOTS: u32 = 4096;

/// One more than the largest number of [`twin_slot`], which never gives 0.
pub const TWIN_SLOTS: u32 = 32768;

/// A number for a program that is attached in a pair, by its name (FNV-1a); never 0. See
/// `zctrace-ebpf/src/book/twin.rs`.
#[must_use]
pub const fn twin_slot(program: &str) -> u32 {
    let bytes = program.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    1 + hash % (TWIN_SLOTS - 1)
}

/// A row that a thread has used.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedRow {
    /// Packed [`Object`].
    pub source: u64,
    /// Packed [`Object`], or 0.
    pub sink: u64,
    /// Operation and evidence, 0 when nothing is cached.
    pub op: u32,
    /// Where the row is.
    pub slot: u32,
}

impl CachedRow {
    /// Nothing is cached.
    pub const NONE: Self = Self {
        source: 0,
        sink: 0,
        op: 0,
        slot: 0,
    };
}

/// An open file that a descriptor led to. Another file can get its address later, and another inode the address of its
/// inode. The inode number tells sockets and pipes apart then, because the kernel numbers them one after the other.
/// Another open file of the same inode is the same object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Met {
    /// Address of the `struct file`, 0 without one.
    pub file: u64,
    /// Address of its inode.
    pub inode: u64,
    /// The inode's number.
    pub ino: u64,
    /// Packed [`Object`].
    pub object: u64,
    /// Address of the `struct sock` of a socket, otherwise 0.
    pub sock: u64,
}

impl Met {
    /// No file.
    pub const NOTHING: Self = Self {
        file: 0,
        inode: 0,
        ino: 0,
        object: 0,
        sock: 0,
    };
}

/// The current operation of a thread, as its site probes see it.
///
/// Only the thread's own programs touch it, and they do not nest, so plain adds are enough here. The accumulators hold
/// what the sites saw since the last operation ended. [`Task::nr`] says whether that was in the same system call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Task {
    /// Its thread id; 0 in a free slot.
    pub tid: u64,
    /// Number of the system call in which the accumulators were filled.
    pub nr: i32,
    /// [`Task::FRESH`] and the other flags of this record.
    pub flags: u32,
    /// Which accumulators are not zero, a bit for each [`Acc`].
    pub filled: u32,
    /// Index into the table of processes, [`Task::NO_PROC`] without one.
    pub proc_slot: u32,
    /// Bytes seen by the sites, indexed by [`Acc`].
    pub acc: [u64; Acc::COUNT],
    /// The last row and the one before it, so that a repeated operation finds its row without hashing: servers take
    /// and give bytes by turns.
    pub cached: [CachedRow; 2],
    /// The files that descriptors led to last, and what they are: see
    /// `zctrace-ebpf/src/book/object.rs`.
    pub met: [Met; 3],
    /// Scratch space of the fault family: see `zctrace-ebpf/src/site/fault.rs`. The last two words belong to
    /// `zctrace-ebpf/src/site/xdp.rs`. On the tracepoints backend, which has neither, the first one has the thread's
    /// page faults at the entry of a direct read.
    pub fault: [u64; 4],
    /// Bytes that entered the page cache in the page faults of the thread and are in no row yet.
    pub fault_filled: u64,
    /// What was read at the entry of the system call (tracepoints backend only): see
    /// `zctrace-ebpf/src/tracepoint/syscall.rs`.
    pub entry: [u64; 4],
    /// Runs of zctrace's programs that passed the target filter.
    pub runs: u64,
    /// The bytes still to be explained while an operation is settled.
    pub rest: u64,
    /// Which program of a pair has seen the current event: see `zctrace-ebpf/src/book/twin.rs`.
    pub done: u32,
    /// Stack samples that are due: see `zctrace-ebpf/src/book/stacks.rs`.
    pub due: u32,
    /// Slot of the request that the thread works on, 0 without one: see `zctrace-ebpf/src/book/request.rs`. What sites
    /// see then belongs to the request, not to a system call.
    pub request: u32,
    /// The operation of that request.
    pub request_op: u32,
    /// How the requests that the thread works on were issued, a [`Way`] plus 1; 0 while unknown.
    pub way: u32,
    /// The generation of the record when the thread began to work on it: see [`Request::generation`].
    pub request_generation: u32,
    /// The socket that the thread used last: see `zctrace-ebpf/src/book/object.rs`.
    pub sock: u64,
    /// The socket of the thread's last send by reference: see `zctrace-ebpf/src/site/late.rs`.
    pub lender: u64,
    /// Ports of the socket in [`Task::lender`].
    pub lender_ports: u32,
    /// The row of that send.
    pub lender_slot: u32,
    /// When the thread's last send with `MSG_ZEROCOPY` began, 0 once its first pages are lent: see
    /// `zctrace-ebpf/src/site/zerocopy.rs`.
    pub send_ns: u64,
    /// A place to pass values through: see [`words::opaque`].
    pub scratch: u64,
    /// The result of settling an operation. It is here because the stack is small, and because the verifier must forget
    /// what it knew of the values: it would follow every combination.
    pub delta: Counters,
}

impl Task {
    /// The thread existed before the probes did. It may be inside an operation that must be left out, so the
    /// accumulators of the first operation can hold more than its own bytes.
    pub const FRESH: u32 = 1;
    /// A system call's entry was seen (tracepoints backend only).
    pub const ENTERED: u32 = 2;
    /// A kernel thread.
    pub const KTHREAD: u32 = 4;
    /// The request that the thread works on was given to a device, which will end it.
    pub const QUEUED: u32 = 8;
    /// The request that the thread works on was issued by `io_uring_enter`, and the work ends with that call.
    pub const SUBMITS: u32 = 16;
    /// The request that the thread works on does not report success, so zctrace has to look for it.
    pub const SILENT: u32 = 32;
    /// A thread that works for a process within the kernel, such as a worker of vhost. It makes no calls.
    pub const WORKER: u32 = 64;
    /// [`Task::proc_slot`] of a thread without rows. The first slot is not used.
    pub const NO_PROC: u32 = 0;

    /// A thread about which nothing is known yet: all zeros, like a slot that was never used.
    pub const NEW: Self = Self {
        tid: 0,
        nr: 0,
        flags: 0,
        filled: 0,
        proc_slot: Self::NO_PROC,
        acc: [0; Acc::COUNT],
        cached: [CachedRow::NONE; 2],
        met: [Met::NOTHING; 3],
        fault: [0; 4],
        fault_filled: 0,
        entry: [0; 4],
        runs: 0,
        rest: 0,
        done: 0,
        due: 0,
        request: 0,
        request_op: 0,
        way: 0,
        request_generation: 0,
        sock: 0,
        lender: 0,
        lender_ports: 0,
        lender_slot: 0,
        send_ns: 0,
        scratch: 0,
        delta: Counters::ZERO,
    };
}

/// The accumulators of [`Task`]: what a site saw, by leg where an operation has two.
///
/// The *source leg* brings bytes out of a file or socket, the *sink leg* puts them into one.
/// `sendfile` and `copy_file_range` have both, with the task's own pipe between them.
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acc {
    /// Copied from kernel to user memory.
    ToUser,
    /// Copied from user to kernel memory.
    FromUser,
    /// Copied within the kernel, source leg.
    SourceCopy,
    /// Copied within the kernel, sink leg.
    SinkCopy,
    /// Passed by reference, source leg.
    SourceRef,
    /// Passed by reference, sink leg.
    SinkRef,
    /// Page cache bypassed, source leg.
    SourceDirect,
    /// Page cache bypassed, sink leg.
    SinkDirect,
    /// Generated, source leg.
    SourceSynthetic,
    /// Dropped, sink leg.
    SinkSynthetic,
    /// Extents shared.
    Cloned,
    /// Requested from a device by a direct read that has not ended. Explains nothing by itself.
    Asked,
    /// Encrypted or decrypted, whatever else happened to the bytes.
    Encrypted,
    /// The application's pages, referenced for a transform.
    Pinned,
    /// Entered the page cache. It explains nothing.
    Added,
}

impl Acc {
    /// How many there are.
    pub const COUNT: usize = 15;
}

const _: () = {
    assert!(size_of::<Counters>() == 18 * 8);
    assert!(size_of::<RowKey>() == 32);
    assert!(size_of::<Proc>() == 48);
    assert!(size_of::<Label>() == 48);
    assert!(size_of::<Loss>() == 56);
    assert!(size_of::<Lent>() == 32);
    assert!(size_of::<Sender>() == 24);
    assert!(size_of::<Lender>() == 24);
    assert!(size_of::<Early>() == 32);
    assert!(
        size_of::<Task>()
            == 8 + 16
                + 8 * Acc::COUNT
                + 2 * size_of::<CachedRow>()
                + 3 * size_of::<Met>()
                + 40
                + 32
                + 48
                + 32
                + size_of::<Counters>()
    );
    assert!(core::mem::offset_of!(Counters, class) == 24);
    assert!(core::mem::offset_of!(RowKey, source) == 8);
};

#[cfg(feature = "user")]
mod pod {
    macro_rules! pod {
        ($($name:ident),+ $(,)?) => {
            $(
                // SAFETY: a `repr(C)` struct of integers, for which every bit pattern is valid. It has no padding:
                // where it is defined, its size is asserted, or its fields are of one size.
                unsafe impl aya::Pod for crate::$name {}
            )+
        };
    }

    pod!(
        AuditCount,
        AuditMissed,
        AuditRoutines,
        CopyRoutines,
        Counters,
        CpuSamples,
        Label,
        Lender,
        Lent,
        Loss,
        Notified,
        Offsets,
        OnRoute,
        Proc,
        Region,
        RegionCounts,
        RegionKey,
        Request,
        RequestCounts,
        RowKey,
        Sender,
        Settings,
        Sizes,
        StackKey,
        Task,
        UnderWay,
        UserAddress,
    );
}
