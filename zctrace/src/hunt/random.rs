//! Numbers that follow from a seed (SplitMix64), on every machine the same.

/// A source of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The source of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another source, one for each number. Sources whose states lie steps apart give the same numbers,
    /// so the state is one that this source gives.
    #[must_use]
    pub const fn at(self, number: u64) -> Self {
        let mut spread = Self(self.0 ^ Self(number).next());
        Self(spread.next())
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// One of several, each as likely.
    pub fn of<T: Copy>(&mut self, several: &[T]) -> T {
        several[(self.next() % several.len() as u64) as usize]
    }

    /// True once in `times`.
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_do_not_overlap() {
        let numbers = |number| {
            let mut random = Random::new(1).at(number);
            (0..64).map(|_| random.next()).collect::<Vec<_>>()
        };
        let (first, second) = (numbers(0), numbers(1));
        assert!(first.iter().all(|number| !second.contains(number)));
    }

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        // Of the reference implementation, seed 0.
        assert_eq!(numbers(0)[0], 0xe220_a839_7b1d_cdaf);
    }
}
