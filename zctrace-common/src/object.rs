//! What an operation worked on, packed into 64 bits so that it can be part of a key.

/// The kind of an [`Object`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A file of a filesystem; the value identifies its `file_system_type`.
    File = 1,
    /// A block device.
    Block = 2,
    /// A pipe or FIFO.
    Pipe = 3,
    /// A TCP socket (MPTCP is `Socket`, and so is a raw socket for TCP's packets).
    Tcp = 4,
    /// A UDP socket.
    Udp = 5,
    /// A unix domain socket of any type.
    Unix = 6,
    /// A vsock socket.
    Vsock = 7,
    /// Another socket; the value is its address family, or [`Object::ip_socket`].
    Socket = 8,
    /// A character device; the value is its device number (`inode.i_rdev`).
    Char = 9,
    /// Anonymous memory.
    Anon = 10,
    /// The object could not be read.
    Unknown = 11,
    /// The object of a system call is not known; the value is the call's number as 32 bits. Some numbers below 0 stand
    /// for what is no call, such as [`Object::WORKER`].
    Syscall = 12,
    /// A file of overlayfs.
    Overlay = 13,
    /// A POSIX message queue.
    Mqueue = 14,
    /// A System V message queue.
    Msgqueue = 15,
    /// Memory that a process fills in itself, through a `userfaultfd`.
    Userfaultfd = 16,
}

impl ObjectKind {
    /// The kind behind a number that came out of a map.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            1 => Self::File,
            2 => Self::Block,
            3 => Self::Pipe,
            4 => Self::Tcp,
            5 => Self::Udp,
            6 => Self::Unix,
            7 => Self::Vsock,
            8 => Self::Socket,
            9 => Self::Char,
            10 => Self::Anon,
            11 => Self::Unknown,
            12 => Self::Syscall,
            13 => Self::Overlay,
            14 => Self::Mqueue,
            15 => Self::Msgqueue,
            16 => Self::Userfaultfd,
            _ => return None,
        })
    }
}

/// Sockets over IP that have their own name, by the protocol in [`Object::ip_socket`].
pub const IP_SOCKETS: [(u16, &str); 4] = [
    (IPPROTO_ICMP, "icmp"),
    (IPPROTO_SCTP, "sctp"),
    (IPPROTO_RAW, "raw"),
    (IPPROTO_MPTCP, "mptcp"),
];
/// Echo requests and replies without privileges, over IPv6 too.
pub const IPPROTO_ICMP: u16 = 1;
/// Messages and several streams over one association.
pub const IPPROTO_SCTP: u16 = 132;
/// Any socket of type `SOCK_RAW`, whatever its protocol.
pub const IPPROTO_RAW: u16 = 255;
/// TCP over several paths.
pub const IPPROTO_MPTCP: u16 = 262;

/// An object: its kind and a value whose meaning depends on the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Which one; at most 56 bits.
    pub value: u64,
}

impl Object {
    /// The number that stands in place of a call's for a thread that works for a process and makes no calls.
    pub const WORKER_NUMBER: i32 = -3;

    /// What such a thread has copied.
    pub const WORKER: u64 = Self::pack(ObjectKind::Syscall, Self::WORKER_NUMBER as u32 as u64);

    const VALUE_BITS: u32 = 56;
    const VALUE_MASK: u64 = (1 << Self::VALUE_BITS) - 1;

    /// Packs `kind` and the low 56 bits of `value`. Never 0: 0 means "no object".
    #[inline(always)]
    #[must_use]
    pub const fn pack(kind: ObjectKind, value: u64) -> u64 {
        ((kind as u64) << Self::VALUE_BITS) | (value & Self::VALUE_MASK)
    }

    /// Packs a socket over IP, one of [`IP_SOCKETS`], whichever version of IP it is.
    #[inline(always)]
    #[must_use]
    pub const fn ip_socket(protocol: u16) -> u64 {
        const AF_INET: u64 = 2;
        Self::pack(ObjectKind::Socket, AF_INET | (protocol as u64) << 16)
    }

    /// Whether a packed object is of this kind.
    #[inline(always)]
    #[must_use]
    pub const fn is(raw: u64, kind: ObjectKind) -> bool {
        raw >> Self::VALUE_BITS == kind as u64
    }

    /// The reverse of [`Object::pack`]; `None` for 0 and for an unknown kind.
    #[must_use]
    pub const fn unpack(raw: u64) -> Option<Self> {
        match ObjectKind::from_raw((raw >> Self::VALUE_BITS) as u8) {
            Some(kind) => Some(Self {
                kind,
                value: raw & Self::VALUE_MASK,
            }),
            None => None,
        }
    }
}
