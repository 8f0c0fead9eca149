//! Does drawn operations. Whatever the kernel answers is fine: both backends watch the same call.

use std::{
    ffi::CString,
    fs,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use io_uring::{IoUring, opcode, squeue, types};
use nix::{
    errno::Errno,
    libc::{self, c_int, c_void},
    pty::{OpenptyResult, openpty},
};

use super::{
    fault,
    operation::{Act, Call, Cipher, Feed, Make, Operation, Place, Request, Split, Thing},
    queue,
};
use crate::workload::{
    stage::{
        buffer::fill,
        mapping::{Mapping, PAGE},
        sockets,
    },
    traffic::ktls,
};

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

/// The two ends of a thing: bytes go in at the first and come out at the second.
struct Ends {
    into: OwnedFd,
    out_of: OwnedFd,
    /// Must stay open.
    _keep: Vec<OwnedFd>,
}

const fn of(into: OwnedFd, out_of: OwnedFd) -> Ends {
    Ends {
        into,
        out_of,
        _keep: Vec::new(),
    }
}

/// A descriptor that the kernel gave.
fn owned(result: c_int) -> Result<OwnedFd> {
    let fd = Errno::result(result)?;
    // SAFETY: it is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a call answered: bytes, or the negative number of an error.
fn answer(result: isize) -> i64 {
    if result < 0 {
        -i64::from(Errno::last_raw())
    } else {
        result as i64
    }
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

    /// A file, its first end to write to and the second to read from.
    fn file(&self, place: Place, make: Make) -> Result<Ends> {
        let directory = self.directory(place)?;
        let text = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes());
        let (name, plain, made) = match place {
            Place::Memory => {
                // SAFETY: a string that outlives the call.
                let plain = owned(unsafe { libc::memfd_create(c"hunted".as_ptr(), 0) })?;
                let name = directory.join(plain.as_raw_fd().to_string());
                (text(&name)?, plain, None)
            }
            Place::Block => {
                let name = text(directory)?;
                // SAFETY: a string that outlives the call.
                let plain = unsafe { libc::open(name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
                (name, owned(plain)?, None)
            }
            _ => {
                let path = directory.join("hunted");
                let name = text(&path)?;
                let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
                // SAFETY: a string that outlives the call.
                let plain = owned(unsafe { libc::open(name.as_ptr(), flags, 0o600) })?;
                (name, plain, Some(path))
            }
        };
        let fd = plain.as_raw_fd();
        let pattern: *const c_void = self.private.address().cast();
        // SAFETY: the file is ours, and the mapping is longer than what is written.
        unsafe {
            libc::ftruncate(fd, make.bytes as i64);
            let pieces: &[(usize, usize)] = if make.holes && make.bytes > 8192 {
                &[(0, 4096), (make.bytes - 100, 100)]
            } else {
                &[(0, make.bytes)]
            };
            for &(offset, length) in pieces {
                libc::pwrite(fd, pattern, length, offset as i64);
            }
            libc::fsync(fd);
        }
        let with = |flags: c_int| {
            let flags = libc::O_RDWR | libc::O_CLOEXEC | flags;
            // SAFETY: as above.
            let result = unsafe { libc::open(name.as_ptr(), flags) };
            // Not every filesystem takes O_DIRECT.
            owned(result)
        };
        let ends = with(make.flags).or_else(|_| with(0)).and_then(|into| {
            Ok(of(
                into,
                with(make.flags & libc::O_DIRECT).or_else(|_| with(0))?,
            ))
        });
        if let Some(path) = made {
            fs::remove_file(&path)?;
        }
        ends
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
                self.ring(entry, None)?;
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
                self.ring(entry, None)?;
            }
            Act::Tee(feed, by_ring) => {
                let (one, two) = (pipe()?, pipe()?);
                self.feed(&one, feed, operation)?;
                let (from, to) = (one.out_of.as_raw_fd(), two.into.as_raw_fd());
                if by_ring {
                    let entry = opcode::Tee::new(types::Fd(from), types::Fd(to), length as u32)
                        .flags(libc::SPLICE_F_NONBLOCK)
                        .build();
                    self.ring(entry, None)?;
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
                share(&from.out_of, &to.into, kind, length as u64 & !4095);
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
            Act::Userfault(kind) => fault::fill(kind, length.div_ceil(PAGE))?,
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
                (Call::Ring(request), _) => self
                    .request(types::Fd(fd), request, operation, &header, puts)
                    .unwrap_or(NOT_MADE),
            }
        }
    }

    fn request(
        &self,
        fd: types::Fd,
        request: Request,
        operation: &Operation,
        header: &libc::msghdr,
        puts: bool,
    ) -> Result<i64> {
        let base = self.buffer(operation);
        let length = operation.length as u32;
        let (vector, count) = (header.msg_iov.cast_const(), header.msg_iovlen as u32);
        let whole = libc::iovec {
            iov_base: base.cast(),
            iov_len: ROOM,
        };
        let is_fixed = matches!(request, Request::Fixed | Request::FixedZerocopy);
        let fixed = is_fixed.then_some(whole);
        let mut received = *header;
        let entry = match (request, puts) {
            (Request::Plain, true) => opcode::Write::new(fd, base, length).build(),
            (Request::Plain, false) => opcode::Read::new(fd, base, length).build(),
            (Request::Vector, true) => opcode::Writev::new(fd, vector, count).build(),
            (Request::Vector, false) => opcode::Readv::new(fd, vector, count).build(),
            (Request::Fixed, true) => opcode::WriteFixed::new(fd, base, length, 0).build(),
            (Request::Fixed, false) => opcode::ReadFixed::new(fd, base, length, 0).build(),
            (Request::Message(flags), true) => opcode::Send::new(fd, base, length)
                .flags(flags | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
                .build(),
            (Request::Message(flags), false) => {
                let flags = flags | libc::MSG_DONTWAIT;
                opcode::Recv::new(fd, base, length).flags(flags).build()
            }
            (Request::Header(flags), true) => {
                let flags = flags | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
                let flags = flags.cast_unsigned();
                opcode::SendMsg::new(fd, header).flags(flags).build()
            }
            (Request::Header(flags), false) => {
                let flags = (flags | libc::MSG_DONTWAIT).cast_unsigned();
                opcode::RecvMsg::new(fd, &raw mut received)
                    .flags(flags)
                    .build()
            }
            (Request::Zerocopy, true) => opcode::SendZc::new(fd, base, length)
                .flags(libc::MSG_DONTWAIT)
                .build(),
            (Request::FixedZerocopy, true) => opcode::SendZc::new(fd, base, length)
                .flags(libc::MSG_DONTWAIT)
                .buf_index(Some(0))
                .build(),
            (Request::HeaderZerocopy, true) => opcode::SendMsgZc::new(fd, header)
                .flags(libc::MSG_DONTWAIT.cast_unsigned())
                .build(),
            (Request::Zerocopy | Request::FixedZerocopy | Request::HeaderZerocopy, false) => {
                opcode::Recv::new(fd, base, length)
                    .flags(libc::MSG_DONTWAIT)
                    .build()
            }
        };
        self.ring(entry, fixed)
    }

    /// Does one request, in a ring of its own; its result.
    #[expect(clippy::unused_self, reason = "what the entry points to must live")]
    fn ring(&self, entry: squeue::Entry, fixed: Option<libc::iovec>) -> Result<i64> {
        let mut ring = IoUring::new(8)?;
        if let Some(fixed) = fixed {
            // SAFETY: our own memory, which outlives the ring.
            unsafe { ring.submitter().register_buffers(&[fixed]) }?;
        }
        // SAFETY: what the entry points to outlives this function, which waits for the request.
        unsafe { ring.submission().push(&entry.user_data(1)) }?;
        let patience = types::Timespec::new().sec(10);
        let patience = types::SubmitArgs::new().timespec(&patience);
        loop {
            ring.submitter().submit_with_args(1, &patience)?;
            if let Some(completion) = ring.completion().next() {
                return Ok(completion.result().into());
            }
        }
    }
}

/// Whether a request to a thing would not wait for bytes, or for room.
fn is_ready(fd: RawFd, thing: Thing, puts: bool) -> bool {
    // A hash never waits, and cannot be polled.
    matches!(thing, Thing::Alg(_)) || polled(fd, if puts { libc::POLLOUT } else { libc::POLLIN }, 0)
}

/// Whether one of the events comes within a time in milliseconds.
fn polled(fd: RawFd, events: i16, patience: c_int) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, patience) == 1 }
}

/// Milliseconds that bytes have for a way over loopback.
const ARRIVAL: c_int = 2000;

/// Waits until what was sent has arrived: on loopback that can be later than the end of the call.
fn await_bytes(ends: &Ends, thing: Thing, call: Call, sent: i64) {
    if sent <= 0 {
        return;
    }
    let (near, far) = (&ends.into, &ends.out_of);
    let flags = call.flags();
    let is_more = flags & libc::MSG_MORE != 0;
    match thing {
        Thing::Tcp | Thing::Mptcp | Thing::Ktls | Thing::Vsock(libc::SOCK_STREAM) => {
            if is_more && thing != Thing::Vsock(libc::SOCK_STREAM) {
                // What is held back goes out.
                option(near, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
            }
            let urgent = i64::from(flags & libc::MSG_OOB != 0);
            if thing == Thing::Ktls || thing == Thing::Mptcp {
                // Nobody can ask for bytes of records that have not been opened.
                if settled(near) && !is_more {
                    polled(far.as_raw_fd(), libc::POLLIN, ARRIVAL);
                }
                return;
            }
            option(
                far,
                libc::SOL_SOCKET,
                libc::SO_RCVLOWAT,
                (sent - urgent) as c_int,
            );
            polled(far.as_raw_fd(), libc::POLLIN, ARRIVAL);
        }
        Thing::Udp | Thing::Sctp | Thing::Raw(253) | Thing::Vsock(_) if !is_more => {
            polled(far.as_raw_fd(), libc::POLLIN, ARRIVAL);
        }
        _ => {}
    }
}

/// Whether everything that a socket of TCP sent is acknowledged, within some time.
fn settled(socket: &OwnedFd) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(ARRIVAL.unsigned_abs().into()) {
        let mut left: c_int = 0;
        // SAFETY: an int that outlives the call.
        let told = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut left) };
        if told != 0 || left == 0 {
            return true;
        }
        thread::sleep(Duration::from_micros(100));
    }
    false
}

fn splice(from: &OwnedFd, to: &OwnedFd, length: usize, flags: u32) {
    let null = std::ptr::null_mut();
    // SAFETY: no memory is passed.
    unsafe { libc::splice(from.as_raw_fd(), null, to.as_raw_fd(), null, length, flags) };
}

fn pipe() -> Result<Ends> {
    let mut ends = [0; 2];
    // SAFETY: two ints, which outlive the call.
    Errno::result(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    let [out_of, into] = ends;
    let ends = of(owned(into)?, owned(out_of)?);
    // SAFETY: no memory is passed.
    unsafe { libc::fcntl(into, libc::F_SETPIPE_SZ, 1 << 18) };
    Ok(ends)
}

fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: no memory is passed.
    unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }
}

fn option(socket: &OwnedFd, level: c_int, name: c_int, value: c_int) {
    // SAFETY: an int, which outlives the call.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
}

/// Lets a socket refuse every packet.
fn refuse(socket: &OwnedFd) -> Result<()> {
    // Return 0: keep no byte.
    let mut refuses = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &raw mut refuses,
    };
    // SAFETY: the program outlives the call.
    Errno::result(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    })?;
    Ok(())
}

fn pair(kind: c_int) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: two ints, which outlive the call.
    Errno::result(unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            kind | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        )
    })?;
    let (near, far) = (owned(ends[0])?, owned(ends[1])?);
    for end in [&near, &far] {
        sockets::enlarge(end);
    }
    Ok((near, far))
}

fn opened(name: &str, flags: c_int) -> Result<Ends> {
    let name = CString::new(name)?;
    let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: a string that outlives the call.
    let fd = owned(unsafe { libc::open(name.as_ptr(), flags) })?;
    let other = fd.try_clone()?;
    Ok(of(fd, other))
}

fn address(host: u32, port: u16) -> libc::sockaddr_in {
    // SAFETY: integers, for which zero is fine.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port;
    address.sin_addr.s_addr = host.to_be();
    address
}

fn connect_to(socket: &OwnedFd, host: u32, port: u16) -> Result<()> {
    let address = address(host, port);
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    Errno::result(unsafe {
        libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length)
    })?;
    Ok(())
}

/// Binds a socket to an address of its family and listens there; the address becomes the one that it got.
fn listen<A>(listener: &OwnedFd, own: &mut A) -> Result<()> {
    let mut length = size_of::<A>() as libc::socklen_t;
    let (listener, own) = (listener.as_raw_fd(), &raw mut *own);
    // SAFETY: the address outlives the calls.
    unsafe {
        Errno::result(libc::bind(listener, own.cast_const().cast(), length))?;
        Errno::result(libc::listen(listener, 1))?;
        Errno::result(libc::getsockname(listener, own.cast(), &raw mut length))?;
    }
    Ok(())
}

/// A connection over loopback of another protocol than TCP.
fn stream(protocol: c_int) -> Result<Ends> {
    let listener = owned(socket(libc::AF_INET, libc::SOCK_STREAM, protocol))?;
    let near = owned(socket(libc::AF_INET, libc::SOCK_STREAM, protocol))?;
    for end in [&listener, &near] {
        sockets::enlarge(end);
    }
    let mut own = address(libc::INADDR_LOOPBACK, 0);
    listen(&listener, &mut own)?;
    connect_to(&near, libc::INADDR_LOOPBACK, own.sin_port)?;
    let null = std::ptr::null_mut();
    // SAFETY: no memory is passed.
    let far = owned(unsafe { libc::accept(listener.as_raw_fd(), null, null.cast()) })?;
    Ok(of(near, far))
}

/// A connection of this machine with itself over vsock.
fn vsock(kind: c_int) -> Result<Ends> {
    const LOCAL: u32 = 1;
    let listener = owned(socket(libc::AF_VSOCK, kind, 0))?;
    let near = owned(socket(libc::AF_VSOCK, kind, 0))?;
    // SAFETY: integers, for which zero is fine.
    let mut own: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    own.svm_family = libc::AF_VSOCK as u16;
    own.svm_cid = LOCAL;
    own.svm_port = u32::MAX;
    listen(&listener, &mut own)?;
    let length = size_of_val(&own) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    let far = unsafe {
        own.svm_cid = LOCAL;
        Errno::result(libc::connect(
            near.as_raw_fd(),
            (&raw const own).cast(),
            length,
        ))?;
        let null = std::ptr::null_mut();
        owned(libc::accept(listener.as_raw_fd(), null, null.cast()))?
    };
    Ok(of(near, far))
}

/// A socket that hashes, or deciphers, what is sent to it.
fn algorithm(cipher: Cipher) -> Result<Ends> {
    let (kind, algorithm) = match cipher {
        Cipher::Hash => (c"hash", c"sha256"),
        Cipher::Cipher => (c"skcipher", c"ecb(aes)"),
    };
    let transform = owned(socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0))?;
    // SAFETY: integers, for which zero is fine.
    let mut name: libc::sockaddr_alg = unsafe { std::mem::zeroed() };
    name.salg_family = libc::AF_ALG as u16;
    name.salg_type[..kind.count_bytes()].copy_from_slice(kind.to_bytes());
    name.salg_name[..algorithm.count_bytes()].copy_from_slice(algorithm.to_bytes());
    let length = size_of_val(&name) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    Errno::result(unsafe { libc::bind(transform.as_raw_fd(), (&raw const name).cast(), length) })?;
    if cipher == Cipher::Cipher {
        let key = [7_u8; 16];
        // SAFETY: a key that outlives the call.
        Errno::result(unsafe {
            libc::setsockopt(
                transform.as_raw_fd(),
                libc::SOL_ALG,
                libc::ALG_SET_KEY,
                key.as_ptr().cast(),
                key.len() as libc::socklen_t,
            )
        })?;
    }
    let null = std::ptr::null_mut();
    // SAFETY: no memory is passed.
    let fd = owned(unsafe { libc::accept(transform.as_raw_fd(), null, null.cast()) })?;
    let other = fd.try_clone()?;
    Ok(Ends {
        _keep: vec![transform],
        ..of(fd, other)
    })
}

/// A packet socket that sends to the loopback device and receives nothing.
fn packet(kind: c_int) -> Result<Ends> {
    let fd = owned(socket(libc::AF_PACKET, kind, 0))?;
    // SAFETY: integers, for which zero is fine.
    let mut own: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    own.sll_family = libc::AF_PACKET as u16;
    // The loopback device is the first of every network namespace.
    own.sll_ifindex = 1;
    let length = size_of_val(&own) as libc::socklen_t;
    // SAFETY: an address that outlives the call.
    Errno::result(unsafe { libc::bind(fd.as_raw_fd(), (&raw const own).cast(), length) })?;
    let other = fd.try_clone()?;
    Ok(of(fd, other))
}

/// A timer that has run out.
fn timer() -> Result<Ends> {
    // SAFETY: no memory is passed.
    let fd = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) })?;
    // SAFETY: integers, for which zero is fine.
    let mut when: libc::itimerspec = unsafe { std::mem::zeroed() };
    when.it_value.tv_nsec = 1;
    // SAFETY: a time that outlives the call.
    Errno::result(unsafe {
        libc::timerfd_settime(fd.as_raw_fd(), 0, &raw const when, std::ptr::null_mut())
    })?;
    let other = fd.try_clone()?;
    Ok(of(fd, other))
}

/// A stretch of memory as two vectors.
fn halves(base: *mut u8, length: usize) -> [libc::iovec; 2] {
    let half = length / 2;
    [(0, half), (half, length - half)].map(|(at, length)| libc::iovec {
        iov_base: base.wrapping_add(at).cast(),
        iov_len: length,
    })
}

/// `FICLONE`, `FICLONERANGE` or `FIDEDUPERANGE`.
fn share(from: &OwnedFd, to: &OwnedFd, kind: u8, length: u64) {
    const FICLONE: u64 = 0x4004_9409;
    const FICLONERANGE: u64 = 0x4020_940d;
    const FIDEDUPERANGE: u64 = 0xc018_9436;
    let (source, sink) = (from.as_raw_fd(), to.as_raw_fd());
    // struct file_clone_range.
    let mut range = [i64::from(source).cast_unsigned(), 0, length, 0];
    // struct file_dedupe_range with one destination.
    let mut same = [0, length, 1, i64::from(sink).cast_unsigned(), 0, 0, 0];
    // SAFETY: the structures outlive the calls.
    unsafe {
        match kind {
            0 => libc::ioctl(sink, FICLONE as _, source),
            1 => libc::ioctl(sink, FICLONERANGE as _, range.as_mut_ptr()),
            _ => libc::ioctl(source, FIDEDUPERANGE as _, same.as_mut_ptr()),
        }
    };
}

/// `TCP_ZEROCOPY_RECEIVE` with a buffer for what cannot be mapped.
fn receive(socket: &OwnedFd, buffer: *mut u8, length: usize) {
    const TCP_ZEROCOPY_RECEIVE: c_int = 35;
    // struct tcp_zerocopy_receive: address, length, recv_skip_hint, inq, err, copybuf_address,
    // copybuf_len, flags, and what is about control messages.
    let mut request = [0_u32; 16];
    let address = (buffer as u64).to_ne_bytes();
    for (half, word) in [4..8, 0..4].into_iter().zip([7, 6]) {
        request[word] = u32::from_ne_bytes(address[half].try_into().expect("four bytes"));
    }
    request[8] = length as u32;
    let mut size = size_of_val(&request) as libc::socklen_t;
    // SAFETY: the structure outlives the call, and the buffer is ours.
    unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_ZEROCOPY_RECEIVE,
            request.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
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
