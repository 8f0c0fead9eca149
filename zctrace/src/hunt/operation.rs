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
    /// vfat.
    Vfat,
    /// A memfd.
    Memory,
    /// A block device, which is the file.
    Block,
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
    /// A stream of SCTP over loopback.
    Sctp,
    /// A hash, or a cipher, of the kernel's cryptography.
    Alg(Cipher),
    /// A netlink socket.
    Netlink,
    /// A raw socket of a protocol.
    Raw(i32),
    /// A packet socket of a type on the loopback device.
    Packet(i32),
    /// A character device.
    Device(&'static str),
    /// A terminal.
    Terminal,
    /// A file whose content is generated.
    Generated(&'static str),
    /// An eventfd.
    Event,
    /// A timer that has run out.
    Timer,
    /// A directory.
    Directory,
    /// A file of hugetlbfs.
    Huge,
}

/// What the kernel's cryptography does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// `hash`.
    Hash,
    /// `skcipher`.
    Cipher,
}

/// Everything that may be there.
pub const THINGS: &[Thing] = &[
    Thing::File(Place::Tmpfs),
    Thing::File(Place::Ramfs),
    Thing::File(Place::Ext4),
    Thing::File(Place::Xfs),
    Thing::File(Place::Btrfs),
    Thing::File(Place::Overlay),
    Thing::File(Place::Vfat),
    Thing::File(Place::Memory),
    Thing::File(Place::Block),
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
    Thing::Sctp,
    Thing::Alg(Cipher::Hash),
    Thing::Alg(Cipher::Cipher),
    Thing::Netlink,
    Thing::Raw(253),
    Thing::Raw(libc::IPPROTO_TCP),
    Thing::Raw(libc::IPPROTO_UDP),
    Thing::Packet(libc::SOCK_DGRAM),
    Thing::Packet(libc::SOCK_RAW),
    Thing::Device("/dev/zero"),
    Thing::Device("/dev/null"),
    Thing::Device("/dev/full"),
    Thing::Device("/dev/urandom"),
    Thing::Device("/dev/random"),
    Thing::Terminal,
    Thing::Generated("/proc/version"),
    Thing::Generated("/proc/self/oom_score_adj"),
    Thing::Generated("/proc/self/comm"),
    Thing::Generated("/proc/self/cmdline"),
    Thing::Generated("/proc/self/auxv"),
    Thing::Generated("/proc/self/pagemap"),
    Thing::Generated("/sys/kernel/notes"),
    Thing::Generated("/sys/kernel/mm/transparent_hugepage/enabled"),
    Thing::Generated("/sys/kernel/profiling"),
    Thing::Event,
    Thing::Timer,
    Thing::Directory,
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
                | Self::Sctp
                | Self::Alg(_)
                | Self::Netlink
                | Self::Raw(_)
                | Self::Packet(_)
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
    /// `RECV`, `SEND_ZC` of a registered buffer.
    FixedZerocopy,
    /// `RECV`, `SENDMSG_ZC`.
    HeaderZerocopy,
}

/// How the buffer is cut into vectors, where a call takes some.
#[derive(Clone, Copy, Debug)]
pub enum Split {
    /// There is none.
    None,
    /// One.
    One,
    /// Two.
    Halves,
    /// Two, with empty ones before, between and after.
    Empties,
    /// Several of odd lengths, some of them empty.
    Many,
}

/// A message queue.
#[derive(Clone, Copy, Debug)]
pub enum Queue {
    /// Of POSIX.
    Posix,
    /// Of System V.
    SystemV,
}

/// How pages come to be where a userfaultfd looks for them.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    /// `UFFDIO_COPY`.
    Copy,
    /// `UFFDIO_ZEROPAGE`.
    Zero,
    /// `UFFDIO_MOVE`.
    Move,
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
    /// How it is cut.
    pub split: Split,
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
    /// A message into a queue, and out of it, with flags of `msgrcv`.
    Queue(Queue, i32),
    /// A userfaultfd.
    Userfault(Fill),
    /// A call on a descriptor that is not open, or only as a path.
    NoFile(Call, bool),
}

/// Unknown to libc.
const MSG_SOCK_DEVMEM: i32 = 0x200_0000;

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
    let act = match random.next() % 22 {
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
        19 => {
            let flags = [0, 0, libc::MSG_NOERROR, libc::MSG_COPY, libc::MSG_EXCEPT];
            Act::Queue(
                random.of(&[Queue::Posix, Queue::SystemV]),
                random.of(&flags),
            )
        }
        20 => Act::Userfault(random.of(&[Fill::Copy, Fill::Zero, Fill::Move])),
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
        split: random.of(&[
            Split::Halves,
            Split::Halves,
            Split::One,
            Split::Empties,
            Split::Many,
            Split::None,
        ]),
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
        libc::MSG_EOR,
        libc::MSG_DONTROUTE,
        libc::MSG_MORE | libc::MSG_ZEROCOPY,
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
        libc::MSG_PEEK | libc::MSG_WAITALL,
        libc::MSG_TRUNC | libc::MSG_WAITALL,
        MSG_SOCK_DEVMEM,
    ];
    let message = if sends {
        random.of(&sent)
    } else {
        random.of(&received)
    };
    let rwf = if sends {
        // RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND, RWF_ATOMIC,
        // RWF_DONTCACHE.
        random.of(&[0, 0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x88])
    } else {
        // RWF_HIPRI, RWF_NOWAIT, RWF_DONTCACHE.
        random.of(&[0, 0x1, 0x8, 0x80, 0x88])
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
        Call::Ring(Request::FixedZerocopy),
        Call::Ring(Request::HeaderZerocopy),
    ];
    if thing.is_socket() && !random.once_in(4) {
        random.of(&of_socket)
    } else {
        random.of(&any)
    }
}
