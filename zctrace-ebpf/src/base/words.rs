//! Memory that is set and copied word by word.
//!
//! Of more than one constant zero in a row the compiler makes a call of `memset`, which here goes byte
//! by byte: 450 instructions for the accumulators of a thread instead of 14. So with `memmove`.

use zctrace_common::{Acc, Counters};

/// 0, of which the compiler does not know.
#[inline(always)]
pub(crate) fn zero() -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let zero;
        // SAFETY: sets a register.
        unsafe {
            core::arch::asm!("{zero} = 0", zero = out(reg) zero, options(pure, nomem, nostack));
        }
        zero
    }
    // Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    0
}

/// Nothing seen.
#[inline(always)]
pub(crate) fn nothing_seen() -> [u64; Acc::COUNT] {
    [zero(); Acc::COUNT]
}

/// [`Counters::ZERO`].
#[inline(always)]
pub(crate) fn no_counts() -> Counters {
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
    }
}

/// What the sites saw, from one record to another one.
#[inline(always)]
pub(crate) fn copy(to: &mut [u64; Acc::COUNT], from: &[u64; Acc::COUNT]) {
    let mut i = 0;
    while i < Acc::COUNT {
        // SAFETY: a reference. Volatile: one word after the other.
        to[i] = unsafe { (&raw const from[i]).read_volatile() };
        i += 1;
    }
}
