//! The regions that a command has marked.

use std::{borrow::Cow, collections::HashMap};

use aya::{
    Ebpf,
    maps::{Array, HashMap as BpfMap, MapData},
};
use zctrace_common::{OF_WORKERS, Region, RegionCounts, RegionKey};

use super::{Error, map};
use crate::ledger::{self, Markers};

/// The pipe that markers are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its inode number.
    pub inode: u64,
    /// Its device, as the kernel numbers it.
    pub device: u32,
}

fn table(ebpf: &mut Ebpf) -> Result<Vec<(RegionKey, Region)>, Error> {
    let regions: BpfMap<&mut MapData, RegionKey, Region> = BpfMap::try_from(map(ebpf, "REGIONS"))?;
    let regions: Result<_, _> = regions.iter().collect();
    Ok(regions?)
}

/// Every region so far, by number, and what was seen of markers.
pub(super) fn read(ebpf: &mut Ebpf) -> Result<(Vec<ledger::Region>, Markers), Error> {
    let table = table(ebpf)?;
    // Two names that cannot be read can look like one.
    let illegible: u64 = table
        .iter()
        .filter(|(key, _)| !is_legible(&key.name))
        .map(|(_, region)| region.begun)
        .sum();
    let counts: Array<_, RegionCounts> = Array::try_from(map(ebpf, "REGION_COUNTS"))?;
    let counts = counts.get(&0, 0)?;
    let markers = Markers {
        malformed: counts.malformed + illegible,
        mismatched: counts.mismatched,
        refused: counts.refused,
        outlived: counts.outlived,
        // What the lines tell, and the rows.
        unseen: 0,
        nameless: 0,
    };
    Ok((by_number(&table), markers))
}

fn by_number(table: &[(RegionKey, Region)]) -> Vec<ledger::Region> {
    let regions = table.iter().map(|(key, region)| ledger::Region {
        number: region.number,
        parent: key.parent.into(),
        name: name(&key.name).into_owned(),
        begun: region.begun,
        ended: region.ended,
    });
    let mut regions: Vec<_> = regions.collect();
    regions.sort_by_key(|region| region.number);
    regions
}

/// The name as it was written, but for the zeros behind it.
fn written(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != 0);
    &name[..end.map_or(0, |last| last + 1)]
}

fn name(name: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(written(name))
}

/// Whether a name is text of one line.
fn is_legible(name: &[u8]) -> bool {
    let is_odd = |character| matches!(character, '\0' | '\n');
    str::from_utf8(written(name)).is_ok_and(|name| !name.contains(is_odd))
}

/// What values of the `--by` dimension stand for.
pub(super) fn labels(ebpf: &mut Ebpf) -> Result<HashMap<u64, String>, Error> {
    let mut labels = ledger::region_labels(&by_number(&table(ebpf)?));
    labels.insert(OF_WORKERS, ledger::OF_WORKERS.to_owned());
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_of_one_line_is_legible() {
        for (bytes, expected, legible) in [
            (&b"a b\0\0"[..], "a b", true),
            ("\u{e4}\u{1b}[31m\0".as_bytes(), "\u{e4}\u{1b}[31m", true),
            (b"a\0b\0", "a\0b", false),
            (b"a\nb\0", "a\nb", false),
            (b"a\xff\0", "a\u{fffd}", false),
        ] {
            assert_eq!(name(bytes), expected);
            assert_eq!(is_legible(bytes), legible, "{expected:?}");
        }
    }
}
