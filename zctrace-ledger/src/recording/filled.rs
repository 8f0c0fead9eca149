//! What entered the page cache, as it stands behind
//! [`WireContainers`](super::containers::WireContainers) in the frame of an interval: earlier readers take
//! no notice of it.

use serde::{Deserialize, Serialize};

use super::limits::items;
use crate::ledger::{Snapshot, Totals};

/// Of everything in an interval that has some: where it stands in the interval, and bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireFilled {
    /// By process and row.
    #[serde(deserialize_with = "items")]
    rows: Vec<(u32, u32, u64)>,
    /// By process and portion with claims.
    #[serde(deserialize_with = "items")]
    claims: Vec<(u32, u32, u64)>,
    /// By kernel thread.
    #[serde(deserialize_with = "items")]
    unattributed: Vec<(u32, u64)>,
}

impl WireFilled {
    pub(super) const fn is_empty(&self) -> bool {
        let Self {
            rows,
            claims,
            unattributed,
        } = self;
        rows.is_empty() && claims.is_empty() && unattributed.is_empty()
    }

    /// Of the interval that `snapshot` is.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut all = Self::default();
        for (process, place) in snapshot.processes.iter().zip(0..) {
            let rows = process.paths.iter().map(|path| &path.totals).zip(0..);
            let rows = rows.filter(|(totals, _)| totals.filled != 0);
            all.rows
                .extend(rows.map(|(totals, row)| (place, row, totals.filled)));
            let claims = process
                .claims
                .iter()
                .map(|claimed| &claimed.totals)
                .zip(0..);
            let claims = claims.filter(|(totals, _)| totals.filled != 0);
            all.claims
                .extend(claims.map(|(totals, row)| (place, row, totals.filled)));
        }
        let works = snapshot
            .unattributed
            .iter()
            .map(|work| &work.totals)
            .zip(0..);
        let works = works.filter(|(totals, _)| totals.filled != 0);
        all.unattributed
            .extend(works.map(|(totals, place)| (place, totals.filled)));
        all
    }

    /// Puts it into the interval's document; `None` where it does not fit.
    pub(super) fn read(self, snapshot: &mut Snapshot) -> Option<()> {
        for (place, row, filled) in self.rows {
            let process = snapshot.processes.get_mut(place as usize)?;
            let path = process.paths.get_mut(row as usize)?;
            for totals in [&mut path.totals, &mut process.total, &mut snapshot.total] {
                fill(totals, filled);
            }
        }
        for (place, row, filled) in self.claims {
            let process = snapshot.processes.get_mut(place as usize)?;
            fill(&mut process.claims.get_mut(row as usize)?.totals, filled);
        }
        for (place, filled) in self.unattributed {
            fill(
                &mut snapshot.unattributed.get_mut(place as usize)?.totals,
                filled,
            );
        }
        Some(())
    }
}

const fn fill(totals: &mut Totals, bytes: u64) {
    totals.filled = totals.filled.saturating_add(bytes);
}
