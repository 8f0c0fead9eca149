//! A ring whose requests are issued in one chosen way.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use io_uring::{IoUring, cqueue, squeue};
use nix::libc;

use crate::workload::Skip;

/// How requests are issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// By the call that submits them.
    Inline,
    /// By worker threads (`IOSQE_ASYNC`).
    Worker,
    /// By the kernel's thread that polls the submission queue.
    SqPoll,
    /// What has to wait, by task work that runs when the application waits for completions
    /// (`IORING_SETUP_DEFER_TASKRUN`).
    TaskWork,
}

/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests of a ring that are under way at once.
pub const DEPTH: u32 = 8;

/// A ring, and the flags that its requests need.
pub struct Ring {
    ring: IoUring,
    flags: squeue::Flags,
}

impl Ring {
    /// A ring for [`DEPTH`] requests.
    pub fn new(issue: Issue) -> Result<Self> {
        Self::built(issue, 4 * DEPTH, 8 * DEPTH)
    }

    /// A ring with room for the completions of [`DEPTH`] requests, and no more.
    pub fn narrow(issue: Issue) -> Result<Self> {
        Self::built(issue, DEPTH, DEPTH)
    }

    fn built(issue: Issue, submissions: u32, completions: u32) -> Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(completions);
        let flags = match issue {
            Issue::Inline => squeue::Flags::empty(),
            Issue::Worker => squeue::Flags::ASYNC,
            Issue::SqPoll => {
                builder.setup_sqpoll(1000);
                squeue::Flags::empty()
            }
            Issue::TaskWork => {
                builder.setup_single_issuer().setup_defer_taskrun();
                squeue::Flags::empty()
            }
        };
        let ring = builder.build(submissions).context("io_uring_setup")?;
        Ok(Self { ring, flags })
    }

    /// The same without the flags that make requests go another way.
    pub const fn inner(&self) -> &IoUring {
        &self.ring
    }

    /// Submits a request.
    ///
    /// # Safety
    /// What the entry points to stays valid until the request has completed.
    pub unsafe fn submit(&mut self, entry: squeue::Entry, user_data: u64) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.push(entry, user_data) }?;
        self.ring.submit().context("io_uring_enter")?;
        // Only a thread that polls the queue leaves entries there.
        if self.ring.submission().is_full() {
            self.ring
                .submitter()
                .squeue_wait()
                .context("io_uring_enter")?;
        }
        Ok(())
    }

    /// Puts a request into the submission queue.
    ///
    /// # Safety
    /// As [`Ring::submit`].
    unsafe fn push(&mut self, entry: squeue::Entry, user_data: u64) -> Result<()> {
        let entry = entry.flags(self.flags).user_data(user_data);
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push(&entry) }.context("the submission queue is full")
    }

    /// Waits until a completion has found no room, and all submissions are taken.
    pub fn overflows(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let queue = self.ring.submission();
            if queue.is_empty() && queue.cq_overflow() {
                return Ok(());
            }
            drop(queue);
            ensure!(begin.elapsed() < PATIENCE, "no completion is too many");
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// Puts requests that run one after the other into the submission queue, each with the flags
    /// it needs besides and its number as user data. All at once: a thread of the kernel that polls
    /// the queue must not see half a chain, because it takes that for a whole one.
    ///
    /// # Safety
    /// As [`Ring::submit`].
    pub unsafe fn push_chain(
        &mut self,
        requests: impl ExactSizeIterator<Item = (squeue::Entry, squeue::Flags)>,
    ) -> Result<()> {
        let count = requests.len();
        let entries: Vec<_> = requests
            .enumerate()
            .map(|(index, (entry, more))| {
                let link = if index + 1 == count {
                    squeue::Flags::empty()
                } else {
                    squeue::Flags::IO_LINK
                };
                entry
                    .flags(self.flags | link | more)
                    .user_data(index as u64)
            })
            .collect();
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push_multiple(&entries) }
            .context("the submission queue is full")
    }

    /// Waits for a completion.
    pub fn completion(&mut self) -> Result<cqueue::Entry> {
        loop {
            if let Some(entry) = self.ring.completion().next() {
                return Ok(entry);
            }
            self.submit_and_wait(1)?;
        }
    }

    /// Waits for the completion of a request that must move `length` bytes; those of notifications
    /// are passed over.
    pub fn complete(&mut self, length: usize) -> Result<u64> {
        loop {
            let entry = self.completion()?;
            if cqueue::notif(entry.flags()) {
                continue;
            }
            let moved = result(&entry)?;
            ensure!(moved == length, "{moved} of {length} bytes");
            return Ok(entry.user_data());
        }
    }

    /// Waits until a request of which nothing is told has changed a byte that was 0.
    ///
    /// # Safety
    /// The byte can be read.
    pub unsafe fn written(&self, byte: *const u8) -> Result<()> {
        const GETEVENTS: u32 = 1;
        let begin = Instant::now();
        // SAFETY: the caller's promise.
        while unsafe { byte.read_volatile() } == 0 {
            ensure!(begin.elapsed() < PATIENCE, "a silent request does not end");
            // For task work.
            // SAFETY: nothing is passed.
            unsafe { self.ring.submitter().enter::<()>(0, 0, GETEVENTS, None) }
                .context("io_uring_enter")?;
            thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// Waits for the notifications of `sends` zero-copy sends.
    pub fn notifications(&mut self, sends: u64) -> Result<()> {
        for _ in 0..sends {
            let entry = self.completion()?;
            ensure!(cqueue::notif(entry.flags()), "no notification");
        }
        Ok(())
    }

    /// Makes a request for each of `pieces`, an offset and a length, up to [`DEPTH`] at once; each
    /// must move all of its bytes. `entry` is given a number below [`DEPTH`] that is the request's
    /// own while it is under way, and the piece.
    ///
    /// # Safety
    /// What the entries point to stays valid until this returns.
    pub unsafe fn each(
        &mut self,
        pieces: impl Iterator<Item = (u64, usize)>,
        mut entry: impl FnMut(u32, u64, usize) -> squeue::Entry,
    ) -> Result<()> {
        let mut pieces = pieces.fuse();
        let mut free: Vec<u32> = (0..DEPTH).collect();
        let mut lengths = [0_usize; DEPTH as usize];
        loop {
            while let Some(slot) = free.pop() {
                let Some((offset, length)) = pieces.next() else {
                    free.push(slot);
                    break;
                };
                lengths[slot as usize] = length;
                let entry = entry(slot, offset, length);
                // SAFETY: the caller's promise.
                unsafe { self.push(entry, slot.into()) }?;
            }
            if free.len() == DEPTH as usize {
                return Ok(());
            }
            self.ring.submit().context("io_uring_enter")?;
            // All that are there: each then makes room for another one.
            let mut done = Some(self.completion()?);
            while let Some(entry) = done {
                let slot = entry.user_data() as usize;
                let (moved, length) = (result(&entry)?, lengths[slot]);
                ensure!(moved == length, "{moved} of {length} bytes");
                free.push(slot as u32);
                done = self.ring.completion().next();
            }
        }
    }

    /// Submits up to [`DEPTH`] requests that run one after the other, and waits for all of them;
    /// each must move all of its bytes. Those that name memory of their own say so by a
    /// notification afterwards, which is waited for too.
    ///
    /// # Safety
    /// What the entries point to stays valid until this returns.
    pub unsafe fn in_order(&mut self, requests: &[(squeue::Entry, usize)]) -> Result<()> {
        let chain = requests
            .iter()
            .map(|(entry, _)| (entry.clone(), squeue::Flags::empty()));
        // SAFETY: the caller's promise.
        unsafe { self.push_chain(chain) }?;
        let mut left = requests.len();
        while left > 0 {
            self.submit_and_wait(left)?;
            while let Some(entry) = self.ring.completion().next() {
                left -= 1;
                if cqueue::notif(entry.flags()) {
                    continue;
                }
                let (moved, length) = (result(&entry)?, requests[entry.user_data() as usize].1);
                ensure!(moved == length, "{moved} of {length} bytes");
                // A notification is to follow.
                left += usize::from(cqueue::more(entry.flags()));
            }
        }
        Ok(())
    }

    fn submit_and_wait(&self, completions: usize) -> Result<()> {
        match self.ring.submit_and_wait(completions) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => Ok(()),
            Err(error) => Err(error).context("io_uring_enter"),
        }
    }
}

/// What a completion reports as moved.
pub fn result(entry: &cqueue::Entry) -> Result<usize> {
    match entry.result() {
        error @ ..0 => Err(std::io::Error::from_raw_os_error(-error).into()),
        moved => Ok(moved.cast_unsigned() as usize),
    }
}

/// Fails with [`Skip`] where this kernel does not know an opcode, or refuses io_uring.
pub fn needs(codes: &[u8]) -> Result<()> {
    let ring = match IoUring::new(2) {
        Ok(ring) => ring,
        Err(error) => bail!(Skip(format!("io_uring is refused: {error}"))),
    };
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    for &code in codes {
        if !probe.is_supported(code) {
            bail!(Skip(format!("this kernel's io_uring has no opcode {code}")));
        }
    }
    Ok(())
}
