//! The errnos of the rows, as they stand behind [`WireLoss`](super::wire::WireLoss) in the frame
//! of an interval: the first readers take no notice of them.

use serde::{Deserialize, Serialize};

use super::{
    limits::{Budget, items},
    whole::ERRNO,
};
use crate::ledger::{Errno, Snapshot};

/// Those of an interval.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireErrnos(#[serde(deserialize_with = "items")] Vec<WireRow>);

/// Those of a row that has some: each errno and its count.
#[derive(Debug, Serialize, Deserialize)]
struct WireRow {
    /// Place of the process in the interval, and of the row in it.
    process: u32,
    row: u32,
    #[serde(deserialize_with = "items")]
    counts: Vec<(u32, u64)>,
}

impl WireErrnos {
    /// Of the interval that `snapshot` is.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut rows = Vec::new();
        for (process, number) in snapshot.processes.iter().zip(0..) {
            for (path, row) in process.paths.iter().zip(0..) {
                let counts = path.errnos.iter();
                let counts: Vec<_> = counts
                    .map(|(errno, count)| (errno.number(), count))
                    .collect();
                if !counts.is_empty() {
                    rows.push(WireRow {
                        process: number,
                        row,
                        counts,
                    });
                }
            }
        }
        Self(rows)
    }

    /// Puts them into the interval's document; `None` where they do not fit it, or take too much.
    pub(super) fn read(self, snapshot: &mut Snapshot, budget: &mut Budget) -> Option<()> {
        let mut last = None;
        for row in self.0 {
            // Each row once, in the order of the interval.
            let place = Some((row.process, row.row));
            if place <= last {
                return None;
            }
            last = place;
            budget.take(row.counts.len().saturating_mul(ERRNO))?;
            let process = snapshot.processes.get_mut(row.process as usize)?;
            let path = process.paths.get_mut(row.row as usize)?;
            for (errno, count) in row.counts {
                path.errnos.count(Errno::new(errno), count);
            }
            if path.errnos.total() > path.totals.errors {
                return None;
            }
        }
        Some(())
    }
}
