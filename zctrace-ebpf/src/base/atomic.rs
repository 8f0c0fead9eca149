//! Operations that other tasks and interrupts cannot interrupt.

/// Adds atomically: another task can interrupt this program in the middle of the same slot.
///
/// # Safety
/// `counter` points to an aligned field of a map value.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    #[cfg(target_arch = "bpf")]
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {value}",
            counter = in(reg) counter,
            value = in(reg) value,
            options(nostack),
        );
    }
    // SAFETY: the caller's promise. Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(counter)
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed);
    }
}

/// [`add`], without touching memory for nothing.
///
/// # Safety
/// As [`add`].
#[inline(always)]
pub(crate) unsafe fn add_nonzero(counter: *mut u64, value: u64) {
    if value != 0 {
        // SAFETY: the caller's promise.
        unsafe { add(counter, value) };
    }
}

/// Stores `value` if the word is 0; returns what was there.
///
/// # Safety
/// `word` points to an aligned field of a map value.
#[inline(always)]
pub(crate) unsafe fn set_if_zero(word: *mut u64, value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut found = 0_u64;
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {value})",
                word = in(reg) word,
                value = in(reg) value,
                inlateout("r0") found,
                options(nostack),
            );
        }
        found
    }
    // Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        // SAFETY: the caller's promise.
        let word = unsafe { AtomicU64::from_ptr(word) };
        match word.compare_exchange(0, value, Relaxed, Relaxed) {
            Ok(found) | Err(found) => found,
        }
    }
}

/// Adds `value`; returns what was there.
///
/// # Safety
/// `counter` points to an aligned field of a map value.
#[inline(always)]
pub(crate) unsafe fn fetch_add(counter: *mut u64, value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!(
                "{value} = atomic_fetch_add((u64 *)({counter} + 0), {value})",
                counter = in(reg) counter,
                value = inlateout(reg) value,
                options(nostack),
            );
        }
        value
    }
    // Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        // SAFETY: the caller's promise.
        unsafe { AtomicU64::from_ptr(counter) }.fetch_add(value, Relaxed)
    }
}

/// Sets a counter to 0 and returns what it was.
///
/// # Safety
/// `counter` points to an aligned field of a map value.
#[inline(always)]
pub(crate) unsafe fn take(counter: *mut u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = 0_u64;
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!(
                "{value} = xchg_64({counter} + 0, {value})",
                counter = in(reg) counter,
                value = inout(reg) value,
                options(nostack),
            );
        }
        value
    }
    // Only so that the crate can be checked for the host.
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        // SAFETY: the caller's promise.
        unsafe { AtomicU64::from_ptr(counter) }.swap(0, Relaxed)
    }
}
