//! Does drawn operations. Whatever the kernel answers is fine: both backends watch the same call.

mod arrival;
mod calls;
mod connections;
mod ends;
mod files;
mod ring;

use std::{
    os::fd::{AsRawFd as _, RawFd},
    path::PathBuf,
};

use anyhow::{Context as _, Result, ensure};
use io_uring::{opcode, types};
use nix::{
    libc::{self, c_int, c_void},
    pty::{OpenptyResult, openpty},
};

use super::{
    fault,
    operation::{Act, Call, Feed, Make, Operation, Place, Split, Thing},
    queue,
};
use crate::workload::{
    stage::{
        buffer::fill,
        mapping::{Mapping, page_size},
        sockets,
    },
    traffic::ktls,
};
use arrival::{await_bytes, is_ready};
use calls::{answer, halves, receive, share, splice};
use connections::{algorithm, connect_to, packet, pair, refuse, socket, stream, vsock};
use ends::{Ends, of, option, owned};
use files::{opened, pipe, timer};
use ring::request;

/// Where files are made: a directory for each place that is there.
pub type Places = Vec<(Place, PathBuf)>;

/// More than any operation asks for.
const ROOM: usize = 128 * 1024;

/// The most vectors that a buffer is cut into.
const MOST_PIECES: usize = 8;

/// The answer of a request that would have had to wait, or that the ring did not take.
const NOT_MADE: i64 = i64::MIN;

/// What one process has at hand.
pub struct World<'a> {
    places: &'a Places,
    private: Mapping,
    shared: Mapping,
}

impl<'a> World<'a> {
    /// A world of these places.
    pub fn new(places: &'a Places) -> Result<Self> {
        let shared = nix::sys::mman::MapFlags::MAP_SHARED | nix::sys::mman::MapFlags::MAP_POPULATE;
        let mut world = Self {
            places,
            private: Mapping::present(2 * ROOM)?,
            shared: Mapping::anonymous(2 * ROOM, shared)?,
        };
        for mapping in [&mut world.private, &mut world.shared] {
            // SAFETY: our own mapping, of this length, to which nothing refers.
            fill(unsafe { std::slice::from_raw_parts_mut(mapping.address(), 2 * ROOM) });
        }
        Ok(world)
    }

    fn buffer(&self, operation: &Operation) -> *mut u8 {
        let mapping = if operation.shared {
            &self.shared
        } else {
            &self.private
        };
        mapping.address().wrapping_add(operation.shift)
    }

    fn directory(&self, place: Place) -> Result<&PathBuf> {
        let found = self.places.iter().find(|(known, _)| *known == place);
        Ok(&found.context("a place that is not there")?.1)
    }

    fn file(&self, place: Place, make: Make) -> Result<Ends> {
        let pattern = self.private.address().cast_const().cast();
        files::file(self.directory(place)?, place, make, pattern)
    }

    /// Makes a thing.
    fn make(&self, thing: Thing, operation: &Operation) -> Result<Ends> {
        let ends = match thing {
            Thing::File(place) => self.file(place, operation.make)?,
            Thing::Pipe => pipe()?,
            Thing::Unix(kind) => {
                let (into, out_of) = pair(kind)?;
                of(into, out_of)
            }
            Thing::Tcp => {
                let (near, far) = sockets::tcp_pair()?;
                of(near.into(), far.into())
            }
            Thing::Ktls => {
                let (near, far) = ktls::connection()?;
                of(near.into(), far.into())
            }
            Thing::Mptcp => stream(262)?,
            Thing::Sctp => stream(libc::IPPROTO_SCTP)?,
            Thing::Udp => {
                let (near, far) = sockets::udp_pair()?;
                of(near.into(), far.into())
            }
            Thing::Vsock(kind) => vsock(kind)?,
            Thing::Alg(cipher) => algorithm(cipher)?,
            Thing::Netlink => {
                // Notices go nowhere: what is sent is answered.
                let fd = owned(socket(libc::AF_NETLINK, libc::SOCK_RAW, 0))?;
                let other = fd.try_clone()?;
                of(fd, other)
            }
            Thing::Raw(protocol) => {
                let fd = owned(socket(libc::AF_INET, libc::SOCK_RAW, protocol))?;
                connect_to(&fd, libc::INADDR_LOOPBACK, 0)?;
                if protocol == libc::IPPROTO_TCP || protocol == libc::IPPROTO_UDP {
                    // Everybody's packets would come in.
                    refuse(&fd)?;
                }
                let other = fd.try_clone()?;
                of(fd, other)
            }
            Thing::Packet(kind) => packet(kind)?,
            Thing::Device(name) => opened(name, libc::O_RDWR)?,
            Thing::Terminal => {
                let OpenptyResult { master, slave } = openpty(None, None)?;
                of(master, slave)
            }
            Thing::Generated(name) => {
                let into = opened(name, libc::O_WRONLY);
                let out_of = opened(name, libc::O_RDONLY)?;
                match into {
                    // Not those of the machine.
                    // Nor the name, by which the process is known.
                    Ok(into) if name == "/proc/self/oom_score_adj" => of(into.into, out_of.out_of),
                    _ => out_of,
                }
            }
            Thing::Event => {
                // SAFETY: no memory is passed.
                let fd = owned(unsafe { libc::eventfd(1, libc::EFD_NONBLOCK) })?;
                let other = fd.try_clone()?;
                of(fd, other)
            }
            Thing::Timer => timer()?,
            Thing::Directory => opened("/", libc::O_RDONLY | libc::O_DIRECTORY)?,
            Thing::Huge => {
                // SAFETY: a string that outlives the call.
                let fd =
                    owned(unsafe { libc::memfd_create(c"hunted".as_ptr(), libc::MFD_HUGETLB) })?;
                // SAFETY: the file is ours.
                unsafe { libc::ftruncate(fd.as_raw_fd(), 2 << 20) };
                let other = fd.try_clone()?;
                of(fd, other)
            }
        };
        for end in [&ends.into, &ends.out_of] {
            if !thing.is_file() {
                let fd = end.as_raw_fd();
                // SAFETY: the descriptor is ours.
                unsafe {
                    libc::fcntl(
                        fd,
                        libc::F_SETFL,
                        libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK,
                    )
                };
            }
            if thing.is_socket() && operation.zerocopy {
                option(end, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1);
            }
        }
        Ok(ends)
    }

    /// Does one operation. An error means that something it needs cannot be made.
    pub fn act(&mut self, operation: &Operation) -> Result<()> {
        let length = operation.length;
        match operation.act {
            Act::Calls(thing, first, second) => {
                let ends = self.make(thing, operation)?;
                let into = ends.into.as_raw_fd();
                let sent = self.put(into, thing, first, operation);
                await_bytes(&ends, thing, first, sent);
                self.take(ends.out_of.as_raw_fd(), thing, second, operation);
            }
            Act::Sendfile(source, sink) => {
                let (from, to) = (self.make(source, operation)?, self.make(sink, operation)?);
                self.supply(&from, source, operation);
                // SAFETY: no memory is passed.
                unsafe {
                    libc::sendfile(
                        to.into.as_raw_fd(),
                        from.out_of.as_raw_fd(),
                        std::ptr::null_mut(),
                        length,
                    )
                };
            }
            Act::Splice(source, sink, flags) => {
                let (from, to) = (self.make(source, operation)?, self.make(sink, operation)?);
                self.supply(&from, source, operation);
                let between = pipe()?;
                let flags = flags | libc::SPLICE_F_NONBLOCK;
                splice(&from.out_of, &between.into, length, flags);
                splice(&between.out_of, &to.into, length, flags);
            }
            Act::Drain(feed, sink, flags) => {
                let (between, to) = (pipe()?, self.make(sink, operation)?);
                self.feed(&between, feed, operation)?;
                splice(
                    &between.out_of,
                    &to.into,
                    length,
                    flags | libc::SPLICE_F_NONBLOCK,
                );
            }
            Act::RingDrain(feed, sink) => {
                let (between, to) = (pipe()?, self.make(sink, operation)?);
                self.feed(&between, feed, operation)?;
                let entry = opcode::Splice::new(
                    types::Fd(between.out_of.as_raw_fd()),
                    -1,
                    types::Fd(to.into.as_raw_fd()),
                    -1,
                    length as u32,
                )
                .flags(libc::SPLICE_F_NONBLOCK)
                .build();
                ring::ring(entry, None)?;
            }
            Act::RingSplice(source) => {
                let (from, between) = (self.make(source, operation)?, pipe()?);
                self.supply(&from, source, operation);
                let entry = opcode::Splice::new(
                    types::Fd(from.out_of.as_raw_fd()),
                    -1,
                    types::Fd(between.into.as_raw_fd()),
                    -1,
                    length as u32,
                )
                .flags(libc::SPLICE_F_NONBLOCK)
                .build();
                ring::ring(entry, None)?;
            }
            Act::Tee(feed, by_ring) => {
                let (one, two) = (pipe()?, pipe()?);
                self.feed(&one, feed, operation)?;
                let (from, to) = (one.out_of.as_raw_fd(), two.into.as_raw_fd());
                if by_ring {
                    let entry = opcode::Tee::new(types::Fd(from), types::Fd(to), length as u32)
                        .flags(libc::SPLICE_F_NONBLOCK)
                        .build();
                    ring::ring(entry, None)?;
                } else {
                    // SAFETY: no memory is passed.
                    unsafe { libc::tee(from, to, length, libc::SPLICE_F_NONBLOCK) };
                }
                self.take(two.out_of.as_raw_fd(), Thing::Pipe, Call::Plain, operation);
            }
            Act::Vmsplice(flags) => {
                let ends = pipe()?;
                let (pieces, count) = self.pieces(operation);
                for end in [&ends.into, &ends.out_of] {
                    let flags = flags | libc::SPLICE_F_NONBLOCK;
                    // SAFETY: the pieces lie within a mapping that lives longer than the pipe.
                    unsafe { libc::vmsplice(end.as_raw_fd(), pieces.as_ptr(), count, flags) };
                }
            }
            Act::CopyRange(source, sink) => {
                let from = self.file(source, operation.make)?;
                let to = self.file(sink, operation.make)?;
                let null = std::ptr::null_mut();
                // SAFETY: no memory is passed.
                unsafe {
                    libc::copy_file_range(
                        from.out_of.as_raw_fd(),
                        null,
                        to.into.as_raw_fd(),
                        null,
                        length,
                        0,
                    )
                };
            }
            Act::Clone(place, kind) => {
                let (from, to) = (
                    self.file(place, operation.make)?,
                    self.file(place, operation.make)?,
                );
                share(
                    &from.out_of,
                    &to.into,
                    kind,
                    (length - length % page_size()) as u64,
                );
            }
            Act::ProcessVm(writes) => {
                let (local, count) = self.pieces(operation);
                let remote = halves(self.private.address().wrapping_add(ROOM), length);
                let own = std::process::id().cast_signed();
                let (near, far) = (local.as_ptr(), remote.as_ptr());
                // SAFETY: all pieces lie within mappings of ours, to which nothing refers.
                unsafe {
                    if writes {
                        libc::process_vm_writev(own, near, count as _, far, 2, 0)
                    } else {
                        libc::process_vm_readv(own, near, count as _, far, 2, 0)
                    }
                };
            }
            Act::Receive => {
                let ends = self.make(Thing::Tcp, operation)?;
                let sent = self.put(ends.into.as_raw_fd(), Thing::Tcp, Call::Plain, operation);
                await_bytes(&ends, Thing::Tcp, Call::Plain, sent);
                receive(&ends.out_of, self.private.address(), length);
            }
            Act::Queue(kind, flags) => queue::pass(kind, flags, self.buffer(operation), operation)?,
            Act::Userfault(kind) => fault::fill(kind, length.div_ceil(page_size()))?,
            Act::NoFile(call, path_only) => {
                let ends = pipe()?;
                let (fd, _keep) = if path_only {
                    let kept = opened("/", libc::O_PATH)?;
                    (kept.into.as_raw_fd(), Some(kept))
                } else {
                    let fd = ends.into.as_raw_fd();
                    drop(ends);
                    (fd, None)
                };
                self.put(fd, Thing::Pipe, call, operation);
            }
        }
        Ok(())
    }

    /// The buffer as vectors, and how many.
    fn pieces(&self, operation: &Operation) -> ([libc::iovec; MOST_PIECES], usize) {
        let (base, length) = (self.buffer(operation), operation.length);
        let half = length / 2;
        let seventh = length / 7;
        let lengths: &[usize] = match operation.split {
            Split::None => &[],
            Split::One => &[length],
            Split::Halves => &[half, length - half],
            Split::Empties => &[0, half, 0, length - half, 0],
            Split::Many => &[
                1.min(length),
                0,
                seventh,
                seventh,
                seventh,
                0,
                seventh,
                (length - 4 * seventh).saturating_sub(1),
            ],
        };
        let mut pieces = [libc::iovec {
            iov_base: base.cast(),
            iov_len: 0,
        }; MOST_PIECES];
        let mut at = base;
        for (piece, &length) in pieces.iter_mut().zip(lengths) {
            *piece = libc::iovec {
                iov_base: at.cast(),
                iov_len: length,
            };
            at = at.wrapping_add(length);
        }
        (pieces, lengths.len())
    }

    /// Something to take out of a thing that has nothing of its own.
    fn supply(&mut self, ends: &Ends, thing: Thing, operation: &Operation) {
        if thing.is_socket() || thing == Thing::Pipe {
            let sent = self.put(ends.into.as_raw_fd(), thing, Call::Plain, operation);
            await_bytes(ends, thing, Call::Plain, sent);
        }
    }

    fn feed(&mut self, into: &Ends, feed: Feed, operation: &Operation) -> Result<()> {
        let fd = into.into.as_raw_fd();
        match feed {
            Feed::Write => {
                self.put(fd, Thing::Pipe, Call::Plain, operation);
            }
            Feed::Vmsplice => {
                let (pieces, count) = self.pieces(operation);
                let flags = libc::SPLICE_F_NONBLOCK;
                // SAFETY: the pieces lie within a mapping that lives longer than the pipe.
                unsafe { libc::vmsplice(fd, pieces.as_ptr(), count, flags) };
            }
            Feed::Splice(place) => {
                let file = self.file(place, operation.make)?;
                splice(
                    &file.out_of,
                    &into.into,
                    operation.length,
                    libc::SPLICE_F_NONBLOCK,
                );
            }
        }
        Ok(())
    }

    fn put(&mut self, fd: RawFd, thing: Thing, call: Call, operation: &Operation) -> i64 {
        self.between(fd, thing, call, operation, true)
    }

    fn take(&mut self, fd: RawFd, thing: Thing, call: Call, operation: &Operation) -> i64 {
        self.between(fd, thing, call, operation, false)
    }

    fn between(
        &self,
        fd: RawFd,
        thing: Thing,
        call: Call,
        operation: &Operation,
        puts: bool,
    ) -> i64 {
        let base = self.buffer(operation);
        let length = operation.length;
        let (mut pieces, count) = self.pieces(operation);
        if thing == Thing::Netlink && puts {
            // A message that asks for nothing, so that the machine stays as it is.
            let header = [length.max(16) as u32, 1, 0, 0];
            // SAFETY: the buffer is longer.
            unsafe { base.cast::<[u32; 4]>().write_unaligned(header) };
        }
        let memory: *mut c_void = base.cast();
        let vector = pieces.as_mut_ptr();
        // SAFETY: integers and pointers, for which zero is fine.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = vector;
        header.msg_iovlen = count as _;
        let count = count as c_int;
        // SAFETY: the buffer and the vectors are ours and outlive the calls.
        unsafe {
            match (call, puts) {
                (Call::Plain, true) => answer(libc::write(fd, memory, length)),
                (Call::Plain, false) => answer(libc::read(fd, memory, length)),
                (Call::At, true) => answer(libc::pwrite(fd, memory, length, 0)),
                (Call::At, false) => answer(libc::pread(fd, memory, length, 0)),
                (Call::Vector, true) => answer(libc::writev(fd, vector, count)),
                (Call::Vector, false) => answer(libc::readv(fd, vector, count)),
                (Call::VectorAt(flags), true) => {
                    answer(libc::pwritev2(fd, vector, count, 0, flags))
                }
                (Call::VectorAt(flags), false) => {
                    answer(libc::preadv2(fd, vector, count, 0, flags))
                }
                (Call::Message(flags), true) => {
                    answer(libc::send(fd, memory, length, flags | libc::MSG_NOSIGNAL))
                }
                (Call::Message(flags), false) => answer(libc::recv(fd, memory, length, flags)),
                (Call::Header(flags), true) => answer(libc::sendmsg(
                    fd,
                    &raw const header,
                    flags | libc::MSG_NOSIGNAL,
                )),
                (Call::Header(flags), false) => answer(libc::recvmsg(fd, &raw mut header, flags)),
                (Call::Headers(flags), _) => {
                    let mut headers = [libc::mmsghdr {
                        msg_hdr: header,
                        msg_len: 0,
                    }; 3];
                    let vector = headers.as_mut_ptr();
                    let flags = flags | (libc::MSG_NOSIGNAL * c_int::from(puts));
                    let count = if puts {
                        libc::sendmmsg(fd, vector, 3, flags as _)
                    } else {
                        libc::recvmmsg(fd, vector, 3, flags as _, std::ptr::null_mut())
                    };
                    if count < 0 {
                        return answer(count as isize);
                    }
                    headers[..count.cast_unsigned() as usize]
                        .iter()
                        .map(|header| i64::from(header.msg_len))
                        .sum()
                }
                (Call::Ring(_), _) if !thing.is_file() && !is_ready(fd, thing, puts) => NOT_MADE,
                (Call::Ring(kind), _) => {
                    request(base, types::Fd(fd), kind, operation, &header, puts).unwrap_or(NOT_MADE)
                }
            }
        }
    }
}

/// The things of a list that this machine has.
pub fn available(places: &Places, things: &[Thing]) -> Result<Vec<Thing>> {
    let world = World::new(places)?;
    let operation = Operation {
        act: Act::Receive,
        make: Make {
            bytes: 1,
            holes: false,
            flags: 0,
        },
        length: 1,
        split: Split::One,
        shift: 0,
        shared: false,
        zerocopy: false,
    };
    let there: Vec<_> = things
        .iter()
        .copied()
        .filter(|thing| world.make(*thing, &operation).is_ok())
        .collect();
    ensure!(
        there.iter().any(|thing| thing.is_socket()),
        "there are no sockets"
    );
    Ok(there)
}
