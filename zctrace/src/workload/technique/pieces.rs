//! How a number of bytes is cut into calls on a file that may be shorter than that.

use anyhow::Result;

use crate::workload::truth::exact::{cut, exactly};

/// The calls that move a number of bytes, going through a file again and again.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    total: u64,
    chunk: usize,
    file: u64,
}

impl Pieces {
    /// `total` bytes of a file of `file` bytes, in calls of at most `chunk` that do not go beyond
    /// its end.
    #[must_use]
    pub const fn new(total: u64, chunk: usize, file: u64) -> Self {
        Self { total, chunk, file }
    }

    /// How many bytes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How long the longest call is.
    #[must_use]
    pub const fn chunk(&self) -> usize {
        self.chunk
    }

    /// How many calls.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        if self.file == 0 {
            return 0;
        }
        let chunk = self.chunk as u64;
        let (passes, rest) = (self.total / self.file, self.total % self.file);
        passes * self.file.div_ceil(chunk) + rest.div_ceil(chunk)
    }

    /// The offsets and lengths of the calls, for several at once.
    pub fn iter(self) -> impl Iterator<Item = (u64, usize)> {
        let passes = (0..self.total).step_by((self.file as usize).max(1));
        passes.flat_map(move |done| cut((self.total - done).min(self.file), self.chunk))
    }

    /// Makes the calls with offset and length; each must move all of its length.
    pub fn each(&self, mut call: impl FnMut(u64, usize) -> nix::Result<usize>) -> Result<()> {
        let mut left = self.total;
        while left > 0 {
            let pass = left.min(self.file);
            exactly(pass, self.chunk, &mut call)?;
            left -= pass;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_as_many_as_promised() {
        for (total, chunk, file) in [
            (0, 10, 0),
            (1, 10, 1),
            (4095, 4096, 4095),
            (4097, 4096, 4097),
            (100, 7, 30),
            (100, 64, 10),
            (90, 7, 30),
        ] {
            let pieces = Pieces::new(total, chunk, file);
            let (mut calls, mut moved) = (0, 0);
            pieces
                .each(|offset, length| {
                    assert!(offset + length as u64 <= file);
                    calls += 1;
                    moved += length as u64;
                    Ok(length)
                })
                .expect("all of it");
            assert_eq!((calls, moved), (pieces.calls(), total), "{pieces:?}");
            let at_once = pieces
                .iter()
                .fold((0, 0), |(n, sum), (_, length)| (n + 1, sum + length as u64));
            assert_eq!(at_once, (calls, moved), "{pieces:?}");
        }
    }
}
