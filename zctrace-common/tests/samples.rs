//! Samples of stacks are one for every N bytes, however the bytes arrive.

use proptest::prelude::*;
use zctrace_common::{Sizes, samples_among};

proptest! {
    /// Each stretch of `every` bytes has one sample.
    #[test]
    fn one_sample_for_each_stretch(every in 1..1_u64 << 32, stretch in 0..1_u64 << 30) {
        let start = stretch * every;
        prop_assert_eq!(samples_among(start, every), stretch);
        prop_assert_eq!(samples_among(start + every, every), stretch + 1);
    }

    /// More bytes never take a sample back.
    #[test]
    fn samples_only_grow(every in 1..1_u64 << 32, sum in 0..1_u64 << 60, more in 0..1_u64 << 32) {
        prop_assert!(samples_among(sum, every) <= samples_among(sum + more, every));
    }

    /// A larger operation is never counted at a smaller place.
    #[test]
    fn sizes_are_in_order(bytes: u64, more: u64) {
        let place = Sizes::place(bytes);
        prop_assert!(place <= Sizes::place(bytes.saturating_add(more)));
        prop_assert!(Sizes::least(place) <= bytes);
    }
}

#[test]
fn nothing_is_sampled_of_nothing() {
    assert_eq!(samples_among(0, 4096), 0);
    assert_eq!(
        samples_among(1 << 30, 0),
        0,
        "a setting of 0 takes no samples"
    );
}
