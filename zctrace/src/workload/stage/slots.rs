//! Buffers for requests that are under way at the same time.

use anyhow::Result;
use nix::libc::iovec;

use super::{buffer::Buffer, mapping::page_size};

/// A buffer for each of several requests.
pub struct Slots {
    bytes: Buffer,
    stride: usize,
}

impl Slots {
    /// `count` buffers of `size` bytes, each of whole pages, as `O_DIRECT` demands.
    pub fn new(count: usize, size: usize) -> Result<Self> {
        let stride = size.next_multiple_of(page_size());
        let bytes = Buffer::filled(stride * count)?;
        Ok(Self { bytes, stride })
    }

    /// Where the buffer with this number is.
    pub fn of(&mut self, slot: usize) -> *mut u8 {
        self.bytes[self.stride * slot..][..self.stride].as_mut_ptr()
    }

    /// All of them as one buffer, to register.
    pub fn whole(&mut self) -> iovec {
        iovec {
            iov_base: self.bytes.as_mut_ptr().cast(),
            iov_len: self.bytes.len(),
        }
    }
}
