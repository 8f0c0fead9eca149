//! What happened in each region of a test.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use serde::{Deserialize, Serialize};

use super::{Path, Snapshot, Totals};

/// What rows are split by that belong to no region.
const NO_REGION: &str = "-";

/// What rows are split by that io_uring's own threads made: nobody knows for which region they work.
pub const OF_WORKERS: &str = "(io_uring)";

/// A region as it was marked: one name within another region is a region of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// From 1 on.
    pub number: u64,
    /// The region that it is within, 0 without one.
    pub parent: u64,
    /// Its name.
    pub name: String,
    /// How many times it was begun.
    pub begun: u64,
    /// How many times it was ended by a marker.
    pub ended: u64,
}

/// What was wrong with markers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markers {
    /// Writes that are no marker.
    pub malformed: u64,
    /// Ends of a region that is not the innermost one of the thread or process.
    pub mismatched: u64,
    /// Beginnings for which there was no room.
    pub refused: u64,
    /// Ends of a region after the region that it is within, so that the figures of that one have too much.
    pub outlived: u64,
    /// Lines that came out of the pipe and were not seen going in, or the other way round.
    pub unseen: u64,
    /// Rows of a region that has no name, and so are in none.
    pub nameless: u64,
}

impl Markers {
    /// What is wrong, for people; `None` if nothing is.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        let flaws = [
            (self.malformed, "lines that are not markers"),
            (
                self.mismatched,
                "ends of a region that is not the innermost one of its thread",
            ),
            (self.refused, "regions for which there was no room"),
            (
                self.outlived,
                "regions that ended after the one around them",
            ),
            (self.unseen, "lines that were not seen at the write"),
            (self.nameless, "rows of regions without a name"),
        ];
        let flaws: Vec<_> = flaws
            .into_iter()
            .filter(|(count, _)| *count != 0)
            .map(|(count, what)| format!("{what}: {count}"))
            .collect();
        (!flaws.is_empty()).then(|| flaws.join("; "))
    }
}

/// What happened in the regions of one name, and in those within them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionTotals {
    /// The name.
    pub name: String,
    /// How many times it was begun.
    pub begun: u64,
    /// How many of those ended with their thread or process, not by a marker. Absent without any.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unended: u64,
    /// The sum of the paths.
    #[serde(flatten)]
    pub totals: Totals,
    /// The data paths, most moved first.
    pub paths: Vec<Path>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The rows of a snapshot by region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ByRegion {
    /// By name.
    pub regions: Vec<RegionTotals>,
    /// What belongs to no region.
    pub outside: Totals,
    /// What io_uring's own threads did, for whichever region.
    pub of_workers: Totals,
    /// How many rows are of a region without a name: see [`Markers::nameless`].
    pub nameless: u64,
}

impl ByRegion {
    /// Sorts the rows of a snapshot, which were split by region.
    #[must_use]
    pub fn of(snapshot: &Snapshot, regions: &[Region]) -> Self {
        let mut by_region = Self::default();
        let mut all: BTreeMap<&str, (u64, u64, Paths)> = BTreeMap::new();
        for region in regions {
            let of_name = all.entry(&region.name).or_default();
            of_name.0 = of_name.0.saturating_add(region.begun);
            let open = region.begun.saturating_sub(region.ended);
            of_name.1 = of_name.1.saturating_add(open);
        }
        let within = names(regions);
        let paths = snapshot.processes.iter().flat_map(|process| &process.paths);
        for path in paths {
            let label = path.by.as_deref().unwrap_or(NO_REGION);
            if label == OF_WORKERS {
                by_region.of_workers.add(&path.totals);
                continue;
            }
            if label == NO_REGION {
                by_region.outside.add(&path.totals);
                continue;
            }
            let Some(names) = within.get(label) else {
                by_region.nameless += 1;
                continue;
            };
            for name in names {
                if let Some((.., paths)) = all.get_mut(name) {
                    paths.add(path);
                }
            }
        }
        by_region.regions = all
            .into_iter()
            .map(|(name, (begun, unended, paths))| paths.totals(name, begun, unended))
            .collect();
        by_region
    }
}

/// Paths of which no two have one name.
#[derive(Default)]
struct Paths(BTreeMap<(String, String, String), Path>);

impl Paths {
    fn add(&mut self, path: &Path) {
        let key = (
            path.op.to_string(),
            path.object.to_string(),
            path.evidence.to_string(),
        );
        match self.0.get_mut(&key) {
            Some(other) => other.add(path),
            None => {
                let path = Path {
                    by: None,
                    ..path.clone()
                };
                self.0.insert(key, path);
            }
        }
    }

    fn totals(self, name: &str, begun: u64, unended: u64) -> RegionTotals {
        let mut paths: Vec<_> = self.0.into_values().collect();
        paths.sort_by_key(|path| Reverse(path.totals.moved));
        let mut totals = Totals::default();
        for path in &paths {
            totals.add(&path.totals);
        }
        RegionTotals {
            name: name.to_owned(),
            begun,
            unended,
            totals,
            paths,
        }
    }
}

/// The names of the region with a label and of those that it is within.
fn names(regions: &[Region]) -> HashMap<String, BTreeSet<&str>> {
    let by_number: HashMap<_, _> = regions.iter().map(|one| (one.number, one)).collect();
    let labels = region_labels(regions);
    regions
        .iter()
        .filter_map(|region| {
            let label = labels.get(&region.number)?.clone();
            Some((
                label,
                chain(region, &by_number).map(|one| &*one.name).collect(),
            ))
        })
        .collect()
}

/// A region and those that it is within, the innermost first.
fn chain<'a, 'm>(
    region: &'a Region,
    by_number: &'m HashMap<u64, &'a Region>,
) -> impl Iterator<Item = &'a Region> + use<'a, 'm> {
    // A region has a greater number than the one that it is within; what is damaged must end too.
    std::iter::successors(Some(region), |one| {
        by_number
            .get(&one.parent)
            .copied()
            .filter(|parent| parent.number < one.number)
    })
}

/// What rows of each region are split by: its name, behind the names of those that it is within. No two have one label.
#[must_use]
pub fn region_labels(regions: &[Region]) -> HashMap<u64, String> {
    let by_number: HashMap<_, _> = regions.iter().map(|one| (one.number, one)).collect();
    regions
        .iter()
        .map(|region| {
            let mut names: Vec<_> = chain(region, &by_number)
                .map(|one| one.name.replace('\\', "\\\\").replace('>', "\\>"))
                .collect();
            names.reverse();
            let mut label = names.join(" > ");
            if label == NO_REGION || label == OF_WORKERS {
                label.insert(0, '\\');
            }
            (region.number, label)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples;

    fn region(number: u64, parent: u64, name: &str) -> Region {
        Region {
            number,
            parent,
            name: name.into(),
            begun: 2,
            ended: 2,
        }
    }

    #[test]
    fn no_two_regions_have_one_label() {
        let regions = [
            region(1, 0, "a"),
            region(2, 1, "b"),
            region(3, 0, "a > b"),
            region(4, 0, "-"),
            region(5, 0, OF_WORKERS),
            region(6, 0, "\\-"),
        ];
        let labels = region_labels(&regions);
        let different: BTreeSet<_> = labels.values().collect();
        assert_eq!(different.len(), regions.len(), "{labels:?}");
        assert_eq!(labels[&2], "a > b");
        assert!(
            labels
                .values()
                .all(|label| label != NO_REGION && label != OF_WORKERS)
        );
    }

    #[test]
    fn a_region_has_what_happens_within_it() {
        let mut snapshot = samples::normal();
        let paths: Vec<_> = snapshot
            .processes
            .iter_mut()
            .flat_map(|process| &mut process.paths)
            .collect();
        assert!(paths.len() >= 4, "{}", paths.len());
        let moved: Vec<_> = paths.iter().map(|path| path.totals.moved).collect();
        for (path, by) in paths
            .into_iter()
            .zip(["-", "a", "a > b", OF_WORKERS].into_iter().cycle())
        {
            path.by = Some(by.into());
        }
        let of = |start: usize| moved.iter().skip(start).step_by(4).sum::<u64>();
        let regions = [region(1, 0, "a"), region(2, 1, "b"), region(3, 0, "idle")];
        let by_region = ByRegion::of(&snapshot, &regions);
        let sums: Vec<_> = by_region
            .regions
            .iter()
            .map(|region| (&*region.name, region.totals.moved))
            .collect();
        assert_eq!(sums, [("a", of(1) + of(2)), ("b", of(2)), ("idle", 0)]);
        assert_eq!(by_region.outside.moved, of(0));
        assert_eq!(by_region.nameless, 0);
        assert_eq!(by_region.of_workers.moved, of(3));
    }

    #[test]
    fn a_row_of_no_known_region_is_not_outside() {
        let mut snapshot = samples::normal();
        let path = &mut snapshot.processes[0].paths[0];
        path.by = Some("#7".into());
        let moved = path.totals.moved;
        let by_region = ByRegion::of(&snapshot, &[region(1, 0, "a")]);
        assert_eq!(by_region.nameless, 1);
        let all: u64 = snapshot
            .processes
            .iter()
            .flat_map(|process| &process.paths)
            .map(|path| path.totals.moved)
            .sum();
        assert_eq!(by_region.outside.moved, all - moved);
    }

    #[test]
    fn what_is_wrong_with_markers_is_told() {
        assert_eq!(Markers::default().flaw(), None);
        let flawed = Markers {
            malformed: 1,
            refused: 2,
            ..Markers::default()
        };
        let flaw = flawed.flaw().expect("a flaw");
        assert_eq!(
            flaw,
            "lines that are not markers: 1; regions for which there was no room: 2"
        );
    }
}
