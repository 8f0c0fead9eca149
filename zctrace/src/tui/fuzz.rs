//! What the fuzzer in `fuzz/` calls, and a test with the fuzzer's corpus on every toolchain.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{
    Builder,
    moment::sides::Sides,
    rows::views::{Scope, View},
    state::filter::Filter,
};
use crate::ledger::Snapshot;

/// Reads a filter in every view, and asks it about every row of a document.
///
/// # Panics
///
/// When a text can make the filter fail: that is the finding.
pub fn filter(bytes: &[u8], snapshot: &Snapshot) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let moment = Builder::default().build(snapshot, Duration::from_secs(1), Sides::default());
    let scope = Scope {
        whose: None,
        grouped: true,
        results: &BTreeMap::new(),
        folds: &HashMap::new(),
        unfolded: true,
        small: true,
    };
    for view in View::ALL {
        let columns = view.columns();
        let Ok(filter) = Filter::parse(text, columns) else {
            continue;
        };
        let rows = view.rows(&moment, &scope);
        for row in 0..rows.len() {
            let kept = filter.keeps(&*rows, row, columns);
            let not = Filter::Not(Box::new(filter.clone()));
            assert_ne!(not.keeps(&*rows, row, columns), kept, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use crate::ledger::samples;

    #[test]
    fn the_fuzzers_corpus_is_harmless() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/filter");
        let snapshot = samples::normal();
        let count = fs::read_dir(corpus)
            .unwrap()
            .map(|entry| super::filter(&fs::read(entry.unwrap().path()).unwrap(), &snapshot))
            .count();
        assert!(count > 10, "{count}");
    }
}
