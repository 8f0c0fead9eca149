//! What a process wrote into files without a name, and what the kernel passed on from there.
//!
//! A proxy that spills keeps what a slow client cannot take yet in a file that it has removed, or that
//! never had a name. Nobody else can open such a file, so what is sent from it is what was written
//! to it: the one case in which the ledger knows that the bytes of two rows are the same.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap, mem};

use super::{Path, Snapshot};

/// What a row of such files has as [`Path::by`].
pub const UNNAMED: &str = "unnamed file";

/// The rows of files without a name, for each process.
#[derive(Debug, Default)]
pub(crate) struct Spills(BTreeMap<(u32, u64), Vec<Path>>);

impl Spills {
    /// Those of one process, by its id and start time.
    pub(crate) fn of(&self, process: (u32, u64)) -> &[Path] {
        self.0.get(&process).map_or(&[], Vec::as_slice)
    }
}

/// The ledger without that distinction, and the rows that had it.
pub(crate) fn set_apart(snapshot: &Snapshot) -> (Cow<'_, Snapshot>, Spills) {
    let is_of_unnamed = |path: &Path| path.by.as_deref() == Some(UNNAMED);
    let mut spills = Spills::default();
    if !snapshot
        .processes
        .iter()
        .any(|process| process.paths.iter().any(is_of_unnamed))
    {
        return (Cow::Borrowed(snapshot), spills);
    }
    let mut whole = snapshot.clone();
    for process in &mut whole.processes {
        let (unnamed, named): (Vec<_>, Vec<_>) = mem::take(&mut process.paths)
            .into_iter()
            .partition(is_of_unnamed);
        let key = (process.pid, process.start_time);
        spills.0.entry(key).or_default().extend(unnamed.clone());
        process.paths = named;
        for mut row in unnamed {
            row.by = None;
            let same = process.paths.iter_mut().find(|path| {
                path.by.is_none()
                    && path.op == row.op
                    && path.object == row.object
                    && path.evidence == row.evidence
            });
            match same {
                Some(path) => path.add(&row),
                None => process.paths.push(row),
            }
        }
        process.paths.sort_by_key(|path| Reverse(path.totals.moved));
    }
    (Cow::Owned(whole), spills)
}
