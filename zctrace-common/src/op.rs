//! The operations of the ledger and how well their rows are known.

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident = $number:literal => $name:literal,)+) => {
        /// What an application asked the kernel to do.
        #[repr(u16)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Op {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Op {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The operation behind a number that came out of a map.
            #[must_use]
            pub const fn from_raw(raw: u16) -> Option<Self> {
                match raw {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Its name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The operation with this name.
            #[must_use]
            pub fn of_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

ops! {
    /// `read`, `pread64`, `readv`, `preadv`, `preadv2`.
    Read = 1 => "read",
    /// `write`, `pwrite64`, `writev`, `pwritev`, `pwritev2`.
    Write = 2 => "write",
    /// `recvfrom`, `recvmsg`, `recvmmsg` (a message each).
    Recv = 3 => "recv",
    /// `sendto`, `sendmsg`, `sendmmsg` (a message each).
    Send = 4 => "send",
    /// `sendfile64`.
    Sendfile = 5 => "sendfile",
    /// `splice`.
    Splice = 6 => "splice",
    /// `vmsplice`.
    Vmsplice = 7 => "vmsplice",
    /// `tee`.
    Tee = 8 => "tee",
    /// `copy_file_range`.
    CopyFileRange = 9 => "copy_file_range",
    /// `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE`.
    Clone = 10 => "clone",
    /// `process_vm_readv`, `process_vm_writev`.
    ProcessVm = 11 => "process_vm",
    /// A page fault that made file data visible.
    FaultMap = 12 => "fault.map",
    /// A page fault that copied a page.
    FaultCow = 13 => "fault.cow",
    /// A page copied at fork because it was pinned.
    ForkCow = 14 => "fork.cow",
    /// A receive with `MSG_PEEK`.
    RecvPeek = 15 => "recv.peek",
    /// A send with `MSG_ZEROCOPY`.
    SendZerocopy = 30 => "send.zerocopy",
    /// `getsockopt(TCP_ZEROCOPY_RECEIVE)`.
    RecvZerocopy = 31 => "recv.zerocopy",
    /// Work that is not known to have been caused by any operation of a process.
    Kernel = 16 => "kernel",
    /// A system call that is not an operation of the ledger, but in which bytes were copied.
    Other = 17 => "other",
    /// overlayfs copied a file of a lower layer.
    CopyUp = 18 => "copy_up",
    /// `UFFDIO_COPY`.
    UffdCopy = 19 => "uffd.copy",
    /// `UFFDIO_ZEROPAGE`.
    UffdZeropage = 20 => "uffd.zeropage",
    /// `UFFDIO_CONTINUE`.
    UffdContinue = 21 => "uffd.continue",
    /// `UFFDIO_MOVE`.
    UffdMove = 22 => "uffd.move",
    /// `IORING_OP_READV`.
    UringReadv = 64 => "uring.readv",
    /// `IORING_OP_WRITEV`.
    UringWritev = 65 => "uring.writev",
    /// `IORING_OP_READ_FIXED`.
    UringReadFixed = 66 => "uring.read_fixed",
    /// `IORING_OP_WRITE_FIXED`.
    UringWriteFixed = 67 => "uring.write_fixed",
    /// `IORING_OP_SENDMSG`.
    UringSendmsg = 68 => "uring.sendmsg",
    /// `IORING_OP_RECVMSG`.
    UringRecvmsg = 69 => "uring.recvmsg",
    /// `IORING_OP_READ`.
    UringRead = 70 => "uring.read",
    /// `IORING_OP_WRITE`.
    UringWrite = 71 => "uring.write",
    /// `IORING_OP_SEND`.
    UringSend = 72 => "uring.send",
    /// `IORING_OP_RECV`.
    UringRecv = 73 => "uring.recv",
    /// `IORING_OP_SPLICE`.
    UringSplice = 74 => "uring.splice",
    /// `IORING_OP_TEE`.
    UringTee = 75 => "uring.tee",
    /// `IORING_OP_SEND_ZC`.
    UringSendZc = 76 => "uring.send_zc",
    /// `IORING_OP_SENDMSG_ZC`.
    UringSendmsgZc = 77 => "uring.sendmsg_zc",
    /// `IORING_OP_READ_MULTISHOT`.
    UringReadMultishot = 78 => "uring.read_multishot",
    /// `IORING_OP_RECV_ZC`.
    UringRecvZc = 79 => "uring.recv_zc",
    /// `IORING_OP_READV_FIXED`.
    UringReadvFixed = 80 => "uring.readv_fixed",
    /// `IORING_OP_WRITEV_FIXED`.
    UringWritevFixed = 81 => "uring.writev_fixed",
    /// `IOCB_CMD_PREAD`, `IOCB_CMD_PREADV`.
    AioRead = 82 => "aio.read",
    /// `IOCB_CMD_PWRITE`, `IOCB_CMD_PWRITEV`.
    AioWrite = 83 => "aio.write",
}

/// How well a row is known.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// The count comes from the routine that copied, or took the reference.
    Measured = 0,
    /// Concluded from the call, its flags and its object.
    Inferred = 1,
}

impl Evidence {
    /// Every evidence.
    pub const ALL: &'static [Self] = &[Self::Measured, Self::Inferred];

    /// The evidence behind a number that came out of a map.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Measured),
            1 => Some(Self::Inferred),
            _ => None,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Inferred => "inferred",
        }
    }

    /// The evidence with this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|evidence| evidence.name() == name)
    }
}
