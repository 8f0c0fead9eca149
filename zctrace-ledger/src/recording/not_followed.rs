//! Copying in calls of which the ledger has no bytes, as it stands behind
//! [`WireErrnos`](super::errnos::WireErrnos) in the frame of an interval: earlier readers take no
//! notice of it.

use serde::{Deserialize, Serialize};

use super::limits::items;
use crate::ledger::{NotFollowed, Snapshot};

/// Those of an interval.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireNotFollowed(#[serde(deserialize_with = "items")] Vec<WireProcess>);

/// Those of a process that has some: each call and its seconds.
#[derive(Debug, Serialize, Deserialize)]
struct WireProcess {
    /// Place of the process in the interval.
    process: u32,
    #[serde(deserialize_with = "items")]
    calls: Vec<(String, f64)>,
}

impl WireNotFollowed {
    /// Of the interval that `snapshot` is.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let processes = snapshot.processes.iter().zip(0..);
        let some = processes.filter(|(process, _)| !process.not_followed.is_empty());
        let wire = some.map(|(process, number)| WireProcess {
            process: number,
            calls: process
                .not_followed
                .iter()
                .map(|one| (one.call.clone(), one.copy_cpu_seconds))
                .collect(),
        });
        Self(wire.collect())
    }

    /// Puts them into the interval's document; `None` where they do not fit it.
    pub(super) fn read(self, snapshot: &mut Snapshot) -> Option<()> {
        for wire in self.0 {
            let process = snapshot.processes.get_mut(wire.process as usize)?;
            for (call, copy_cpu_seconds) in wire.calls {
                if !copy_cpu_seconds.is_finite() || copy_cpu_seconds < 0.0 {
                    return None;
                }
                process.not_followed.push(NotFollowed {
                    call,
                    copy_cpu_seconds,
                });
            }
        }
        Some(())
    }
}
