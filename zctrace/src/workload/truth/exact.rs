//! Calls that must move exactly what they were asked to.

use anyhow::{Context as _, Result, ensure};

/// How many calls of at most `chunk` bytes move `total`.
#[must_use]
pub const fn calls(total: u64, chunk: usize) -> u64 {
    total.div_ceil(chunk as u64)
}

/// The offsets and lengths of these calls.
pub fn cut(total: u64, chunk: usize) -> impl Iterator<Item = (u64, usize)> {
    (0..total).step_by(chunk).map(move |offset| {
        let length = (total - offset).min(chunk as u64);
        (offset, length as usize)
    })
}

/// Moves `total` bytes in calls of `chunk`, the last one of what is left.
///
/// `call` is given the offset and the length, and must move the whole length: the number of
/// operations is part of the truth.
pub fn exactly(
    total: u64,
    chunk: usize,
    mut call: impl FnMut(u64, usize) -> nix::Result<usize>,
) -> Result<()> {
    for (offset, length) in cut(total, chunk) {
        let moved =
            call(offset, length).with_context(|| format!("{length} bytes at offset {offset}"))?;
        ensure!(
            moved == length,
            "{moved} of {length} bytes at offset {offset}"
        );
    }
    Ok(())
}

/// Moves `total` bytes in calls that may fall short of `chunk`, and returns how many it took.
///
/// For interfaces that say themselves how much they did, such as a splice out of a socket.
pub fn at_most(
    total: u64,
    chunk: usize,
    mut call: impl FnMut(usize) -> nix::Result<usize>,
) -> Result<u64> {
    let (mut moved, mut calls) = (0, 0);
    while moved < total {
        let length = (total - moved).min(chunk as u64);
        let some = call(length as usize)
            .with_context(|| format!("at most {length} bytes after {moved}"))?;
        ensure!(some > 0, "nothing after {moved} of {total} bytes");
        moved += some as u64;
        calls += 1;
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_size_is_whole_calls() {
        assert_eq!(calls(2_097_376, 65_543), 32);
        assert_eq!(calls(65_544, 65_543), 2);
        assert_eq!(calls(0, 65_543), 0);
    }

    #[test]
    fn a_short_call_is_an_error() {
        let mut lengths = vec![];
        exactly(25, 10, |offset, length| {
            lengths.push((offset, length));
            Ok(length)
        })
        .expect("whole calls");
        assert_eq!(lengths, [(0, 10), (10, 10), (20, 5)]);
        let error = exactly(25, 10, |_, length| Ok(length - 1)).unwrap_err();
        assert_eq!(error.to_string(), "9 of 10 bytes at offset 0");
    }

    #[test]
    fn short_calls_are_counted() {
        assert_eq!(at_most(25, 10, |length| Ok(length.min(6))).ok(), Some(5));
        let error = at_most(25, 10, |_| Ok(0)).unwrap_err();
        assert_eq!(error.to_string(), "nothing after 0 of 25 bytes");
    }
}
