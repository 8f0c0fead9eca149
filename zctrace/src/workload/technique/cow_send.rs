//! Dynamic remapping with copy-on-write: memory is write-protected and sent by reference, and the call
//! returns at once. Who writes to a page before the kernel is done with it gets a fresh one, copied
//! and put in the place of the old one, which stays with the kernel.
//!
//! userfaultfd protects the pages, and the kernel sends SIGBUS to who writes to one: the handler
//! copies the page and remaps the copy. A page that nobody writes to is never copied.

use std::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, RawFd},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::{
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
        socket::{send, setsockopt, sockopt},
    },
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared, Skip},
    Figure, Job, Ready, Setting, Technique, Variant,
    cow::spread,
    receiver::{receive, row},
    ring::{fill, sum},
    zerocopy_send::{WINDOW, ZEROCOPY},
};
use crate::workload::{
    scene::veth::{BEYOND, Veth},
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
        shared::Shared,
        sockets::enlarge,
    },
    traffic::zerocopy::{DATAGRAM, allow, and_notifications, count_again, notified},
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "cow-send",
    "send memory without a copy, and copy what is written to meanwhile",
    Job::SendMemory,
    &[
        Variant::new(
            "loopback",
            "to a stalled receiver that checks it",
            "cow-send",
            loopback,
        ),
        Variant::new("veth", "to another machine", "cow-s-out", out),
    ],
)
.modifying();

/// Pages that are under way at once: more than a stalled receiver takes.
const ROUND: usize = 256;
/// Room of the receiver, so that most of a round stays with the sender, by reference.
const ROOM: usize = 64 << 10;

/// Counters: rounds sent, rounds received, pages copied. Those of the notifications are before.
const SENT: usize = 4;
const RECEIVED: usize = 5;
const COPIED: usize = 6;

/// What is sent in which sends.
#[derive(Clone, Copy)]
struct Plan {
    pages: usize,
    rounds: u64,
    /// Pages of a send.
    slot: usize,
    modified: usize,
}

impl Plan {
    fn new(setting: &Setting<'_>, slot: usize) -> Self {
        let all = setting.parameters.bytes.div_ceil(page_size() as u64);
        let pages = (all as usize).min(ROUND);
        Self {
            pages,
            rounds: all.div_ceil(ROUND as u64),
            slot,
            modified: setting.parameters.modified(pages),
        }
    }

    fn bytes(&self) -> u64 {
        self.rounds * (self.pages * page_size()) as u64
    }

    const fn sends(&self) -> u64 {
        self.rounds * self.pages.div_ceil(self.slot) as u64
    }

    const fn copied(&self) -> u64 {
        self.rounds * self.modified as u64
    }
}

/// What a page holds when it is sent.
const fn stamp(round: u64, page: usize) -> u64 {
    ((round + 1) << 32) | (page as u64 + 1)
}

fn loopback(setting: &Setting<'_>) -> Result<Ready> {
    let slot = setting.parameters.buffer.div_ceil(page_size());
    let plan = Plan::new(setting, slot.max(ROUND / WINDOW as usize));
    let (near, far) = stalling_pair()?;
    allow(&near)?;
    let bytes = plan.bytes();
    let expected = Expected::new()
        .row(
            ExpectedRow::new(Op::SendZerocopy, "tcp")
                .ops(plan.sends())
                .class(Class::Spliced, bytes)
                .deferred(bytes),
        )
        .row(row(plan.rounds, bytes));
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        send_all(&near, plan, shared, |round| {
            shared.count(SENT, 1);
            shared.wait_for(RECEIVED, round + 1)
        })?;
        count_again(&near, shared)
    });
    let prepared = prepared.peer(move || {
        let mut to = Buffer::zeroed(plan.pages.max(1) * page_size())?;
        for round in 0..plan.rounds {
            // Until all is sent, and written to again.
            shared.wait_for(SENT, round + 1)?;
            let length = (plan.pages * page_size()) as u64;
            receive(&far, &mut to[..length as usize], length)?;
            for (page, bytes) in to.chunks_exact(page_size()).take(plan.pages).enumerate() {
                let words = (page_size() / 8) as u64;
                ensure!(
                    sum(bytes) == stamp(round, page).wrapping_mul(words),
                    "page {page} of round {round} is not what was sent"
                );
            }
            shared.count(RECEIVED, 1);
        }
        Ok(())
    });
    Ok(ready(plan, prepared, "tcp", shared))
}

fn out(setting: &Setting<'_>) -> Result<Ready> {
    let plan = Plan::new(setting, DATAGRAM / page_size());
    let veth = Veth::common()?;
    let near = UdpSocket::bind("0.0.0.0:0")?;
    near.connect(BEYOND)?;
    enlarge(&near);
    allow(&near)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::SendZerocopy, "udp")
            .ops(plan.sends())
            .class(Class::Spliced, plan.bytes()),
    );
    let shared = setting.shared;
    let mut prepared = Prepared::new(expected, move || send_all(&near, plan, shared, |_| Ok(())));
    prepared.keep.push(Box::new(veth));
    Ok(ready(plan, prepared, "udp", shared))
}

/// Adds what is known of both.
fn ready(plan: Plan, prepared: Prepared, object: &'static str, shared: Shared) -> Ready {
    let mut prepared = and_notifications(prepared, object, shared);
    let notified = prepared.finish.take();
    let prepared = prepared.finish(move |expected| {
        let copied = shared.counted(COPIED);
        ensure!(
            copied == plan.copied(),
            "{copied} pages were copied, and {} written to",
            plan.copied()
        );
        notified.map_or(Ok(()), |finish| finish(expected))
    });
    Ready::new(plan.bytes(), prepared).figures(move || {
        let copied = shared.counted(COPIED) * page_size() as u64;
        vec![Figure::count("copied_in_user_space_bytes", copied)]
    })
}

/// A connection whose receiver takes little until it is read.
fn stalling_pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("binding a TCP socket")?;
    setsockopt(&listener, sockopt::RcvBuf, &ROOM)?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    enlarge(&near);
    near.set_nodelay(true)?;
    Ok((near, far))
}

/// Sends rounds of pages, and writes to some of them while they are under way.
fn send_all(
    socket: &impl AsFd,
    plan: Plan,
    shared: Shared,
    mut sent: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    if plan.pages == 0 {
        return Ok(());
    }
    let mut region = Region::new(plan.pages)?;
    let written: std::collections::BTreeSet<_> = spread(plan.pages, plan.modified).collect();
    shared.begin();
    for round in 0..plan.rounds {
        for (page, bytes) in region.bytes_mut().chunks_exact_mut(page_size()).enumerate() {
            fill(bytes, stamp(round, page));
        }
        let mut under_way = 0;
        for first in (0..plan.pages).step_by(plan.slot) {
            let pages = plan.slot.min(plan.pages - first);
            region.protect(first, pages, true)?;
            let bytes = &region.bytes()[first * page_size()..][..pages * page_size()];
            let length = send(socket.as_fd().as_raw_fd(), bytes, ZEROCOPY)?;
            ensure!(length == pages * page_size(), "sent {length} bytes");
            under_way += 1;
            for page in written.range(first..first + pages) {
                // Whatever is there, the receiver must not see it.
                fill(
                    &mut region.bytes_mut()[page * page_size()..][..page_size()],
                    u64::MAX,
                );
            }
        }
        sent(round)?;
        notified(socket, under_way, shared)?;
        region.protect(0, plan.pages, false)?;
    }
    shared.count(COPIED, FRESH.load(SeqCst));
    Ok(())
}

/// Where the region of this process is, for the handler, and how many pages it has replaced.
static BEGIN: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static FRESH: AtomicU64 = AtomicU64::new(0);

/// Memory whose pages can be protected, each replaced when it is written to nevertheless.
struct Region {
    memory: Mapping,
    faults: File,
}

/// Numbers and structures of linux/userfaultfd.h.
const UFFD_USER_MODE_ONLY: libc::c_int = 1;
const UFFD_API: u64 = 0xaa;
const FEATURES: u64 = 1 | (1 << 7);
const MODE_WP: u64 = 2;
const UFFDIO_API: libc::Ioctl = nix::request_code_readwrite!(0xaa, 0x3f, 24);
const UFFDIO_REGISTER: libc::Ioctl = nix::request_code_readwrite!(0xaa, 0x00, 32);
const UFFDIO_WRITEPROTECT: libc::Ioctl = nix::request_code_readwrite!(0xaa, 0x06, 24);

impl Region {
    fn new(pages: usize) -> Result<Self> {
        let memory = Mapping::absent(pages)?;
        memory.write_pages();
        let flags = libc::O_CLOEXEC | UFFD_USER_MODE_ONLY;
        // SAFETY: userfaultfd takes flags.
        let result = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        let fd = Errno::result(result).map_err(|errno| Skip(format!("no userfaultfd: {errno}")))?;
        // SAFETY: a new descriptor that nobody else knows.
        let faults = unsafe { File::from_raw_fd(fd as RawFd) };
        let region = Self { memory, faults };
        region
            .control(UFFDIO_API, &mut [UFFD_API, FEATURES, 0])
            .map_err(|errno| Skip(format!("no write protection by userfaultfd: {errno}")))?;
        let begin = region.memory.address() as usize;
        BEGIN.store(begin, SeqCst);
        END.store(begin + region.memory.length(), SeqCst);
        FRESH.store(0, SeqCst);
        let handler = SigHandler::SigAction(replace);
        let action = SigAction::new(handler, SaFlags::SA_SIGINFO, SigSet::empty());
        // SAFETY: the handler makes system calls, copies memory and counts.
        unsafe { sigaction(Signal::SIGBUS, &action) }?;
        Ok(region)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is this long, readable, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.memory.address(), self.memory.length()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut()
    }

    /// Makes a write to these pages replace them, or not any more.
    fn protect(&self, first: usize, pages: usize, protected: bool) -> Result<()> {
        let start = (self.memory.address() as usize + first * page_size()) as u64;
        let length = (pages * page_size()) as u64;
        // Pages that were replaced are new mappings.
        self.control(UFFDIO_REGISTER, &mut [start, length, MODE_WP, 0])
            .map_err(|errno| Skip(format!("no write protection by userfaultfd: {errno}")))?;
        let all = self.write_protect(start, length, protected);
        // Older kernels (`mwriteprotect_range` of 6.1) want one mapping, and each fresh page is one.
        let done = if all == Err(Errno::ENOENT) {
            (start..start + length)
                .step_by(page_size())
                .try_for_each(|page| self.write_protect(page, page_size() as u64, protected))
        } else {
            all
        };
        done.context("UFFDIO_WRITEPROTECT")
    }

    fn write_protect(&self, start: u64, length: u64, protected: bool) -> nix::Result<()> {
        self.control(
            UFFDIO_WRITEPROTECT,
            &mut [start, length, u64::from(protected)],
        )
    }

    fn control<const N: usize>(
        &self,
        request: libc::Ioctl,
        argument: &mut [u64; N],
    ) -> nix::Result<()> {
        // SAFETY: each request reads and writes as many words as it is given here.
        let result =
            unsafe { libc::ioctl(self.faults.as_raw_fd(), request, argument.as_mut_ptr()) };
        Errno::result(result).map(drop)
    }
}

/// Puts a copy in the place of a protected page that is written to. The kernel keeps the old one as
/// long as it needs it.
extern "C" fn replace(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` of a fault.
    let address = unsafe { (*info).si_addr() } as usize / page_size() * page_size();
    let page = address as *mut libc::c_void;
    let is_ours = (BEGIN.load(SeqCst)..END.load(SeqCst)).contains(&address);
    let replaced = is_ours && {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let move_to = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: a new page gets the contents of one of the region, which can be read, and takes
        // its place: to whoever has a reference into the region nothing has changed.
        unsafe {
            let fresh = libc::mmap(std::ptr::null_mut(), page_size(), access, kind, -1, 0);
            fresh != libc::MAP_FAILED && {
                std::ptr::copy_nonoverlapping(page.cast::<u8>(), fresh.cast::<u8>(), page_size());
                libc::mremap(fresh, page_size(), page_size(), move_to, page) == page
            }
        }
    };
    if !replaced {
        // SAFETY: ends the process: the write would fault for ever.
        unsafe { libc::_exit(1) }
    }
    FRESH.fetch_add(1, SeqCst);
}
