//! A ring whose requests are issued in one chosen way.

use anyhow::{Context as _, Result, bail, ensure};
use io_uring::{IoUring, cqueue, squeue};
use nix::libc;

use super::super::Skip;

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
        let mut builder = IoUring::builder();
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
        let ring = builder.build(4 * DEPTH).context("io_uring_setup")?;
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
        unsafe { self.push(entry, user_data, squeue::Flags::empty()) }?;
        self.ring.submit().context("io_uring_enter")?;
        Ok(())
    }

    /// Puts a request with more flags into the submission queue.
    ///
    /// # Safety
    /// As [`Ring::submit`].
    pub unsafe fn push(
        &mut self,
        entry: squeue::Entry,
        user_data: u64,
        more: squeue::Flags,
    ) -> Result<()> {
        let entry = entry.flags(self.flags | more).user_data(user_data);
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push(&entry) }.context("the submission queue is full")
    }

    /// Waits for a completion.
    pub fn completion(&mut self) -> Result<cqueue::Entry> {
        loop {
            if let Some(entry) = self.ring.completion().next() {
                return Ok(entry);
            }
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(error).context("io_uring_enter"),
            }
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

    /// Waits for the notifications of `sends` zero-copy sends.
    pub fn notifications(&mut self, sends: u64) -> Result<()> {
        for _ in 0..sends {
            let entry = self.completion()?;
            ensure!(cqueue::notif(entry.flags()), "no notification");
        }
        Ok(())
    }

    /// Moves `total` bytes in requests of `chunk`, up to [`DEPTH`] at once, each of which must move
    /// all of its bytes. `entry` is given a number below [`DEPTH`] that is the request's own while
    /// it is under way, its offset and its length.
    ///
    /// # Safety
    /// What the entries point to stays valid until this returns.
    pub unsafe fn each(
        &mut self,
        total: u64,
        chunk: usize,
        mut entry: impl FnMut(u32, u64, usize) -> squeue::Entry,
    ) -> Result<()> {
        let mut free: Vec<u32> = (0..DEPTH).collect();
        let mut lengths = [0_usize; DEPTH as usize];
        let mut offset = 0;
        while offset < total || free.len() < DEPTH as usize {
            while offset < total
                && let Some(slot) = free.pop()
            {
                let length = (total - offset).min(chunk as u64) as usize;
                lengths[slot as usize] = length;
                let entry = entry(slot, offset, length);
                // SAFETY: the caller's promise.
                unsafe { self.push(entry, slot.into(), squeue::Flags::empty()) }?;
                offset += length as u64;
            }
            self.ring.submit().context("io_uring_enter")?;
            let done = self.completion()?;
            let slot = done.user_data() as usize;
            let (moved, length) = (result(&done)?, lengths[slot]);
            ensure!(moved == length, "{moved} of {length} bytes");
            free.push(slot as u32);
        }
        Ok(())
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
