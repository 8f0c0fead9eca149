//! How long zero-copy sends of a row waited for their notification.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use zctrace_common as common;

use crate::text::bytes::{bytes, count, duration};

/// The sends of a row that lent pages and were notified that the pages are free again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// How many.
    pub sends: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The sum of the times from their begin to their notification, in nanoseconds.
    pub ns: u64,
    /// The sum of bytes multiplied by the microseconds for which they were pinned.
    pub pinned_byte_us: u64,
    /// These sends by their time: the least nanoseconds of each class, which is at most an eighth wide, and its sends.
    pub histogram: BTreeMap<u64, u64>,
}

impl Notified {
    /// Whether no send was notified.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sends == 0
    }

    /// The mean time of a send; `None` if there is none.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.ns.checked_div(self.sends).map(Duration::from_nanos)
    }

    /// The time within which so many thousandths of the sends were notified, to a sixteenth: the middle of its class.
    /// `None` if there is no send.
    #[must_use]
    pub fn within(&self, thousandths: u64) -> Option<Duration> {
        let rank = u128::from(self.sends) * u128::from(thousandths.min(1000));
        let mut seen = 0_u128;
        for (&least, &sends) in &self.histogram {
            seen += u128::from(sends) * 1000;
            if seen >= rank {
                let place = common::Notified::place(least);
                let end = match place + 1 {
                    common::Notified::COUNT => least,
                    next => common::Notified::least(next).max(least),
                };
                return Some(Duration::from_nanos(least + (end - least) / 2));
            }
        }
        None
    }

    /// How many sends were notified in less than `ns` nanoseconds, if a class of the histogram begins there. Each power
    /// of two from 1024 on is such a place.
    #[must_use]
    pub fn shorter_than(&self, ns: u64) -> u64 {
        let shorter = self.histogram.range(..ns).map(|(_, sends)| *sends);
        shorter.fold(0, u64::saturating_add)
    }

    /// Bytes that were pinned on average while they were watched.
    #[must_use]
    pub fn pinned(&self, watched: Duration) -> u64 {
        let all = u128::from(self.pinned_byte_us);
        let mean = all.checked_div(watched.as_micros()).unwrap_or_default();
        u64::try_from(mean).unwrap_or(u64::MAX)
    }

    /// What is worth a line: `notified after 10.2 ms (median of 400 sends), 99% within 13.1 ms; 1.20 MiB pinned on
    /// average`.
    #[must_use]
    pub fn words(&self, watched: Duration) -> Option<String> {
        let [median, most] = [self.within(500)?, self.within(990)?].map(duration);
        let sends = match self.sends {
            1 => "1 send".to_owned(),
            sends => format!("{} sends", count(sends)),
        };
        Some(format!(
            "notified after {median} (median of {sends}), 99% within {most}; {} pinned on average",
            bytes(self.pinned(watched))
        ))
    }

    /// Adds the sends of another row.
    pub fn add(&mut self, other: &Self) {
        for (&least, &sends) in &other.histogram {
            let sum = self.histogram.entry(least).or_default();
            *sum = sum.saturating_add(sends);
        }
        self.zip(other, u64::saturating_add);
    }

    /// Takes away the sends of an earlier reading of the row.
    pub fn subtract(&mut self, earlier: &Self) {
        for (least, sends) in &earlier.histogram {
            if let Some(sum) = self.histogram.get_mut(least) {
                *sum = sum.saturating_sub(*sends);
            }
        }
        self.histogram.retain(|_, sends| *sends != 0);
        self.zip(earlier, u64::saturating_sub);
    }

    fn zip(&mut self, other: &Self, f: impl Fn(u64, u64) -> u64) {
        // Destructured whole, so that a new field cannot be forgotten.
        let Self {
            sends,
            bytes,
            ns,
            pinned_byte_us,
            histogram: _,
        } = other;
        self.sends = f(self.sends, *sends);
        self.bytes = f(self.bytes, *bytes);
        self.ns = f(self.ns, *ns);
        self.pinned_byte_us = f(self.pinned_byte_us, *pinned_byte_us);
    }
}

impl From<&common::Notified> for Notified {
    fn from(counted: &common::Notified) -> Self {
        let places = (0..).zip(counted.sends).filter(|(_, sends)| *sends != 0);
        let histogram: BTreeMap<_, _> = places
            .map(|(place, sends)| (common::Notified::least(place), sends))
            .collect();
        Self {
            sends: histogram.values().copied().fold(0, u64::saturating_add),
            bytes: counted.bytes,
            ns: counted.ns,
            pinned_byte_us: counted.byte_us,
            histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends that waited for so many nanoseconds each, with 1000 bytes.
    fn notified(times: &[u64]) -> Notified {
        let mut counted = common::Notified::ZERO;
        for &ns in times {
            counted.sends[common::Notified::place(ns)] += 1;
            counted.ns += ns;
            counted.bytes += 1000;
            counted.byte_us += ns;
        }
        Notified::from(&counted)
    }

    #[test]
    fn every_quantile_is_within_a_sixteenth() {
        let mut ns = 1024_u64;
        while ns < 1 << 36 {
            let found = notified(&[ns]).within(500).unwrap();
            let off = found.as_nanos().abs_diff(ns.into());
            assert!(off * 16 <= u128::from(ns), "{ns}: {found:?}");
            ns += 1 + ns / 41;
        }
    }

    #[test]
    fn quantiles_are_of_the_right_send() {
        let times: Vec<u64> = (1..=100).map(|ms| ms * 1_000_000).collect();
        let all = notified(&times);
        assert_eq!(all.mean(), Some(Duration::from_micros(50_500)));
        for (thousandths, ms) in [(0, 1), (10, 1), (500, 50), (990, 99), (1000, 100)] {
            let found = all.within(thousandths).unwrap();
            let off = found.as_secs_f64() / (f64::from(ms) / 1e3) - 1.0;
            assert!(off.abs() <= 1.0 / 8.0, "{thousandths}: {found:?}");
        }
        assert_eq!(Notified::default().within(500), None);
        assert_eq!(Notified::default().mean(), None);
        assert_eq!(Notified::default().words(Duration::from_secs(1)), None);
    }

    #[test]
    fn sends_are_counted_up_to_a_power_of_two() {
        let all = notified(&[0, 1023, 1024, 2047, 2048, 1 << 35]);
        let counts = [0, 1024, 2048, 4096, 1 << 36].map(|ns| all.shorter_than(ns));
        assert_eq!(counts, [0, 2, 4, 5, 6]);
    }

    #[test]
    fn the_least_and_the_most_are_said_as_they_are_known() {
        assert_eq!(
            notified(&[3]).within(500),
            Some(Duration::from_nanos(512)),
            "the middle of what is less than 1024 ns"
        );
        let most = notified(&[u64::MAX / 2]).within(1000);
        assert_eq!(most, Some(Duration::from_nanos(1 << 36)));
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let (first, second) = (notified(&[5_000, 70_000]), notified(&[5_000, 9_000_000]));
        let mut sum = first.clone();
        sum.add(&second);
        assert_eq!(sum.sends, 4);
        sum.subtract(&first);
        assert_eq!(sum, second);
        sum.subtract(&second);
        assert_eq!(sum, Notified::default());
    }

    #[test]
    fn a_line_says_how_long_and_how_much() {
        let one = notified(&[10_000_000]);
        let words = one.words(Duration::from_millis(100)).unwrap();
        assert_eq!(
            words,
            "notified after 9.96 ms (median of 1 send), 99% within 9.96 ms; 100 B pinned on average"
        );
        assert_eq!(one.pinned(Duration::ZERO), 0);
    }
}
