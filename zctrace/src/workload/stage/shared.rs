//! A page shared with the children, so that they can tell what they did without doing I/O.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap_anonymous},
    time::{ClockId, clock_gettime},
};

use super::interrupt::is_interrupted;
use crate::workload::is_skip;

const MESSAGE: usize = 1024;
/// How long one process waits for another, in nanoseconds.
const PATIENCE: u64 = 120_000_000_000;

#[repr(C)]
struct Area {
    counts: [AtomicU64; 16],
    begin: AtomicU64,
    end: AtomicU64,
    spent: AtomicU64,
    stopped: AtomicBool,
    descendant: AtomicU32,
    skipped: AtomicBool,
    length: AtomicUsize,
    message: [AtomicU8; MESSAGE],
}

/// Memory that parent and children share. A handle: copies refer to the same memory.
#[derive(Clone, Copy)]
pub struct Shared(&'static Area);

impl Shared {
    /// Maps the page. It stays until the process ends, one per run of the command.
    pub fn new() -> Result<Self> {
        let length = size_of::<Area>().try_into().context("an empty area")?;
        // SAFETY: a new anonymous mapping touches no existing memory.
        let address = unsafe {
            mmap_anonymous(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            )
        }
        .context("mapping shared memory")?;
        // SAFETY: page-aligned, zeroed, large enough, never unmapped; all fields are atomics, for
        // which zero is a value.
        Ok(Self(unsafe { address.cast::<Area>().as_ref() }))
    }

    /// Forgets everything, before the next family.
    pub fn reset(&self) {
        for count in &self.0.counts {
            count.store(0, SeqCst);
        }
        self.0.begin.store(0, SeqCst);
        self.0.end.store(0, SeqCst);
        self.0.spent.store(0, SeqCst);
        self.0.stopped.store(false, SeqCst);
        self.0.descendant.store(0, SeqCst);
        self.0.skipped.store(false, SeqCst);
        self.0.length.store(0, SeqCst);
    }

    /// Notes that the work begins now: what came before was preparation.
    pub fn begin(&self) {
        self.0.begin.store(now(), SeqCst);
    }

    /// Notes how many nanoseconds of processor time the first process took for its work.
    pub fn spend(&self, nanoseconds: u64) {
        self.0.spent.store(nanoseconds, SeqCst);
    }

    /// Nanoseconds of processor time of the first process, without its preparation and without the other ones.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.0.spent.load(SeqCst)
    }

    /// Notes that a process is done with its part of the work.
    pub fn end(&self) {
        if !self.0.stopped.load(SeqCst) {
            self.0.end.fetch_max(now(), SeqCst);
        }
    }

    /// Notes that the work is done, whatever processes do until they end.
    pub fn stop(&self) {
        self.end();
        self.0.stopped.store(true, SeqCst);
    }

    /// When the work began and ended, in nanoseconds of the monotonic clock.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        (self.0.begin.load(SeqCst), self.0.end.load(SeqCst))
    }

    /// Waits until a counter has reached `least`, without doing I/O.
    pub fn wait_for(&self, index: usize, least: u64) -> Result<()> {
        let begin = now();
        while self.counted(index) < least {
            ensure!(self.failure().is_none(), "another process has failed");
            ensure!(!is_interrupted(), "interrupted");
            ensure!(now() - begin < PATIENCE, "hangs");
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
        Ok(())
    }

    /// Adds to one of 16 counters whose meaning is the family's own.
    pub fn count(&self, index: usize, more: u64) {
        self.0.counts[index].fetch_add(more, SeqCst);
    }

    /// A counter's value.
    #[must_use]
    pub fn counted(&self, index: usize) -> u64 {
        self.0.counts[index].load(SeqCst)
    }

    /// Notes the id of a process that a child started itself.
    pub fn set_descendant(&self, pid: u32) {
        self.0.descendant.store(pid, SeqCst);
    }

    /// The id of that process, 0 if there is none.
    #[must_use]
    pub fn descendant(&self) -> u32 {
        self.0.descendant.load(SeqCst)
    }

    /// Leaves word of why a child failed. The first word stays.
    pub fn fail(&self, error: &anyhow::Error) {
        let message = format!("{error:#}");
        let bytes = &message.as_bytes()[..message.len().min(MESSAGE)];
        if self.0.length.load(SeqCst) != 0 {
            return;
        }
        for (to, from) in self.0.message.iter().zip(bytes) {
            to.store(*from, SeqCst);
        }
        self.0.skipped.store(is_skip(error), SeqCst);
        self.0.length.store(bytes.len(), SeqCst);
    }

    /// Whether the failure was that this machine cannot do it.
    #[must_use]
    pub fn is_skip(&self) -> bool {
        self.0.skipped.load(SeqCst)
    }

    /// The word that a failing child left.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let length = self.0.length.load(SeqCst);
        let bytes: Vec<u8> = self.0.message[..length]
            .iter()
            .map(|byte| byte.load(SeqCst))
            .collect();
        (length > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same, for who has noticed that the child fails, perhaps before it has left a word.
    #[must_use]
    pub fn failure_soon(&self) -> Option<String> {
        const PATIENCE: u32 = 500;
        (0..PATIENCE).find_map(|_| {
            let failure = self.failure();
            if failure.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            failure
        })
    }
}

/// Nanoseconds of the monotonic clock, the same for all processes.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from);
    // The clock is always there, and u64 holds 584 years.
    time.map_or(0, |time| time.as_nanos() as u64)
}

/// Processor time of this process, in nanoseconds.
#[must_use]
pub fn cpu_now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(std::time::Duration::from);
    time.map_or(0, |time| time.as_nanos() as u64)
}
