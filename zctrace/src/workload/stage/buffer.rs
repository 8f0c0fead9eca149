//! Memory that causes no fault rows: mapped by the process that uses it, and present at once.
//!
//! A buffer that the parent made would be shared with the child after the fork, and the kernel's
//! copying on its first use would end up in the child's ledger.

use std::{
    ops::{Deref, DerefMut},
    slice,
};

use anyhow::Result;

use super::mapping::Mapping;

/// Page-aligned private memory, every page of it present.
pub struct Buffer(Mapping);

impl Buffer {
    /// `length` zeros.
    pub fn zeroed(length: usize) -> Result<Self> {
        Mapping::present(length).map(Self)
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
    let period: [u8; 251] = std::array::from_fn(|index| index as u8 + 1);
    for piece in bytes.chunks_mut(period.len()) {
        piece.copy_from_slice(&period[..piece.len()]);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is this long, readable, and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.0.address(), self.0.length()) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable, and borrowed only once.
        unsafe { slice::from_raw_parts_mut(self.0.address(), self.0.length()) }
    }
}
