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
    /// Work that no operation of a process is known to have caused.
    Kernel = 16 => "kernel",
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
}
