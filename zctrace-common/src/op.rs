//! The operations of the ledger, and how well their rows are known.
//!
//! One table says what an operation is. Whoever needs to know asks for it there, and never compares
//! a name.

use Cause::{Aio, Beside, Call, Fault, Uffd, Uring};
use Ends::{Any, Pipes, Sockets, Stored};
use Flow::{Apart, Gives, Passes, Shows, Takes};
use Promise::{Lends, Plain, Refers};

/// What begins an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A system call.
    Call,
    /// A request to io_uring with this opcode.
    Uring(u8),
    /// A request of Linux AIO.
    Aio,
    /// A page fault, or a fork that had to copy a page.
    Fault,
    /// A request to a `userfaultfd`.
    Uffd,
    /// Something else. The copy comes with it, and is not what was asked for.
    Beside,
}

/// Where the bytes of an operation come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From an object into memory of the caller.
    Takes(Ends),
    /// From memory of the caller into an object.
    Gives(Ends),
    /// From one object into another.
    Passes(Ends, Ends),
    /// From an object, whose own pages become visible in memory of the caller.
    Shows(Ends),
    /// Another way, which no other operation can replace.
    Apart,
}

/// Objects that an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// All of them.
    Any,
    /// Sockets.
    Sockets,
    /// Files and block devices.
    Stored,
    /// Pipes.
    Pipes,
}

impl Ends {
    /// Whether a socket may be one.
    #[must_use]
    pub const fn has_sockets(self) -> bool {
        matches!(self, Any | Sockets)
    }
}

/// Whether people use an operation to do without copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// No.
    Plain,
    /// Pages or extents of an object are referred to.
    Refers,
    /// The caller's own pages are lent until the kernel is done with them, which may be later than the
    /// operation.
    Lends,
}

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident = $number:literal => $name:literal, $cause:expr, $flow:expr, $promise:expr;)+) => {
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

            /// What begins it.
            #[must_use]
            pub const fn cause(self) -> Cause {
                match self {
                    $(Self::$variant => $cause,)+
                }
            }

            /// Where its bytes come from and go to.
            #[must_use]
            pub const fn flow(self) -> Flow {
                match self {
                    $(Self::$variant => $flow,)+
                }
            }

            /// Whether it is for doing without copies.
            #[must_use]
            pub const fn promise(self) -> Promise {
                match self {
                    $(Self::$variant => $promise,)+
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
    Read = 1 => "read", Call, Takes(Any), Plain;
    /// `write`, `pwrite64`, `writev`, `pwritev`, `pwritev2`.
    Write = 2 => "write", Call, Gives(Any), Plain;
    /// `recvfrom`, `recvmsg`, `recvmmsg` (a message each).
    Recv = 3 => "recv", Call, Takes(Sockets), Plain;
    /// `sendto`, `sendmsg`, `sendmmsg` (a message each).
    Send = 4 => "send", Call, Gives(Sockets), Plain;
    /// `sendfile64`.
    Sendfile = 5 => "sendfile", Call, Passes(Stored, Any), Refers;
    /// `splice`.
    Splice = 6 => "splice", Call, Passes(Any, Any), Refers;
    /// `vmsplice`.
    Vmsplice = 7 => "vmsplice", Call, Gives(Pipes), Refers;
    /// `tee`.
    Tee = 8 => "tee", Call, Passes(Pipes, Pipes), Refers;
    /// `copy_file_range`.
    CopyFileRange = 9 => "copy_file_range", Call, Passes(Stored, Stored), Refers;
    /// `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE`.
    Clone = 10 => "clone", Call, Passes(Stored, Stored), Refers;
    /// `process_vm_readv`, `process_vm_writev`.
    ProcessVm = 11 => "process_vm", Call, Apart, Plain;
    /// A page fault that made file data visible.
    FaultMap = 12 => "fault.map", Fault, Shows(Stored), Plain;
    /// A page fault that copied a page.
    FaultCow = 13 => "fault.cow", Fault, Apart, Plain;
    /// A page copied at fork because it was pinned.
    ForkCow = 14 => "fork.cow", Fault, Apart, Plain;
    /// A receive with `MSG_PEEK`.
    RecvPeek = 15 => "recv.peek", Call, Apart, Plain;
    /// A send with `MSG_ZEROCOPY`.
    SendZerocopy = 30 => "send.zerocopy", Call, Gives(Sockets), Lends;
    /// `getsockopt(TCP_ZEROCOPY_RECEIVE)`.
    RecvZerocopy = 31 => "recv.zerocopy", Call, Takes(Sockets), Refers;
    /// Work that is not known to have been caused by any operation of a process.
    Kernel = 16 => "kernel", Beside, Apart, Plain;
    /// A system call that is not an operation of the ledger, but in which bytes were copied.
    Other = 17 => "other", Beside, Apart, Plain;
    /// overlayfs copied a file of a lower layer.
    CopyUp = 18 => "copy_up", Beside, Apart, Plain;
    /// `UFFDIO_COPY`.
    UffdCopy = 19 => "uffd.copy", Uffd, Apart, Plain;
    /// `UFFDIO_ZEROPAGE`.
    UffdZeropage = 20 => "uffd.zeropage", Uffd, Apart, Plain;
    /// `UFFDIO_CONTINUE`.
    UffdContinue = 21 => "uffd.continue", Uffd, Apart, Plain;
    /// `UFFDIO_MOVE`.
    UffdMove = 22 => "uffd.move", Uffd, Apart, Plain;
    /// A write to a page that was present and could not be written to: it may have been copied (tracepoints backend).
    FaultWrite = 23 => "fault.write", Fault, Apart, Plain;
    /// `IORING_OP_READV`.
    UringReadv = 64 => "uring.readv", Uring(1), Takes(Any), Plain;
    /// `IORING_OP_WRITEV`.
    UringWritev = 65 => "uring.writev", Uring(2), Gives(Any), Plain;
    /// `IORING_OP_READ_FIXED`.
    UringReadFixed = 66 => "uring.read_fixed", Uring(4), Takes(Any), Plain;
    /// `IORING_OP_WRITE_FIXED`.
    UringWriteFixed = 67 => "uring.write_fixed", Uring(5), Gives(Any), Plain;
    /// `IORING_OP_SENDMSG`.
    UringSendmsg = 68 => "uring.sendmsg", Uring(9), Gives(Sockets), Plain;
    /// `IORING_OP_RECVMSG`.
    UringRecvmsg = 69 => "uring.recvmsg", Uring(10), Takes(Sockets), Plain;
    /// `IORING_OP_READ`.
    UringRead = 70 => "uring.read", Uring(22), Takes(Any), Plain;
    /// `IORING_OP_WRITE`.
    UringWrite = 71 => "uring.write", Uring(23), Gives(Any), Plain;
    /// `IORING_OP_SEND`.
    UringSend = 72 => "uring.send", Uring(26), Gives(Sockets), Plain;
    /// `IORING_OP_RECV`.
    UringRecv = 73 => "uring.recv", Uring(27), Takes(Sockets), Plain;
    /// `IORING_OP_SPLICE`.
    UringSplice = 74 => "uring.splice", Uring(30), Passes(Any, Any), Refers;
    /// `IORING_OP_TEE`.
    UringTee = 75 => "uring.tee", Uring(33), Passes(Pipes, Pipes), Refers;
    /// `IORING_OP_SEND_ZC`.
    UringSendZc = 76 => "uring.send_zc", Uring(47), Gives(Sockets), Lends;
    /// `IORING_OP_SENDMSG_ZC`.
    UringSendmsgZc = 77 => "uring.sendmsg_zc", Uring(48), Gives(Sockets), Lends;
    /// `IORING_OP_READ_MULTISHOT`.
    UringReadMultishot = 78 => "uring.read_multishot", Uring(49), Takes(Any), Plain;
    /// `IORING_OP_RECV_ZC`.
    UringRecvZc = 79 => "uring.recv_zc", Uring(58), Takes(Sockets), Refers;
    /// `IORING_OP_READV_FIXED`.
    UringReadvFixed = 80 => "uring.readv_fixed", Uring(60), Takes(Any), Plain;
    /// `IORING_OP_WRITEV_FIXED`.
    UringWritevFixed = 81 => "uring.writev_fixed", Uring(61), Gives(Any), Plain;
    /// `IOCB_CMD_PREAD`, `IOCB_CMD_PREADV`.
    AioRead = 82 => "aio.read", Aio, Takes(Any), Plain;
    /// `IOCB_CMD_PWRITE`, `IOCB_CMD_PWRITEV`.
    AioWrite = 83 => "aio.write", Aio, Gives(Any), Plain;
    /// `IORING_OP_RECV` and `IORING_OP_RECVMSG` with `MSG_PEEK` or `MSG_ERRQUEUE`.
    UringRecvPeek = 84 => "uring.recv_peek", Uring(27), Apart, Plain;
    /// `IORING_OP_URING_CMD`: a command to a driver. It does not report how many bytes it moved.
    UringCmd = 85 => "uring.cmd", Uring(46), Apart, Plain;
}

impl Op {
    /// Whether it is a request that completes later: one of io_uring or Linux AIO.
    #[must_use]
    pub const fn is_request(self) -> bool {
        matches!(self.cause(), Uring(_) | Aio)
    }

    /// Whether it is a page fault, or a fork that had to copy.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self.cause(), Fault)
    }

    /// Whether it gives bytes away from memory of the caller or takes them into it; `None` where it
    /// does neither.
    #[must_use]
    pub const fn goes_out(self) -> Option<bool> {
        match self.flow() {
            Gives(_) => Some(true),
            Takes(_) => Some(false),
            Passes(..) | Shows(_) | Apart => None,
        }
    }

    /// Whether it can bring bytes to a socket.
    #[must_use]
    pub const fn can_send(self) -> bool {
        matches!(self.flow(), Gives(to) | Passes(_, to) if to.has_sockets())
    }

    /// Whether it can take bytes from a socket.
    #[must_use]
    pub const fn can_receive(self) -> bool {
        matches!(self.flow(), Takes(from) | Passes(from, _) if from.has_sockets())
    }

    /// Whether it passes pages on through a pipe: the caller's, or one that the kernel keeps for it.
    #[must_use]
    pub const fn splices(self) -> bool {
        matches!(self.flow(), Passes(_, Any))
    }

    /// Whether it lends pages of the caller's memory.
    #[must_use]
    pub const fn lends(self) -> bool {
        matches!(self.promise(), Lends)
    }
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

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn names(is: impl Fn(Op) -> bool) -> Vec<&'static str> {
        let all = Op::ALL.iter().copied().filter(|op| is(*op));
        all.map(Op::name).collect()
    }

    #[test]
    fn names_and_numbers_are_those_of_one_operation() {
        for &op in Op::ALL {
            assert_eq!(Op::of_name(op.name()), Some(op));
            assert_eq!(Op::from_raw(op as u16), Some(op));
        }
        assert_eq!(Op::of_name("uring.*"), None);
        assert_eq!(Op::of_name(""), None);
    }

    /// The first word of a name is a promise to users, who select with it.
    #[test]
    fn the_first_word_says_the_cause() {
        for &op in Op::ALL {
            let first = op.name().split('.').next().unwrap();
            let cause = match first {
                "uring" => matches!(op.cause(), Uring(_)),
                "aio" => op.cause() == Aio,
                "uffd" => op.cause() == Uffd,
                "fault" | "fork" => op.cause() == Fault,
                _ => matches!(op.cause(), Call | Beside),
            };
            assert!(cause, "{}", op.name());
        }
    }

    #[test]
    fn no_opcode_is_that_of_two_operations() {
        let mut opcodes: Vec<u8> = Vec::new();
        // Flags of a receive make it one.
        for op in Op::ALL.iter().filter(|&&op| op != Op::UringRecvPeek) {
            if let Uring(opcode) = op.cause() {
                assert!(!opcodes.contains(&opcode), "{}", op.name());
                opcodes.push(opcode);
            }
        }
        assert_eq!(opcodes.len(), 19);
    }

    #[test]
    fn operations_that_a_socket_can_be_the_end_of() {
        assert_eq!(
            names(Op::can_send),
            [
                "write",
                "send",
                "sendfile",
                "splice",
                "send.zerocopy",
                "uring.writev",
                "uring.write_fixed",
                "uring.sendmsg",
                "uring.write",
                "uring.send",
                "uring.splice",
                "uring.send_zc",
                "uring.sendmsg_zc",
                "uring.writev_fixed",
                "aio.write",
            ]
        );
        assert_eq!(
            names(Op::can_receive),
            [
                "read",
                "recv",
                "splice",
                "recv.zerocopy",
                "uring.readv",
                "uring.read_fixed",
                "uring.recvmsg",
                "uring.read",
                "uring.recv",
                "uring.splice",
                "uring.read_multishot",
                "uring.recv_zc",
                "uring.readv_fixed",
                "aio.read",
            ]
        );
    }

    #[test]
    fn only_sends_lend() {
        assert_eq!(names(Op::splices), ["sendfile", "splice", "uring.splice"]);
        let lend = ["send.zerocopy", "uring.send_zc", "uring.sendmsg_zc"];
        assert_eq!(names(Op::lends), lend);
        assert!(
            names(Op::lends)
                .iter()
                .all(|name| names(Op::can_send).contains(name))
        );
    }
}
