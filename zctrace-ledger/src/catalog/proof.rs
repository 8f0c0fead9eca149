//! How a probe is known to work: what wakes it on any machine, and what shows that it explains bytes.

use zctrace_common::Op;

use crate::object::End;

/// Known bytes that zctrace sends past its own probes right after they are attached. A probe that attaches
/// can still never run, because the compiler has inlined the function where it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exercise {
    /// Writes and reads of a file in memory.
    MemoryFile,
    /// A pipe.
    Pipes,
    /// `/dev/zero`, `/dev/null` and `/dev/urandom`.
    Devices,
    /// A pair of unix sockets.
    UnixSockets,
    /// UDP over loopback.
    Udp,
    /// TCP over loopback, with `sendfile` and `splice`.
    Tcp,
    /// `MSG_ZEROCOPY` over loopback.
    Zerocopy,
    /// `vmsplice`, `tee` and `splice` between pipes.
    PipeToPipe,
    /// A file of procfs.
    ProcFile,
    /// `process_vm_readv` and `process_vm_writev` of zctrace itself.
    OwnMemory,
    /// A System V message queue.
    Messages,
    /// A POSIX message queue.
    PosixMessages,
    /// Pages that userfaultfd fills.
    UserFaults,
    /// `copy_file_range`.
    CopyRange,
    /// Faults of a private mapping of a file.
    PrivateMapping,
    /// A read through io_uring.
    Ring,
    /// Any system call.
    SystemCalls,
}

impl Exercise {
    /// All, in the order in which they are done.
    pub const ALL: [Self; 17] = [
        Self::MemoryFile,
        Self::Pipes,
        Self::Devices,
        Self::UnixSockets,
        Self::Udp,
        Self::Tcp,
        Self::Zerocopy,
        Self::PipeToPipe,
        Self::ProcFile,
        Self::OwnMemory,
        Self::Messages,
        Self::PosixMessages,
        Self::UserFaults,
        Self::CopyRange,
        Self::PrivateMapping,
        Self::Ring,
        Self::SystemCalls,
    ];
}

/// What a kernel has if it has what a probe is about, even where it does not have the probe's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// This file.
    File(&'static str),
    /// `process_vm_readv` (CONFIG_CROSS_MEMORY_ATTACH).
    ProcessVm,
}

/// What shows that a site explains bytes which nothing else does. Each traffic is one of `zctrace traffic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Without the site, exactly the bytes of these operations of the traffic become `unexplained`.
    Unplugged(&'static [(&'static str, &'static [Op])]),
    /// Without the site, exactly the bytes that this operation of the traffic brings from one of these to the other
    /// become `unexplained`.
    UnpluggedBetween(&'static str, Op, [End<'static>; 2]),
    /// Without the site, copies that are made later go unseen for this traffic.
    Later(&'static [&'static str]),
    /// Without the site, the bytes of this operation of a FUSE server become `unexplained`.
    Server(Op),
    /// The site sees the same bytes as this one. The two are left out together.
    With(&'static str),
    /// Why leaving it out shows nothing, or which other test leaves it out.
    Otherwise(&'static str),
    /// It is not a site.
    NotASite,
}
