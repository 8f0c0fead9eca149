//! How long zero-copy sends wait for their notification, as a histogram with few buckets.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::series::Series;
use crate::ledger::Notified;

/// The only label: an operation.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OpLabels {
    pub(super) op: String,
}

/// Powers of two of a nanosecond: the first and the last bound, and their distance. The ledger's classes begin there.
const FIRST: u32 = 10;
const LAST: u32 = 36;
const STEP: usize = 2;

/// The bounds of the buckets in nanoseconds; a last one holds the rest.
pub(super) fn bounds() -> impl Iterator<Item = u64> {
    (FIRST..=LAST).step_by(STEP).map(|power| 1 << power)
}

/// How many sends are in each bucket, the last one included.
pub(super) fn counts(notified: &Notified) -> Vec<u64> {
    let mut below = 0;
    let mut counts: Vec<_> = bounds()
        .map(|bound| {
            let shorter = notified.shorter_than(bound);
            shorter - std::mem::replace(&mut below, shorter)
        })
        .collect();
    counts.push(notified.sends.saturating_sub(below));
    counts
}

/// The sends of all commands, by operation.
#[derive(Debug)]
pub(super) struct Waits(Vec<(OpLabels, Notified)>);

impl Waits {
    pub(super) fn of(series: &Series) -> Self {
        let labels = |op: &String| OpLabels { op: op.clone() };
        let waits = series.notified.iter();
        Self(
            waits
                .map(|(op, waits)| (labels(op), waits.clone()))
                .collect(),
        )
    }
}

impl EncodeMetric for Waits {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (labels, notified) in &self.0 {
            let seconds = bounds().map(|ns| ns as f64 / 1e9).chain([f64::INFINITY]);
            let buckets: Vec<_> = seconds.zip(counts(notified)).collect();
            let sum = notified.ns as f64 / 1e9;
            encoder
                .encode_family(labels)?
                .encode_histogram::<NoLabelSet>(sum, notified.sends, &buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_send_is_in_one_bucket() {
        let notified = Notified {
            sends: 8,
            histogram: [(0, 1), (1024, 2), (1 << 20, 4), (1 << 36, 1)]
                .into_iter()
                .collect(),
            ..Notified::default()
        };
        let counts = counts(&notified);
        assert_eq!(counts.len(), bounds().count() + 1);
        assert_eq!(counts.iter().sum::<u64>(), notified.sends);
        assert_eq!((counts[0], counts[1], counts[counts.len() - 1]), (1, 2, 1));
    }
}
