//! From what two techniques take here to what the other one would save the target: an interval.

use serde::{Deserialize, Serialize};

use super::measure::Measured;

/// A bound from below and one from above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

impl Interval {
    /// From the smallest to the largest; `None` of nothing.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        values.into_iter().fold(None, |interval, value| {
            let Self { low, high } = interval.unwrap_or(Self {
                low: value,
                high: value,
            });
            Some(Self {
                low: low.min(value),
                high: high.max(value),
            })
        })
    }

    /// Every product with a factor of another one, none of which is negative.
    #[must_use]
    pub fn times(self, factor: Self) -> Self {
        let products = [
            self.low * factor.low,
            self.low * factor.high,
            self.high * factor.low,
            self.high * factor.high,
        ];
        products.into_iter().fold(
            Self {
                low: f64::INFINITY,
                high: f64::NEG_INFINITY,
            },
            |all, product| Self {
                low: all.low.min(product),
                high: all.high.max(product),
            },
        )
    }
}

/// What another technique saves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// Seconds of processor time for a GiB.
    pub cpu_seconds_per_gib: Interval,
    /// Of all the processor time that the process takes; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_share: Option<Interval>,
    /// Copies for each byte; absent where they could not be seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub copies_per_byte: Option<f64>,
}

/// What is known of the target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Bytes that took this way.
    pub bytes: u64,
    /// Copies for each of them.
    pub copies_per_byte: f64,
    /// Seconds in the kernel's copy routines, from samples, and the bytes that were copied meanwhile.
    pub copying: Option<(f64, u64)>,
    /// Seconds of processor time in all.
    pub cpu_seconds: Option<f64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It saves processor time in every run.
    Change,
    /// It saves some, or nothing.
    OrNothing,
    /// It saves nothing.
    Stay,
    /// It could not be measured.
    NotKnown,
}

/// The least part of the time that a technique takes which is worth a change.
const WORTH: f64 = 0.05;

/// Seconds between two samples.
const SAMPLE: f64 = zctrace_common::SAMPLE_PERIOD as f64 / 1e9;

const GIB: f64 = (1_u64 << 30) as f64;

/// What the other technique would save the target, and whether it is worth it.
#[must_use]
pub fn saving(measured: &Measured, target: &Target) -> (Verdict, Option<Saving>) {
    let pairs = measured.rounds.iter().flat_map(|round| {
        let now = round.now;
        round.instead.iter().map(move |instead| now - instead)
    });
    let pairs: Vec<f64> = pairs.collect();
    let (Some(here), Some(now)) = (predicted(&pairs), median(measured)) else {
        return (Verdict::NotKnown, None);
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let gib = target.bytes as f64 / GIB;
    let all = target.cpu_seconds.filter(|seconds| *seconds > 0.0);
    let mut factor = factor(measured, target);
    let mut most = f64::INFINITY;
    if let Some(all) = all.filter(|_| gib > 0.0) {
        // In all it takes less than the workload for this alone: it saves less, too.
        most = all / gib;
        factor.low = factor.low.min(most / now);
    }
    let mut per_gib = here.times(factor);
    per_gib.high = per_gib.high.min(most);
    per_gib.low = per_gib.low.min(per_gib.high);
    let verdict = if per_gib.low > now * WORTH {
        Verdict::Change
    } else if per_gib.high <= now * WORTH {
        Verdict::Stay
    } else {
        Verdict::OrNothing
    };
    let share = all.map(|seconds| Interval {
        low: (per_gib.low * gib / seconds).clamp(-1.0, 1.0),
        high: (per_gib.high * gib / seconds).clamp(-1.0, 1.0),
    });
    let saving = Saving {
        cpu_seconds_per_gib: per_gib,
        cpu_share: share,
        copies_per_byte: measured
            .copies_instead
            .map(|instead| target.copies_per_byte - instead),
    };
    (verdict, Some(saving))
}

/// Where another value lies, nineteen times of twenty: by the spread of these, and never less than all of them.
fn predicted(values: &[f64]) -> Option<Interval> {
    /// Student's t for 0.975, by degrees of freedom from 1.
    const T: [f64; 10] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
    let all = Interval::of(values.iter().copied())?;
    #[expect(clippy::cast_precision_loss, reason = "a few runs")]
    let count = values.len() as f64;
    let Some(freedom) = values.len().checked_sub(1).filter(|freedom| *freedom > 0) else {
        return Some(all);
    };
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    let deviation = (squares.sum::<f64>() / (count - 1.0)).sqrt();
    let t = T.get(freedom - 1).copied().unwrap_or(2.2);
    let reach = t * deviation * (1.0 + 1.0 / count).sqrt();
    Some(Interval {
        low: all.low.min(mean - reach),
        high: all.high.max(mean + reach),
    })
}

/// What the technique takes that the target has now, in the run in the middle.
fn median(measured: &Measured) -> Option<f64> {
    let mut all: Vec<f64> = measured.rounds.iter().map(|round| round.now).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

/// How much more the target takes to copy a byte than the technique does here: its bytes may not be in the processor's
/// caches, or its memory is on another node. From 1 to that, as precisely as the samples say it.
fn factor(measured: &Measured, target: &Target) -> Interval {
    const NONE: Interval = Interval {
        low: 1.0,
        high: 1.0,
    };
    let per_byte = |(seconds, bytes): (f64, u64)| {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = bytes as f64;
        let samples = seconds / SAMPLE;
        (samples >= 20.0 && bytes > 0.0).then_some((seconds / bytes, samples))
    };
    let theirs = target.copying.and_then(per_byte);
    let ours = measured.copying.and_then(per_byte);
    let (Some((theirs, their_samples)), Some((ours, our_samples))) = (theirs, ours) else {
        return NONE;
    };
    // Beyond that, something else is different.
    let ratio = (theirs / ours).clamp(0.5, 2.0);
    // Two standard deviations of both counts.
    let error = 2.0 * (1.0 / their_samples + 1.0 / our_samples).sqrt();
    Interval {
        low: (ratio * (1.0 - error)).clamp(0.25, 1.0),
        high: (ratio * (1.0 + error)).clamp(1.0, 4.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::measure::Round, *};

    fn measured(rounds: &[(f64, &[f64])]) -> Measured {
        let rounds = rounds.iter().map(|(now, instead)| Round {
            now: *now,
            instead: instead.to_vec(),
        });
        Measured {
            rounds: rounds.collect(),
            copies_instead: Some(0.0),
            copying: None,
        }
    }

    const TARGET: Target = Target {
        bytes: 1 << 30,
        copies_per_byte: 2.0,
        copying: None,
        cpu_seconds: Some(2.0),
    };

    #[test]
    fn the_interval_has_every_run_and_most_others() {
        let rounds: Vec<_> = (0..8)
            .map(|run| (1.0, 0.5 + f64::from(run % 2) * 0.1))
            .collect();
        let rounds: Vec<_> = rounds
            .iter()
            .map(|(now, instead)| (*now, std::slice::from_ref(instead)))
            .collect();
        let (verdict, saving) = saving(&measured(&rounds), &TARGET);
        let saving = saving.expect("a saving");
        assert_eq!(verdict, Verdict::Change);
        let Interval { low, high } = saving.cpu_seconds_per_gib;
        // 0.45 in the middle, and 2.36 deviations of 0.053, a little wider.
        assert!(
            (low - 0.316).abs() < 0.002 && (high - 0.584).abs() < 0.002,
            "{low} to {high}"
        );
        let share = saving.cpu_share.expect("its time is known");
        assert!((share.low - low / 2.0).abs() < 1e-9 && (share.high - high / 2.0).abs() < 1e-9);
        assert_eq!(saving.copies_per_byte, Some(2.0));
    }

    #[test]
    fn nothing_saves_more_than_there_is() {
        let target = Target {
            cpu_seconds: Some(0.4),
            ..TARGET
        };
        let (_, saving) = saving(&measured(&[(1.0, &[0.5])]), &target);
        let saving = saving.expect("a saving");
        let Interval { low, high } = saving.cpu_seconds_per_gib;
        assert!(
            (low - 0.2).abs() < 1e-9 && (high - 0.4).abs() < 1e-9,
            "{low} to {high}"
        );
        assert_eq!(saving.cpu_share.map(|share| share.high), Some(1.0));
    }

    #[test]
    fn what_saves_nothing_in_one_run_may_save_nothing() {
        let verdict = |rounds: &[(f64, &[f64])]| saving(&measured(rounds), &TARGET).0;
        assert_eq!(verdict(&[(1.0, &[0.5]), (1.0, &[1.1])]), Verdict::OrNothing);
        assert_eq!(verdict(&[(1.0, &[0.99]), (1.0, &[0.99])]), Verdict::Stay);
        assert_eq!(verdict(&[]), Verdict::NotKnown);
    }

    #[test]
    fn a_target_that_copies_more_slowly_may_save_more() {
        let mut measured = measured(&[(1.0, &[0.5])]);
        measured.copying = Some((10.0, 10 << 30));
        let target = Target {
            copying: Some((15.0, 10 << 30)),
            cpu_seconds: None,
            ..TARGET
        };
        let (_, saving) = saving(&measured, &target);
        let Interval { low, high } = saving.expect("a saving").cpu_seconds_per_gib;
        assert!((low - 0.5).abs() < 1e-9, "{low}");
        assert!(high > 0.75 && high < 0.9, "{high}");
        // A handful of samples says nothing.
        let few = Target {
            copying: Some((0.05, 1 << 20)),
            ..TARGET
        };
        assert_eq!(
            factor(&measured, &few),
            Interval {
                low: 1.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn intervals_multiply() {
        let interval = |low, high| Interval { low, high };
        assert_eq!(
            interval(-1.0, 2.0).times(interval(0.5, 3.0)),
            interval(-3.0, 6.0)
        );
        assert_eq!(Interval::of([]), None);
    }
}
