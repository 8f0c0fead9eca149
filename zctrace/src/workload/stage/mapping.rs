//! Memory mappings, and touching them page by page.

use std::{fs::File, num::NonZeroUsize, ptr::NonNull, slice, sync::LazyLock};

use anyhow::{Context as _, Result};
use nix::{
    libc::c_void,
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap},
};

use crate::kernel;

/// Size of a page of the running kernel.
pub fn page_size() -> usize {
    static SIZE: LazyLock<usize> = LazyLock::new(|| kernel::page_size() as usize);
    *SIZE
}

/// Whole pages, nearly as much as `bytes`: a length that `O_DIRECT` takes on every filesystem here, because none has
/// larger blocks.
pub fn whole_pages(bytes: u64) -> u64 {
    let page = page_size() as u64;
    (bytes / page * page).max(page)
}

/// A mapping of our own, removed on drop.
pub struct Mapping {
    address: NonNull<c_void>,
    length: NonZeroUsize,
}

impl Mapping {
    /// `length` bytes of private memory, all pages present.
    pub fn present(length: usize) -> Result<Self> {
        Self::anonymous(length, MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE)
    }

    /// `pages` small pages of private memory, none of them present.
    pub fn absent(pages: usize) -> Result<Self> {
        let mapping = Self::anonymous(pages * page_size(), MapFlags::MAP_PRIVATE)?;
        // SAFETY: the mapping is ours; the advice changes none of its contents.
        let advised = unsafe {
            madvise(
                mapping.address,
                mapping.length.get(),
                MmapAdvise::MADV_NOHUGEPAGE,
            )
        };
        // A kernel without huge pages refuses, and needs no advice.
        let _ = advised;
        Ok(mapping)
    }

    /// `length` bytes of private memory, none of it present, in huge pages where the kernel has some.
    pub fn huge(length: usize) -> Result<Self> {
        let mapping = Self::anonymous(length, MapFlags::MAP_PRIVATE)?;
        // SAFETY: the mapping is ours; the advice changes none of its contents.
        unsafe {
            madvise(
                mapping.address,
                mapping.length.get(),
                MmapAdvise::MADV_HUGEPAGE,
            )
        }
        .context("asking for huge pages")?;
        Ok(mapping)
    }

    /// Anonymous memory that can be read and written.
    pub fn anonymous(length: usize, flags: MapFlags) -> Result<Self> {
        let length = NonZeroUsize::new(length).context("an empty mapping")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe { mmap_anonymous(None, length, access, flags) }
            .with_context(|| format!("mapping {length} bytes"))?;
        Ok(Self { address, length })
    }

    /// The first `pages` of `file`, none of them present.
    pub fn of_file(file: &File, pages: usize, flags: MapFlags) -> Result<Self> {
        Self::of_file_at(file, 0, pages, flags)
    }

    /// `pages` of `file` from `offset` on, a multiple of [`page_size`].
    pub fn of_file_at(file: &File, offset: usize, pages: usize, flags: MapFlags) -> Result<Self> {
        let length = NonZeroUsize::new(pages * page_size()).context("an empty mapping")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let offset = i64::try_from(offset)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe { mmap(None, length, access, flags, file, offset) }
            .with_context(|| format!("mapping {pages} pages of a file"))?;
        Ok(Self { address, length })
    }

    /// `pages` present pages with one behind them that cannot be accessed.
    pub fn before_a_hole(pages: usize) -> Result<Self> {
        let mapping = Self::present((pages + 1) * page_size())?;
        let hole = mapping.page(pages).cast();
        // SAFETY: the last page of a mapping of ours, to which nothing refers.
        unsafe { mprotect(hole, page_size(), ProtFlags::PROT_NONE) }.context("mprotect")?;
        Ok(mapping)
    }

    /// Its last page: the hole of [`Mapping::before_a_hole`].
    #[must_use]
    pub fn end(&self) -> *mut u8 {
        self.page(self.length() / page_size() - 1).as_ptr()
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> *mut u8 {
        self.address.as_ptr().cast()
    }

    /// How long it is.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length.get()
    }

    /// All of it, for reading into.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is this long, writable, and borrowed only once.
        unsafe { slice::from_raw_parts_mut(self.address(), self.length()) }
    }

    /// Reads a byte of each page.
    pub fn read_pages(&self) {
        for page in 0..self.length() / page_size() {
            // SAFETY: within the mapping, which is readable.
            unsafe { self.page(page).read_volatile() };
        }
    }

    /// Writes a byte to each page.
    pub fn write_pages(&self) {
        self.write_every(page_size());
    }

    /// Writes a byte to each piece of `stride` bytes, a multiple of [`page_size`].
    pub fn write_every(&self, stride: usize) {
        for page in (0..self.length() / page_size()).step_by(stride / page_size()) {
            // SAFETY: within the mapping, which is writable, and only borrowed through `&mut self`.
            unsafe { self.page(page).write_volatile(1) };
        }
    }

    /// Writes a byte to each of these pages.
    pub fn write_some(&self, pages: impl Iterator<Item = usize>) {
        for page in pages {
            // SAFETY: as above.
            unsafe { self.page(page).write_volatile(1) };
        }
    }

    /// Changes who may do what with `length` bytes from `offset` on, both multiples of [`page_size`].
    pub fn protect(&self, offset: usize, length: usize, access: ProtFlags) -> nix::Result<()> {
        let begin = self.page(offset / page_size()).cast();
        assert!(offset + length <= self.length());
        // SAFETY: within the mapping; who uses it there must not do what is forbidden then.
        unsafe { mprotect(begin, length, access) }
    }

    /// Lets the pages go: a private mapping of a file has the file's contents again.
    pub fn forget(&self) -> nix::Result<()> {
        // SAFETY: the mapping is ours, and any contents are fine.
        unsafe { madvise(self.address, self.length(), MmapAdvise::MADV_DONTNEED) }
    }

    /// How many of its pages are in memory.
    pub fn resident(&self) -> nix::Result<usize> {
        let mut pages = vec![0_u8; self.length().div_ceil(page_size())];
        // SAFETY: a byte for each page of this mapping.
        let answer =
            unsafe { libc::mincore(self.address().cast(), self.length(), pages.as_mut_ptr()) };
        nix::errno::Errno::result(answer)?;
        Ok(pages.iter().filter(|page| **page & 1 != 0).count())
    }

    /// The start of a page.
    #[must_use]
    pub fn page(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.length() / page_size());
        // SAFETY: within the mapping.
        unsafe { self.address.cast::<u8>().add(index * page_size()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: a mapping of ours; no borrow outlives `self`.
        let unmapped = unsafe { munmap(self.address, self.length.get()) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_lengths_are_whole_pages() {
        let page = page_size() as u64;
        assert_eq!(whole_pages(3 * page + 224), 3 * page);
        assert_eq!(whole_pages(1), page);
    }
}
