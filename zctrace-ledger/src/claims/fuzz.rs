//! What the fuzzer in `fuzz/` calls, and a test with the fuzzer's corpus on every toolchain.

use super::{Circumstances, Policy, judge};
use crate::ledger::samples;

/// Reads a policy and judges a document by it.
///
/// # Panics
///
/// When a policy can make a reader fail, or reads otherwise once it has been written: those are the findings.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let Ok(policy) = Policy::parse(text) else {
        return;
    };
    let again = Policy::parse(&policy.text()).expect("what is printed can be read");
    assert_eq!(again.text(), policy.text());
    let snapshot = samples::normal();
    for claim in &policy.claims {
        let _ = judge(claim, &snapshot, Circumstances::recorded(&snapshot));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_fuzzers_corpus_is_harmless() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/policy");
        let entries = fs::read_dir(corpus).unwrap();
        let count = entries
            .map(|entry| super::policy(&fs::read(entry.unwrap().path()).unwrap()))
            .count();
        assert!(count > 10, "{count}");
    }
}
