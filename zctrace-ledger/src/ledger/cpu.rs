//! Where a process's processor time went, from samples. Time, never bytes: it is no part of any number of copies.

use serde::{Deserialize, Serialize};

/// Seconds of processor time by what was done in them, each an estimate from samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuTime {
    /// In the kernel, copying and everything else.
    pub kernel: f64,
    /// In user space, in routines that copy memory.
    pub user_copying: f64,
    /// In user space, in TLS and other ciphers and hashes.
    pub user_ciphers: f64,
    /// In user space, in compression.
    pub user_compression: f64,
    /// In user space, in code whose name says that it is none of these.
    pub user_other: f64,
    /// In user space, in code without a name, or whose file could not be read.
    pub user_not_known: f64,
}

impl CpuTime {
    /// How many [`CpuTime::parts`] there are.
    pub const PARTS: usize = 6;

    /// Its parts by name, in the order of the documents.
    #[must_use]
    pub const fn parts(&self) -> [(&'static str, f64); Self::PARTS] {
        // Destructured whole, so that a new field cannot be forgotten.
        let Self {
            kernel,
            user_copying,
            user_ciphers,
            user_compression,
            user_other,
            user_not_known,
        } = *self;
        [
            ("kernel", kernel),
            ("user_copying", user_copying),
            ("user_ciphers", user_ciphers),
            ("user_compression", user_compression),
            ("user_other", user_other),
            ("user_not_known", user_not_known),
        ]
    }

    /// The time with these [`CpuTime::parts`].
    #[must_use]
    pub const fn of_parts(parts: [f64; Self::PARTS]) -> Self {
        let [
            kernel,
            user_copying,
            user_ciphers,
            user_compression,
            user_other,
            user_not_known,
        ] = parts;
        Self {
            kernel,
            user_copying,
            user_ciphers,
            user_compression,
            user_other,
            user_not_known,
        }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.parts().iter().map(|(_, seconds)| seconds).sum()
    }

    /// That part of it which is in user space.
    #[must_use]
    pub fn user(&self) -> f64 {
        let user = self.parts().into_iter().skip(1);
        user.map(|(_, seconds)| seconds).sum()
    }

    /// A part's share of the whole; `None` where there is no whole.
    #[must_use]
    pub fn share(&self, seconds: f64) -> Option<f64> {
        let total = self.total();
        (total > 0.0 && total.is_finite()).then(|| (seconds / total).clamp(0.0, 1.0))
    }

    /// Whether no processor was seen working for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total() <= 0.0
    }

    /// Whether its numbers can be those of a process.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let parts = self.parts();
        let mut parts = parts.iter().map(|(_, seconds)| seconds);
        parts.all(|seconds| seconds.is_finite() && *seconds >= 0.0)
    }

    /// Adds that of another.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, |mine, theirs| mine + theirs);
    }

    /// Takes what was there earlier away. A part that has become smaller, because code got a name meanwhile, is nothing.
    pub fn subtract(&mut self, earlier: &Self) {
        self.zip(earlier, |now, before| (now - before).max(0.0));
    }

    /// The sum of two, of which either may not be known.
    #[must_use]
    pub fn sum(mine: Option<Self>, theirs: Option<Self>) -> Option<Self> {
        match (mine, theirs) {
            (Some(mut mine), Some(theirs)) => {
                mine.add(&theirs);
                Some(mine)
            }
            (mine, theirs) => mine.or(theirs),
        }
    }

    fn zip(&mut self, other: &Self, f: impl Fn(f64, f64) -> f64) {
        let (mine, theirs) = (self.parts(), other.parts());
        *self = Self::of_parts(std::array::from_fn(|at| f(mine[at].1, theirs[at].1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_shares_are_of_the_whole() {
        let mut time = CpuTime::of_parts([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(time.total().to_bits(), 21.0_f64.to_bits());
        assert_eq!(time.user().to_bits(), 20.0_f64.to_bits());
        assert_eq!(time.share(time.user_copying), Some(2.0 / 21.0));
        let before = CpuTime::of_parts([0.0, 1.0, 0.0, 0.0, 0.0, 7.0]);
        time.subtract(&before);
        assert_eq!(time, CpuTime::of_parts([1.0, 1.0, 3.0, 4.0, 5.0, 0.0]));
        time.add(&before);
        assert_eq!(time, CpuTime::of_parts([1.0, 2.0, 3.0, 4.0, 5.0, 7.0]));
    }

    #[test]
    fn of_no_time_there_is_no_share() {
        let none = CpuTime::default();
        assert!(none.is_empty() && none.share(0.0).is_none());
        assert!(!CpuTime::of_parts([f64::NAN; 6]).is_sound());
        assert!(!CpuTime::of_parts([-1.0; 6]).is_sound());
    }
}
