//! Numbers of entries, and sums.

use zctrace_common::Sizes;

/// The place behind so many entries, or the number of the last one, from 1.
pub(super) fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Adds how many operations there are of each size.
pub(super) fn add_sizes(sum: &mut Sizes, more: &Sizes) {
    for (sum, more) in sum.counts.iter_mut().zip(more.counts) {
        *sum = sum.saturating_add(more);
    }
}
