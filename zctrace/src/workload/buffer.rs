//! Memory that causes no fault rows: mapped by the process that uses it, and present at once.
//!
//! A buffer that the parent made would be shared with the child after the fork, and the kernel's
//! copying on its first use would end up in the child's ledger.

use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};

use anyhow::{Context as _, Result};
use nix::{
    libc::c_void,
    sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap},
};

/// Size of a page. The expectations of the fault families are for machines with this one.
pub const PAGE: usize = 4096;

/// Page-aligned private memory, every page of it present.
pub struct Buffer {
    address: NonNull<c_void>,
    length: NonZeroUsize,
}

impl Buffer {
    /// `length` zeros.
    pub fn zeroed(length: usize) -> Result<Self> {
        let length = NonZeroUsize::new(length).context("an empty buffer")?;
        // SAFETY: a new anonymous mapping touches no existing memory.
        let address = unsafe {
            mmap_anonymous(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE,
            )
        }
        .context("mapping a buffer")?;
        Ok(Self { address, length })
    }

    /// `length` bytes of a pattern without zeros.
    pub fn filled(length: usize) -> Result<Self> {
        let mut buffer = Self::zeroed(length)?;
        fill(&mut buffer);
        Ok(buffer)
    }
}

/// Fills `bytes` with a pattern that has no zero and a period that fits no page.
pub fn fill(bytes: &mut [u8]) {
    for (byte, value) in bytes.iter_mut().zip((1..=251).cycle()) {
        *byte = value;
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is this long, readable, and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.address.as_ptr().cast(), self.length.get()) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable, and borrowed only once.
        unsafe { slice::from_raw_parts_mut(self.address.as_ptr().cast(), self.length.get()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `zeroed`; no borrow outlives `self`.
        let unmapped = unsafe { munmap(self.address, self.length.get()) };
        debug_assert!(unmapped.is_ok());
    }
}
