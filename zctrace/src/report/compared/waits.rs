//! How long zero-copy sends waited for their notification, before and after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Notified, Object, Snapshot},
    text::bytes::{count, duration},
};

/// The notified sends of an operation on an object in both recordings, whoever sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// The operation.
    pub op: String,
    /// What it worked on.
    pub object: Object,
    /// Its sends in the first recording.
    pub before: Notified,
    /// Its sends in the second.
    pub after: Notified,
}

impl Waited {
    /// What it comes to, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let side = |notified: &Notified| {
            let sends = match notified.sends {
                1 => "1 send".to_owned(),
                sends => format!("{} sends", count(sends)),
            };
            match (notified.within(500), notified.within(990)) {
                (Some(median), Some(most)) => format!(
                    "median {}, 99% within {} ({sends})",
                    duration(median),
                    duration(most)
                ),
                _ => "no notification".to_owned(),
            }
        };
        format!(
            "{} {}: before {}; after {}",
            self.op,
            self.object,
            side(&self.before),
            side(&self.after)
        )
    }
}

/// The notified sends of both recordings, by operation and object.
pub(super) fn waited(before: &Snapshot, after: &Snapshot) -> Vec<Waited> {
    let mut rows: BTreeMap<(&str, &Object), (Notified, Notified)> = BTreeMap::new();
    for (snapshot, is_after) in [(before, false), (after, true)] {
        let paths = snapshot.processes.iter().flat_map(|process| &process.paths);
        for path in paths.filter(|path| !path.notified.is_empty()) {
            let (a, b) = rows.entry((path.op.as_str(), &path.object)).or_default();
            let sum = if is_after { b } else { a };
            sum.add(&path.notified);
        }
    }
    rows.into_iter()
        .map(|((op, object), (before, after))| Waited {
            op: op.to_owned(),
            object: object.clone(),
            before,
            after,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples;

    fn with(ns: &[u64]) -> Snapshot {
        let mut snapshot = samples::normal();
        let path = &mut snapshot.processes[0].paths[0];
        path.op = "send.zerocopy".into();
        path.object = "tcp".into();
        path.notified.sends = ns.len() as u64;
        path.notified.ns = ns.iter().sum();
        path.notified.histogram = ns.iter().map(|ns| (*ns, 1)).collect();
        snapshot
    }

    #[test]
    fn each_side_is_told_where_there_was_any() {
        let none = samples::normal();
        assert_eq!(waited(&none, &none), []);
        let (fast, slow) = (with(&[1 << 20]), with(&[1 << 24, 1 << 30]));
        let rows = waited(&fast, &slow);
        assert_eq!(rows.len(), 1);
        let sides = (rows[0].before.sends, rows[0].after.sends);
        assert_eq!(sides, (1, 2), "each on its side");
        insta::assert_snapshot!(rows[0].sentence());
        insta::assert_snapshot!(waited(&fast, &none)[0].sentence());
    }
}
