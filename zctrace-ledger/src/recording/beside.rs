//! What a recording holds beside the ledger's documents: how large operations were, and how
//! asynchronous requests were issued.

use std::{collections::HashMap, hash::Hash, mem::size_of};

use serde::{Deserialize, Serialize};
use zctrace_common::{Evidence, Op, Sizes};

use super::limits::{Budget, items};
use crate::ledger::{Object, Requests, RowSizes, Snapshot, Ways};

/// Of an interval, or of all of them until one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// How large the operations of a row were.
    pub sizes: Vec<RowSizes>,
    /// Requests, by process and operation.
    pub requests: Vec<Requests>,
}

impl Beside {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut gained = self.clone();
        let places_now = places(&self.sizes, row);
        for before in &earlier.sizes {
            let mut key = row(before);
            if !places_now.contains_key(&key) {
                // It has lost its evidence since (`tracer/evidence.rs`).
                key.4 = Evidence::Inferred;
            }
            if let Some(&place) = places_now.get(&key) {
                let counts = gained.sizes[place].sizes.counts.iter_mut();
                let pairs = counts.zip(before.sizes.counts);
                pairs.for_each(|(count, before)| *count = count.saturating_sub(before));
            }
        }
        let before = places(&earlier.requests, request);
        for requests in &mut gained.requests {
            let before = before.get(&request(requests));
            let ways = before.map(|&before| earlier.requests[before].ways);
            let ways = ways.or_else(|| batches_of_process(&earlier.requests, requests));
            requests.ways = requests.ways.since(ways.unwrap_or_default());
        }
        gained.sizes.retain(|sizes| sizes.sizes != Sizes::ZERO);
        gained
            .requests
            .retain(|requests| requests.ways != Ways::default());
        gained
    }

    /// Adds the next interval.
    pub fn add(&mut self, interval: &Self) {
        let known = places(&self.sizes, row);
        let known: Vec<_> = interval
            .sizes
            .iter()
            .map(|sizes| known.get(&row(sizes)).copied())
            .collect();
        for (sizes, known) in interval.sizes.iter().zip(known) {
            match known {
                Some(known) => {
                    let sums = self.sizes[known].sizes.counts.iter_mut();
                    let pairs = sums.zip(sizes.sizes.counts);
                    pairs.for_each(|(sum, count)| *sum = sum.saturating_add(count));
                }
                None => self.sizes.push(sizes.clone()),
            }
        }
        let known = places(&self.requests, request);
        let known: Vec<_> = interval
            .requests
            .iter()
            .map(|requests| known.get(&request(requests)).copied())
            .collect();
        for (requests, known) in interval.requests.iter().zip(known) {
            match known {
                Some(known) => self.requests[known].ways.add(requests.ways),
                None => self.requests.push(requests.clone()),
            }
        }
    }
}

/// What distinguishes a row from the others.
type Row<'a> = (u32, u64, Op, &'a Object, Evidence, Option<&'a str>);

fn row(sizes: &RowSizes) -> Row<'_> {
    (
        sizes.pid,
        sizes.start_time,
        sizes.op,
        &sizes.object,
        sizes.evidence,
        sizes.by.as_deref(),
    )
}

/// How the requests of the same process were batched. An operation that is new to it has nothing else.
fn batches_of_process(earlier: &[Requests], new: &Requests) -> Option<Ways> {
    if !new.is_of_ring() {
        return None;
    }
    let of_process = |one: &&Requests| {
        (one.pid, one.start_time) == (new.pid, new.start_time) && one.is_of_ring()
    };
    let ways = earlier.iter().find(of_process)?.ways;
    Some(ways.only_batches())
}

const fn request(requests: &Requests) -> (u32, u64, Op) {
    (requests.pid, requests.start_time, requests.op)
}

fn places<'a, T, K: Eq + Hash>(all: &'a [T], key: impl Fn(&'a T) -> K) -> HashMap<K, usize> {
    let places = all.iter().enumerate();
    places.map(|(place, one)| (key(one), place)).collect()
}

/// [`Beside`] of an interval as it stands behind the interval in its frame.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireBeside {
    #[serde(deserialize_with = "items")]
    sizes: Vec<WireSizes>,
    #[serde(deserialize_with = "items")]
    requests: Vec<WireRequests>,
}

/// Sizes of the operations of a row: a bit for each count that is not 0, and those.
#[derive(Debug, Serialize, Deserialize)]
struct WireSizes {
    /// Place of the process in the interval, and of the row in it.
    process: u32,
    row: u32,
    mask: u16,
    #[serde(deserialize_with = "items")]
    counts: Vec<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRequests {
    pid: u32,
    start_time: u64,
    comm: String,
    op: String,
    counts: [u64; 5],
}

impl WireBeside {
    /// Of the interval that `snapshot` is.
    pub(super) fn new(beside: &Beside, snapshot: &Snapshot) -> Self {
        let mut rows = HashMap::new();
        for (process, place) in snapshot.processes.iter().zip(0..) {
            for (path, number) in process.paths.iter().zip(0..) {
                let (Some(op), Some(evidence)) = (path.op.known(), path.evidence.known()) else {
                    continue;
                };
                let key: Row<'_> = (
                    process.pid,
                    process.start_time,
                    op,
                    &path.object,
                    evidence,
                    path.by.as_deref(),
                );
                rows.insert(key, (place, number));
            }
        }
        let sizes = beside.sizes.iter().filter_map(|sizes| {
            // An operation that was counted has its row in the same interval.
            let &(process, number) = rows.get(&row(sizes))?;
            let present = sizes.sizes.counts.iter().enumerate();
            let present = present.filter(|(_, count)| **count != 0);
            Some(WireSizes {
                process,
                row: number,
                mask: present
                    .clone()
                    .fold(0, |mask, (place, _)| mask | 1 << place),
                counts: present.map(|(_, count)| *count).collect(),
            })
        });
        let requests = beside.requests.iter().map(|requests| WireRequests {
            pid: requests.pid,
            start_time: requests.start_time,
            comm: requests.comm.clone(),
            op: requests.op.name().to_owned(),
            counts: requests.ways.issued(),
        });
        Self {
            sizes: sizes.collect(),
            requests: requests.collect(),
        }
    }

    /// `None` where it does not fit the interval, or takes too much.
    pub(super) fn read(self, snapshot: &Snapshot, budget: &mut Budget) -> Option<Beside> {
        let mut beside = Beside::default();
        for wire in self.sizes {
            let process = snapshot.processes.get(wire.process as usize)?;
            let path = process.paths.get(wire.row as usize)?;
            let mut sizes = Sizes::ZERO;
            let mut counts = wire.counts.into_iter();
            for (place, count) in sizes.counts.iter_mut().enumerate() {
                if wire.mask >> place & 1 == 1 {
                    *count = counts.next()?;
                }
            }
            // What a later version knows and this one does not, is not shown.
            let (Some(op), Some(evidence)) = (path.op.known(), path.evidence.known()) else {
                continue;
            };
            let by = path.by.as_ref().map_or(0, String::len);
            budget.take(2 * size_of::<RowSizes>() + path.object.as_str().len() + by)?;
            beside.sizes.push(RowSizes {
                pid: process.pid,
                start_time: process.start_time,
                op,
                object: path.object.clone(),
                evidence,
                by: path.by.clone(),
                sizes,
            });
        }
        for wire in self.requests {
            let Some(op) = Op::of_name(&wire.op) else {
                continue;
            };
            budget.take(2 * size_of::<Requests>())?;
            beside.requests.push(Requests {
                pid: wire.pid,
                start_time: wire.start_time,
                comm: wire.comm,
                op,
                ways: Ways::of_issued(wire.counts),
            });
        }
        Some(beside)
    }
}

/// How the requests of an interval were batched, as it stands behind everything else in the interval's frame: earlier
/// readers take no notice of it. Each process has its [`Ways::batches`] once.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireBatches(#[serde(deserialize_with = "items")] Vec<(u32, u64, [u64; 3])>);

impl WireBatches {
    /// Of the requests of an interval.
    pub(super) fn new(beside: &Beside) -> Self {
        let all = beside.requests.iter();
        let all = all.map(|one| (one.pid, one.start_time, one.ways.batches()));
        let mut all: Vec<_> = all.filter(|(.., batches)| *batches != [0; 3]).collect();
        all.sort_unstable();
        all.dedup_by_key(|(pid, start_time, _)| (*pid, *start_time));
        Self(all)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts them where they belong.
    pub(super) fn read(self, beside: &mut Beside) {
        let all = self.0.into_iter();
        let all: HashMap<_, _> = all
            .map(|(pid, start, batches)| ((pid, start), batches))
            .collect();
        for requests in &mut beside.requests {
            let batches = all.get(&(requests.pid, requests.start_time));
            if let Some(&batches) = batches.filter(|_| requests.is_of_ring()) {
                requests.ways.set_batches(batches);
            }
        }
    }
}
