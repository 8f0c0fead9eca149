//! Memory that BPF programs set and copy word by word.
//!
//! The compiler turns more than one constant zero in a row into a call of `memset`, which goes byte by
//! byte in BPF: 450 instructions for the accumulators of a thread instead of 14. The same holds for
//! `memmove`.

use crate::{Acc, Counters, Task};

/// 0, which the compiler does not know to be 0.
#[inline(always)]
#[must_use]
pub fn zero() -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let zero;
        // SAFETY: sets a register.
        unsafe {
            core::arch::asm!("{zero} = 0", zero = out(reg) zero, options(pure, nomem, nostack));
        }
        zero
    }
    // The host runs this too: `tests/settle.rs` settles there.
    #[cfg(not(target_arch = "bpf"))]
    0
}

/// Nothing seen.
#[inline(always)]
#[must_use]
pub fn nothing_seen() -> [u64; Acc::COUNT] {
    [zero(); Acc::COUNT]
}

/// [`Counters::ZERO`].
#[inline(always)]
#[must_use]
pub fn no_counts() -> Counters {
    let zero = zero();
    Counters {
        ops: zero,
        errors: zero,
        moved: zero,
        class: [zero; 9],
        deferred: zero,
        recopied: zero,
        wasted: zero,
        cow: zero,
        encrypted: zero,
        filled: zero,
    }
}

/// What the sites saw, from one record to another one.
#[inline(always)]
pub fn copy(to: &mut [u64; Acc::COUNT], from: &[u64; Acc::COUNT]) {
    let mut i = 0;
    while i < Acc::COUNT {
        // SAFETY: derived from a reference. Volatile: one word after the other.
        to[i] = unsafe { (&raw const from[i]).read_volatile() };
        i += 1;
    }
}

/// Passes a value through a map. A typed pointer comes out as a number, with which the verifier
/// allows arithmetic, and a number comes out as one of which the verifier knows nothing, so that it
/// does not follow each of its values separately.
#[inline(always)]
#[must_use]
pub fn opaque(task: &mut Task, value: u64) -> u64 {
    let scratch = &raw mut task.scratch;
    // SAFETY: derived from a unique reference.
    unsafe {
        scratch.write_volatile(value);
        scratch.read_volatile()
    }
}
