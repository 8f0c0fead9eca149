//! How long zero-copy sends waited for their notification, as it stands behind [`WireCpu`](super::cpu::WireCpu) in the
//! frame of an interval: earlier readers take no notice of it.

use serde::{Deserialize, Serialize};

use super::limits::{Budget, items};
use crate::ledger::{Notified, Snapshot};

/// What a class of the histogram takes in a document.
pub(super) const CLASS: usize = 32;

/// Those of an interval.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireNotified(#[serde(deserialize_with = "items")] Vec<WireRow>);

/// Those of a row that has some.
#[derive(Debug, Serialize, Deserialize)]
struct WireRow {
    /// Place of the process in the interval, and of the row in it.
    process: u32,
    row: u32,
    bytes: u64,
    ns: u64,
    pinned_byte_us: u64,
    /// The least nanoseconds of each class, and its sends.
    #[serde(deserialize_with = "items")]
    histogram: Vec<(u64, u64)>,
}

impl WireNotified {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the interval that `snapshot` is.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut rows = Vec::new();
        for (process, number) in snapshot.processes.iter().zip(0..) {
            for (path, row) in process.paths.iter().zip(0..) {
                let Notified {
                    sends: _,
                    bytes,
                    ns,
                    pinned_byte_us,
                    histogram,
                } = &path.notified;
                if !histogram.is_empty() {
                    rows.push(WireRow {
                        process: number,
                        row,
                        bytes: *bytes,
                        ns: *ns,
                        pinned_byte_us: *pinned_byte_us,
                        histogram: histogram.iter().map(|(&at, &sends)| (at, sends)).collect(),
                    });
                }
            }
        }
        Self(rows)
    }

    /// Puts them into the interval's document; `None` where they do not fit it, or take too much.
    pub(super) fn read(self, snapshot: &mut Snapshot, budget: &mut Budget) -> Option<()> {
        for row in self.0 {
            budget.take(row.histogram.len().saturating_mul(CLASS))?;
            let process = snapshot.processes.get_mut(row.process as usize)?;
            let path = process.paths.get_mut(row.row as usize)?;
            let histogram = row.histogram.iter();
            let sends = histogram.fold(0_u64, |sum, (_, sends)| sum.saturating_add(*sends));
            path.notified = Notified {
                sends,
                bytes: row.bytes,
                ns: row.ns,
                pinned_byte_us: row.pinned_byte_us,
                histogram: row.histogram.into_iter().collect(),
            };
        }
        Some(())
    }
}
