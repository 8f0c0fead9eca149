//! A queue of descriptors between two processes, in memory that both map: passing one on moves
//! nothing else.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Release, SeqCst},
};

use anyhow::Result;
use nix::{
    libc,
    sys::mman::{MapFlags, ProtFlags, mmap_anonymous},
};

/// More than there are ever under way.
const SLOTS: usize = 64;

#[repr(C)]
struct Area {
    taken: AtomicU32,
    put: AtomicU32,
    waiting: AtomicU32,
    slots: [AtomicU64; SLOTS],
}

/// One process puts, one takes. A handle: copies refer to the same queue.
#[derive(Clone, Copy)]
pub(super) struct Ring(&'static Area);

impl Ring {
    /// An empty one. It stays mapped until the process ends.
    pub(super) fn new() -> Result<Self> {
        let length = size_of::<Area>().try_into()?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping touches no existing memory.
        let address = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) }?;
        // SAFETY: page-aligned, zeroed, large enough, never unmapped; all fields are atomics, for
        // which zero is a value.
        Ok(Self(unsafe { address.cast::<Area>().as_ref() }))
    }

    /// Puts a descriptor in. There is always room: no more are made than there are slots.
    pub(super) fn put(&self, descriptor: u64) {
        let put = self.0.put.load(Acquire);
        self.0.slots[put as usize % SLOTS].store(descriptor, Release);
        self.0.put.store(put.wrapping_add(1), SeqCst);
        if self.0.waiting.swap(0, SeqCst) != 0 {
            futex(&self.0.put, libc::FUTEX_WAKE, 1);
        }
    }

    /// Takes one out, and waits for it.
    pub(super) fn take(&self) -> u64 {
        let taken = self.0.taken.load(Acquire);
        loop {
            let put = self.0.put.load(SeqCst);
            if put != taken {
                break;
            }
            self.0.waiting.store(1, SeqCst);
            if self.0.put.load(SeqCst) == taken {
                futex(&self.0.put, libc::FUTEX_WAIT, taken);
            }
        }
        let descriptor = self.0.slots[taken as usize % SLOTS].load(Acquire);
        self.0.taken.store(taken.wrapping_add(1), Release);
        descriptor
    }
}

fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    // SAFETY: the word lives as long as the process, and there is no timeout. Every result is one
    // after which the caller looks again.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation,
            value,
            std::ptr::null::<libc::timespec>(),
        );
    }
}

/// Writes every byte: `word` over and over, and its first byte to a ragged end. Returns the
/// [`sum`].
pub(super) fn fill(bytes: &mut [u8], word: u64) -> u64 {
    let mut words = bytes.chunks_exact_mut(8);
    let mut total = 0_u64;
    for chunk in &mut words {
        chunk.copy_from_slice(&word.to_le_bytes());
        total = total.wrapping_add(word);
    }
    for byte in words.into_remainder() {
        *byte = word.to_le_bytes()[0];
        total = total.wrapping_add(u64::from(*byte));
    }
    total
}

/// Reads every byte: the sum of all words, and of the bytes of a ragged end.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    let total = words.fold(0_u64, |total, chunk| {
        let word = chunk.first_chunk().copied().unwrap_or_default();
        total.wrapping_add(u64::from_le_bytes(word))
    });
    rest.iter()
        .fold(total, |total, byte| total.wrapping_add(u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_taken_out_in_order() {
        let (there, back) = (Ring::new().expect("a ring"), Ring::new().expect("a ring"));
        let other = std::thread::spawn(move || {
            for _ in 0..1000 {
                back.put(there.take() + 1);
            }
        });
        for round in 0..500 {
            there.put(2 * round);
            there.put(2 * round + 1);
            assert_eq!(back.take(), 2 * round + 1);
            assert_eq!(back.take(), 2 * round + 2);
        }
        other.join().expect("it ends");
    }

    #[test]
    fn the_sum_is_of_every_byte() {
        for length in [0, 1, 7, 8, 9, 4097] {
            let mut bytes = vec![0; length];
            let written = fill(&mut bytes, 0x0102_0304_0506_0708);
            assert_eq!(sum(&bytes), written, "{length}");
            if let Some(last) = bytes.last_mut() {
                *last ^= 0x40;
                assert_ne!(sum(&bytes), written, "{length}");
            }
        }
    }
}
