//! What can be drawn: operations as plain data, which can be printed and done again.

use nix::libc;

use super::random::Random;

/// Where a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// tmpfs.
    Tmpfs,
    /// ramfs.
    Ramfs,
    /// ext4.
    Ext4,
    /// xfs.
    Xfs,
    /// btrfs.
    Btrfs,
    /// overlayfs over tmpfs.
    Overlay,
}

/// What a call works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Thing {
    /// A regular file.
    File(Place),
    /// A pipe.
    Pipe,
    /// A pair of unix sockets of a type.
    Unix(i32),
    /// A TCP connection over loopback.
    Tcp,
    /// A TCP connection with kernel TLS in software.
    Ktls,
    /// An MPTCP connection over loopback.
    Mptcp,
    /// UDP over loopback.
    Udp,
    /// A pair of vsock sockets of a type.
    Vsock(i32),
    /// A hash of the kernel's cryptography.
    Alg,
    /// A netlink socket.
    Netlink,
    /// A raw socket of a protocol.
    Raw(i32),
    /// A packet socket on the loopback device.
    Packet,
    /// A character device.
    Device(&'static str),
    /// A terminal.
    Terminal,
    /// A file whose content is generated.
    Generated(&'static str),
    /// An eventfd.
    Event,
    /// A file of hugetlbfs.
    Huge,
}

/// Everything that may be there.
pub const THINGS: &[Thing] = &[
    Thing::File(Place::Tmpfs),
    Thing::File(Place::Ramfs),
    Thing::File(Place::Ext4),
    Thing::File(Place::Xfs),
    Thing::File(Place::Btrfs),
    Thing::File(Place::Overlay),
    Thing::Pipe,
    Thing::Unix(libc::SOCK_STREAM),
    Thing::Unix(libc::SOCK_DGRAM),
    Thing::Unix(libc::SOCK_SEQPACKET),
    Thing::Tcp,
    Thing::Ktls,
    Thing::Mptcp,
    Thing::Udp,
    Thing::Vsock(libc::SOCK_STREAM),
    Thing::Vsock(libc::SOCK_SEQPACKET),
    Thing::Alg,
    Thing::Netlink,
    Thing::Raw(253),
    Thing::Raw(libc::IPPROTO_TCP),
    Thing::Raw(libc::IPPROTO_UDP),
    Thing::Packet,
    Thing::Device("/dev/zero"),
    Thing::Device("/dev/null"),
    Thing::Device("/dev/full"),
    Thing::Device("/dev/urandom"),
    Thing::Device("/dev/random"),
    Thing::Terminal,
    Thing::Generated("/proc/version"),
    Thing::Generated("/proc/self/oom_score_adj"),
    Thing::Generated("/proc/self/comm"),
    Thing::Generated("/sys/kernel/mm/transparent_hugepage/enabled"),
    Thing::Generated("/sys/kernel/profiling"),
    Thing::Event,
    Thing::Huge,
];

impl Thing {
    /// Whether it is a socket.
    #[must_use]
    pub const fn is_socket(self) -> bool {
        matches!(
            self,
            Self::Unix(_)
                | Self::Tcp
                | Self::Ktls
                | Self::Mptcp
                | Self::Udp
                | Self::Vsock(_)
                | Self::Alg
                | Self::Netlink
                | Self::Raw(_)
                | Self::Packet
        )
    }

    /// Whether a position in it has a meaning.
    #[must_use]
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File(_) | Self::Huge)
    }
}

/// How a file is made.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    /// Its length.
    pub bytes: usize,
    /// Only its first and its last page are written.
    pub holes: bool,
    /// Flags that it is opened with besides.
    pub flags: i32,
}

/// A call that moves bytes between user memory and a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `read`, `write`.
    Plain,
    /// `pread64`, `pwrite64`.
    At,
    /// `readv`, `writev`.
    Vector,
    /// `preadv2`, `pwritev2`, with flags.
    VectorAt(i32),
    /// `recvfrom`, `sendto`, with flags.
    Message(i32),
    /// `recvmsg`, `sendmsg`, with flags.
    Header(i32),
    /// `recvmmsg`, `sendmmsg` of three, with flags.
    Headers(i32),
    /// A request of io_uring.
    Ring(Request),
}

impl Call {
    /// The flags of a message.
    #[must_use]
    pub const fn flags(self) -> i32 {
        match self {
            Self::Message(flags)
            | Self::Header(flags)
            | Self::Headers(flags)
            | Self::Ring(Request::Message(flags) | Request::Header(flags)) => flags,
            _ => 0,
        }
    }
}

/// A request of io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `READ`, `WRITE`.
    Plain,
    /// `READV`, `WRITEV`.
    Vector,
    /// `READ_FIXED`, `WRITE_FIXED`.
    Fixed,
    /// `RECV`, `SEND`, with flags.
    Message(i32),
    /// `RECVMSG`, `SENDMSG`, with flags.
    Header(i32),
    /// `RECV`, `SEND_ZC`.
    Zerocopy,
}

/// How bytes come into a pipe.
#[derive(Clone, Copy, Debug)]
pub enum Feed {
    /// By `write`.
    Write,
    /// By `vmsplice`.
    Vmsplice,
    /// By `splice` of a file.
    Splice(Place),
}

/// One draw.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// How it is done.
    pub act: Act,
    /// How files are made for it.
    pub make: Make,
    /// How much is asked for.
    pub length: usize,
    /// Where the buffer begins within a page.
    pub shift: usize,
    /// Whether the buffer is shared memory.
    pub shared: bool,
    /// Whether sockets get `SO_ZEROCOPY`.
    pub zerocopy: bool,
}

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Bytes into a thing, and out of it again.
    Calls(Thing, Call, Call),
    /// `sendfile`.
    Sendfile(Thing, Thing),
    /// `splice` into a pipe, and out of it.
    Splice(Thing, Thing, u32),
    /// A pipe is fed, then spliced into a thing.
    Drain(Feed, Thing, u32),
    /// The same by io_uring.
    RingDrain(Feed, Thing),
    /// `splice` by io_uring into a pipe.
    RingSplice(Thing),
    /// `tee` of a pipe, by the call or by io_uring.
    Tee(Feed, bool),
    /// `vmsplice` into a pipe, and out of it.
    Vmsplice(u32),
    /// `copy_file_range`.
    CopyRange(Place, Place),
    /// `FICLONE`, `FICLONERANGE` or `FIDEDUPERANGE`.
    Clone(Place, u8),
    /// `process_vm_readv`, `process_vm_writev` on itself.
    ProcessVm(bool),
    /// `TCP_ZEROCOPY_RECEIVE`.
    Receive,
    /// A call on a descriptor that is not open, or only as a path.
    NoFile(Call, bool),
}

const LENGTHS: &[usize] = &[
    0, 1, 7, 100, 511, 512, 1000, 4095, 4096, 4097, 8192, 12_288, 16_384, 40_000, 65_536, 100_000,
];

/// Draws the next operation, of things that are there.
pub fn draw(random: &mut Random, things: &[Thing]) -> Operation {
    let places: Vec<Place> = things
        .iter()
        .filter_map(|thing| match thing {
            Thing::File(place) => Some(*place),
            _ => None,
        })
        .collect();
    let sockets: Vec<Thing> = things.iter().copied().filter(|t| t.is_socket()).collect();
    let place = |random: &mut Random| random.of(&places);
    // Files and sockets are of more interest than devices.
    let thing = |random: &mut Random| match random.next() % 4 {
        0 => Thing::File(random.of(&places)),
        1 => random.of(&sockets),
        _ => random.of(things),
    };
    let feed = |random: &mut Random| match random.next() % 3 {
        0 => Feed::Write,
        1 => Feed::Vmsplice,
        _ => Feed::Splice(random.of(&places)),
    };
    let act = match random.next() % 20 {
        0..4 => {
            let thing = thing(random);
            Act::Calls(thing, call(random, thing, true), call(random, thing, false))
        }
        4..9 => {
            let thing = random.of(&sockets);
            Act::Calls(thing, call(random, thing, true), call(random, thing, false))
        }
        9..12 => Act::Sendfile(thing(random), thing(random)),
        12 => Act::Splice(thing(random), thing(random), flags(random)),
        13 | 14 => Act::Drain(feed(random), thing(random), flags(random)),
        15 => match random.next() % 3 {
            0 => Act::RingDrain(feed(random), thing(random)),
            1 => Act::RingSplice(thing(random)),
            _ => Act::Tee(feed(random), random.once_in(2)),
        },
        16 => Act::CopyRange(place(random), place(random)),
        17 => match random.next() % 4 {
            0 => Act::Clone(place(random), (random.next() % 3) as u8),
            1 => Act::ProcessVm(random.once_in(2)),
            2 => Act::Receive,
            _ => Act::NoFile(call(random, Thing::Tcp, true), random.once_in(2)),
        },
        18 => Act::Vmsplice(flags(random)),
        _ => {
            let thing = Thing::File(place(random));
            Act::Calls(thing, call(random, thing, true), call(random, thing, false))
        }
    };
    let mut open = 0;
    if random.once_in(4) {
        open |= libc::O_DIRECT;
    }
    if random.once_in(8) {
        open |= libc::O_APPEND;
    }
    Operation {
        act,
        make: Make {
            bytes: random.of(LENGTHS),
            holes: random.once_in(4),
            flags: open,
        },
        length: random.of(LENGTHS),
        shift: random.of(&[0, 0, 0, 512, 1]),
        shared: random.once_in(6),
        zerocopy: random.once_in(2),
    }
}

fn flags(random: &mut Random) -> u32 {
    random.of(&[
        0,
        0,
        libc::SPLICE_F_MOVE,
        libc::SPLICE_F_GIFT,
        libc::SPLICE_F_MORE,
    ])
}

fn call(random: &mut Random, thing: Thing, sends: bool) -> Call {
    let sent = [
        0,
        0,
        libc::MSG_MORE,
        libc::MSG_ZEROCOPY,
        libc::MSG_ZEROCOPY,
        libc::MSG_OOB,
    ];
    let received = [
        0,
        0,
        libc::MSG_PEEK,
        libc::MSG_TRUNC,
        libc::MSG_PEEK | libc::MSG_TRUNC,
        libc::MSG_WAITALL,
        libc::MSG_OOB,
        libc::MSG_ERRQUEUE,
    ];
    let message = if sends {
        random.of(&sent)
    } else {
        random.of(&received)
    };
    let rwf = if sends {
        // RWF_DSYNC, RWF_NOWAIT, RWF_APPEND.
        random.of(&[0, 0x2, 0x8, 0x10])
    } else {
        // RWF_HIPRI, RWF_NOWAIT, RWF_DONTCACHE.
        random.of(&[0, 0x1, 0x8, 0x80])
    };
    let any = [
        Call::Plain,
        Call::Vector,
        Call::At,
        Call::VectorAt(rwf),
        Call::Ring(Request::Plain),
        Call::Ring(Request::Vector),
        Call::Ring(Request::Fixed),
    ];
    let of_socket = [
        Call::Message(message),
        Call::Message(message),
        Call::Header(message),
        Call::Headers(message),
        Call::Ring(Request::Message(message)),
        Call::Ring(Request::Header(message)),
        Call::Ring(Request::Zerocopy),
    ];
    if thing.is_socket() && !random.once_in(4) {
        random.of(&of_socket)
    } else {
        random.of(&any)
    }
}
