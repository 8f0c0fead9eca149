//! Where counting gets hard: very many operations at once.

mod common;

use std::env;

use common::{assert_conservation, differences, ran, strictness, trace_traffic};
use zctrace::ledger::Loss;

/// Ten millions take an emulated processor three minutes; they were exact on each kernel.
fn operations() -> &'static str {
    if env::var_os("ZCTRACE_BIN").is_some() {
        "1000000"
    } else {
        "10000000"
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn no_update_is_lost_among_many() {
    let (snapshot, report) = trace_traffic(&["--no-faults"], &["many-ops", "--ops", operations()]);
    assert_eq!(snapshot.loss, Loss::default());
    assert_conservation(&snapshot);
    let outcome = &report.traffic[0];
    assert!(ran(outcome));
    let wrong = differences(outcome, &snapshot.processes, strictness(&snapshot));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
