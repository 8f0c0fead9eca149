//! A page shared with the children, so that they can tell what they did without doing I/O.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use anyhow::{Context as _, Result};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

const MESSAGE: usize = 1024;

#[repr(C)]
struct Area {
    counts: [AtomicU64; 16],
    descendant: AtomicU32,
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
        self.0.descendant.store(0, SeqCst);
        self.0.length.store(0, SeqCst);
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
    pub fn fail(&self, message: &str) {
        let bytes = &message.as_bytes()[..message.len().min(MESSAGE)];
        if self.0.length.load(SeqCst) != 0 {
            return;
        }
        for (to, from) in self.0.message.iter().zip(bytes) {
            to.store(*from, SeqCst);
        }
        self.0.length.store(bytes.len(), SeqCst);
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
}
