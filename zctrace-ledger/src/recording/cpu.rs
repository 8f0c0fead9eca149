//! Where processor time went, as it stands behind [`WireFilled`](super::filled::WireFilled) in the frame of an
//! interval: earlier readers take no notice of it.

use serde::{Deserialize, Serialize};
use zctrace_common::SAMPLE_PERIOD;

use super::limits::items;
use crate::ledger::{CpuTime, Snapshot};

/// Of every process in an interval that was sampled.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireCpu(#[serde(deserialize_with = "items")] Vec<WireTime>);

/// That of one process, in samples: small numbers, most of which are 0.
#[derive(Debug, Serialize, Deserialize)]
struct WireTime {
    /// Place of the process in the interval.
    process: u32,
    /// Which parts are not 0, a bit for each.
    mask: u8,
    /// These parts.
    #[serde(deserialize_with = "items")]
    samples: Vec<u64>,
}

impl WireTime {
    fn new(process: u32, time: &CpuTime) -> Self {
        let mut wire = Self {
            process,
            mask: 0,
            samples: Vec::new(),
        };
        for (bit, (_, seconds)) in time.parts().into_iter().enumerate() {
            let samples = samples(seconds);
            if samples != 0 {
                wire.mask |= 1 << bit;
                wire.samples.push(samples);
            }
        }
        wire
    }

    /// `None` where bits and values do not match.
    fn time(&self) -> Option<CpuTime> {
        let mut values = self.samples.iter();
        let mut parts = [0.0; CpuTime::PARTS];
        for (bit, part) in parts.iter_mut().enumerate() {
            if self.mask >> bit & 1 == 1 {
                *part = seconds(*values.next()?);
            }
        }
        let is_whole = values.next().is_none() && self.mask >> CpuTime::PARTS == 0;
        is_whole.then(|| CpuTime::of_parts(parts))
    }
}

impl WireCpu {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the interval that `snapshot` is.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let processes = snapshot.processes.iter().zip(0..);
        let some = processes
            .filter_map(|(process, place)| Some(WireTime::new(place, &process.cpu_seconds?)))
            .filter(|wire| wire.mask != 0);
        Self(some.collect())
    }

    /// Puts it into the interval's document; `None` where it does not fit.
    pub(super) fn read(self, snapshot: &mut Snapshot) -> Option<()> {
        // Written only because something stands behind it.
        if self.is_empty() {
            return Some(());
        }
        // Where processors were sampled, the others took no time.
        for process in &mut snapshot.processes {
            process.cpu_seconds = Some(CpuTime::default());
        }
        for wire in self.0 {
            let process = snapshot.processes.get_mut(wire.process as usize)?;
            process.cpu_seconds = Some(wire.time()?);
        }
        Some(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an estimate; what does not fit saturates"
)]
fn samples(seconds: f64) -> u64 {
    (seconds * 1e9 / SAMPLE_PERIOD as f64).round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds(samples: u64) -> f64 {
    samples.saturating_mul(SAMPLE_PERIOD) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_samples() {
        let time = CpuTime::of_parts([seconds(3), 0.0, seconds(70_000), 0.0, 0.0, seconds(1)]);
        let wire = WireTime::new(7, &time);
        assert_eq!(
            (wire.mask, &wire.samples[..]),
            (0b10_0101, &[3, 70_000, 1][..])
        );
        assert_eq!(wire.time(), Some(time));
        let wrong = |mask, samples| {
            WireTime {
                process: 0,
                mask,
                samples,
            }
            .time()
        };
        assert_eq!(wrong(0b11, vec![1]), None);
        assert_eq!(wrong(0b1, vec![1, 2]), None);
        assert_eq!(wrong(0b100_0000, vec![1]), None);
    }
}
