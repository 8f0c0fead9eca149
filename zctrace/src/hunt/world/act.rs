//! Does an operation, by the kind of its call.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::Result;
use io_uring::{opcode, types};
use nix::libc;

use super::{
    ROOM, World,
    arrival::await_bytes,
    calls::{halves, receive, share, splice},
    files::{opened, pipe},
    ring,
};
use crate::{
    hunt::{
        fault,
        operation::{Act, Call, Feed, Operation, Place, Thing},
        queue,
    },
    workload::stage::mapping::page_size,
};

impl World<'_> {
    /// Does one operation. An error means that something it needs cannot be made.
    pub fn act(&mut self, operation: &Operation) -> Result<()> {
        match operation.act {
            Act::Calls(thing, first, second) => self.calls(thing, first, second, operation),
            Act::Sendfile(source, sink) => self.sendfile(source, sink, operation),
            Act::Splice(source, sink, flags) => self.splice(source, sink, flags, operation),
            Act::Drain(feed, sink, flags) => self.drain(feed, sink, flags, operation),
            Act::RingDrain(feed, sink) => self.ring_drain(feed, sink, operation),
            Act::RingSplice(source) => self.ring_splice(source, operation),
            Act::Tee(feed, by_ring) => self.tee(feed, by_ring, operation),
            Act::Vmsplice(flags) => self.vmsplice(flags, operation),
            Act::CopyRange(source, sink) => self.copy_range(source, sink, operation),
            Act::Clone(place, kind) => self.clone_range(place, kind, operation),
            Act::ProcessVm(writes) => {
                self.process_vm(writes, operation);
                Ok(())
            }
            Act::Receive => self.receive(operation),
            Act::Queue(kind, flags) => queue::pass(kind, flags, self.buffer(operation), operation),
            Act::Userfault(kind) => fault::fill(kind, operation.length.div_ceil(page_size())),
            Act::NoFile(call, path_only) => self.no_file(call, path_only, operation),
        }
    }

    fn calls(
        &mut self,
        thing: Thing,
        first: Call,
        second: Call,
        operation: &Operation,
    ) -> Result<()> {
        let ends = self.make(thing, operation)?;
        let sent = self.put(ends.into.as_raw_fd(), thing, first, operation);
        await_bytes(&ends, thing, first, sent);
        self.take(ends.out_of.as_raw_fd(), thing, second, operation);
        Ok(())
    }

    fn sendfile(&mut self, source: Thing, sink: Thing, operation: &Operation) -> Result<()> {
        let (from, to) = (self.make(source, operation)?, self.make(sink, operation)?);
        self.supply(&from, source, operation);
        // SAFETY: no memory is passed.
        unsafe {
            libc::sendfile(
                to.into.as_raw_fd(),
                from.out_of.as_raw_fd(),
                std::ptr::null_mut(),
                operation.length,
            )
        };
        Ok(())
    }

    fn splice(
        &mut self,
        source: Thing,
        sink: Thing,
        flags: u32,
        operation: &Operation,
    ) -> Result<()> {
        let (from, to) = (self.make(source, operation)?, self.make(sink, operation)?);
        self.supply(&from, source, operation);
        let between = pipe()?;
        let flags = flags | libc::SPLICE_F_NONBLOCK;
        splice(&from.out_of, &between.into, operation.length, flags);
        splice(&between.out_of, &to.into, operation.length, flags);
        Ok(())
    }

    /// Splices what a pipe was fed.
    fn drain(&mut self, feed: Feed, sink: Thing, flags: u32, operation: &Operation) -> Result<()> {
        let (between, to) = (pipe()?, self.make(sink, operation)?);
        self.feed(&between, feed, operation)?;
        let flags = flags | libc::SPLICE_F_NONBLOCK;
        splice(&between.out_of, &to.into, operation.length, flags);
        Ok(())
    }

    fn ring_drain(&mut self, feed: Feed, sink: Thing, operation: &Operation) -> Result<()> {
        let (between, to) = (pipe()?, self.make(sink, operation)?);
        self.feed(&between, feed, operation)?;
        splice_by_ring(&between.out_of, &to.into, operation.length)
    }

    fn ring_splice(&mut self, source: Thing, operation: &Operation) -> Result<()> {
        let (from, between) = (self.make(source, operation)?, pipe()?);
        self.supply(&from, source, operation);
        splice_by_ring(&from.out_of, &between.into, operation.length)
    }

    fn tee(&mut self, feed: Feed, by_ring: bool, operation: &Operation) -> Result<()> {
        let (one, two) = (pipe()?, pipe()?);
        self.feed(&one, feed, operation)?;
        let (from, to) = (one.out_of.as_raw_fd(), two.into.as_raw_fd());
        let length = operation.length;
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
        Ok(())
    }

    fn vmsplice(&mut self, flags: u32, operation: &Operation) -> Result<()> {
        let ends = pipe()?;
        let (pieces, count) = self.pieces(operation);
        for end in [&ends.into, &ends.out_of] {
            let flags = flags | libc::SPLICE_F_NONBLOCK;
            // SAFETY: the pieces lie within a mapping that lives longer than the pipe.
            unsafe { libc::vmsplice(end.as_raw_fd(), pieces.as_ptr(), count, flags) };
        }
        Ok(())
    }

    fn copy_range(&mut self, source: Place, sink: Place, operation: &Operation) -> Result<()> {
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
                operation.length,
                0,
            )
        };
        Ok(())
    }

    /// Shares whole pages of a file with another one.
    fn clone_range(&mut self, place: Place, kind: u8, operation: &Operation) -> Result<()> {
        let from = self.file(place, operation.make)?;
        let to = self.file(place, operation.make)?;
        let whole_pages = operation.length - operation.length % page_size();
        share(&from.out_of, &to.into, kind, whole_pages as u64);
        Ok(())
    }

    fn process_vm(&mut self, writes: bool, operation: &Operation) {
        let (local, count) = self.pieces(operation);
        let remote = halves(self.private.address().wrapping_add(ROOM), operation.length);
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

    fn receive(&mut self, operation: &Operation) -> Result<()> {
        let ends = self.make(Thing::Tcp, operation)?;
        let sent = self.put(ends.into.as_raw_fd(), Thing::Tcp, Call::Plain, operation);
        await_bytes(&ends, Thing::Tcp, Call::Plain, sent);
        receive(&ends.out_of, self.private.address(), operation.length);
        Ok(())
    }

    /// Writes to a descriptor that is not open, or only as a path.
    fn no_file(&mut self, call: Call, path_only: bool, operation: &Operation) -> Result<()> {
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
        Ok(())
    }
}

fn splice_by_ring(from: &OwnedFd, to: &OwnedFd, length: usize) -> Result<()> {
    let entry = opcode::Splice::new(
        types::Fd(from.as_raw_fd()),
        -1,
        types::Fd(to.as_raw_fd()),
        -1,
        length as u32,
    )
    .flags(libc::SPLICE_F_NONBLOCK)
    .build();
    ring::ring(entry, None).map(drop)
}
