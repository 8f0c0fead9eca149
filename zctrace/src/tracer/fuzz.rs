//! What the fuzzer in `fuzz/` calls, and a test with the fuzzer's corpus on every toolchain.

use std::{
    collections::{BTreeMap, HashMap},
    mem::MaybeUninit,
    ptr,
};

use aya::Pod;
use zctrace_common::{By, Counters, Label, Notified, Proc, RequestCounts, RowKey, Sizes};

use super::{Config, Ended, names::text, requests, rows::Collector, tables::Tables};
use crate::ledger::{self, Errno, Errnos, Process, Totals};

/// The dimensions whose values stand for nothing outside of the maps.
const DIMENSIONS: [By; 6] = [
    By::Nothing,
    By::Unnamed,
    By::Thread,
    By::Region,
    By::File,
    By::Connection,
];

/// More slots than this teach nothing.
const SLOTS: u32 = 8;

/// Makes a document of maps with any content, twice, as the programs go on counting between two readings.
///
/// # Panics
///
/// When the content of a map can make the reader fail: that is the finding.
pub fn maps(bytes: &[u8]) {
    let mut raw = Raw(bytes);
    let [dimension, ended, sized, sampled]: [u8; 4] = raw.value();
    let config = Config {
        by: DIMENSIONS[usize::from(dimension) % DIMENSIONS.len()],
        ended: [Ended::Keep, Ended::Forget, Ended::Fold][usize::from(ended) % 3],
        sizes: sized & 1 != 0,
        ..Config::default()
    };
    let mut collector = Collector::new(&config, sampled & 1 != 0);
    for _ in 0..2 {
        let tables = tables(&mut raw);
        let late = vec![(text(&raw.value::<[u8; 16]>()), Totals::default())];
        let (reading, _) = collector.sorted(&tables, late);
        for process in &reading.processes {
            let document = serde_json::to_string(process).expect("a document");
            let again: Process = serde_json::from_str(&document).expect("the same");
            assert_eq!(again.paths.len(), process.paths.len());
        }
    }
}

/// Maps of any content.
fn tables(raw: &mut Raw<'_>) -> Tables {
    let mut tables = Tables {
        processes: BTreeMap::new(),
        pending: BTreeMap::new(),
        samples: BTreeMap::new(),
        other_samples: BTreeMap::new(),
        requests: BTreeMap::new(),
        labels: HashMap::new(),
        rows: Vec::new(),
        errnos: HashMap::new(),
        notified: HashMap::new(),
        devices: HashMap::new(),
        obstacles: HashMap::new(),
        sizes: Vec::new(),
    };
    while !raw.0.is_empty() {
        let [kind, slot]: [u8; 2] = raw.value();
        let slot = u32::from(slot) % SLOTS;
        match kind % 12 {
            0 => {
                let mut process: Proc = raw.value();
                // Others are sought in the filesystem of cgroups.
                process.cgroup &= 1;
                tables.processes.insert(slot, process);
            }
            1 => {
                let mut key: RowKey = raw.value();
                key.proc_slot %= SLOTS;
                let counters: Counters = raw.value();
                tables.rows.push((key, slot, counters));
            }
            2 => drop(tables.pending.insert(slot, raw.value())),
            3 => drop(tables.samples.insert(slot, raw.value())),
            4 => {
                let calls = tables.other_samples.entry(slot).or_default();
                calls.push((raw.value(), raw.value()));
            }
            5 => {
                let counts: RequestCounts = raw.value();
                tables.requests.insert(slot, requests::of(&counts));
            }
            6 => {
                let dimension = raw.value();
                tables.labels.insert(dimension, raw.value::<Label>());
            }
            7 => {
                let errnos: &mut Errnos = tables.errnos.entry(slot).or_default();
                errnos.count(Errno::new(raw.value()), raw.value());
            }
            8 => {
                let counted: Notified = raw.value();
                let notified = ledger::Notified::from(&counted);
                tables.notified.insert(slot, notified);
            }
            9 => {
                let name = text(&raw.value::<[u8; 16]>());
                tables.devices.insert(slot, name);
            }
            10 => {
                let name = text(&raw.value::<[u8; 16]>());
                tables.obstacles.insert(slot, name);
            }
            _ => tables.sizes.push(raw.value::<Sizes>()),
        }
        // What follows belongs to the second reading.
        if kind == u8::MAX {
            break;
        }
    }
    tables
}

/// Bytes to take values from; behind their end are zeros.
struct Raw<'a>(&'a [u8]);

impl Raw<'_> {
    fn value<T: Pod>(&mut self) -> T {
        let mut value = MaybeUninit::<T>::zeroed();
        let (taken, rest) = self.0.split_at(self.0.len().min(size_of::<T>()));
        self.0 = rest;
        // SAFETY: no more than the size of the value is written, and every bit pattern is one of its type.
        unsafe {
            ptr::copy_nonoverlapping(taken.as_ptr(), value.as_mut_ptr().cast(), taken.len());
            value.assume_init()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_fuzzers_corpus_is_harmless() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/maps");
        let files = fs::read_dir(corpus).unwrap();
        let count = files
            .map(|entry| super::maps(&fs::read(entry.unwrap().path()).unwrap()))
            .count();
        assert!(count > 10, "{count}");
    }
}
