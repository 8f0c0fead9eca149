//! Where counting gets hard: very many operations at once.

use crate::common::{assert_conservation, differences, is_emulated, ran, shared, strictness};
use zctrace::ledger::Loss;

/// Ten millions take an emulated processor three minutes; they were exact on each kernel.
fn operations() -> &'static str {
    if is_emulated() { "1000000" } else { "10000000" }
}

#[test]
#[ignore = "needs root and BPF"]
fn no_update_is_lost_among_many() {
    let (snapshot, report) =
        shared::session().trace_traffic(&[], &["many-ops", "--ops", operations()]);
    assert_eq!(snapshot.loss, Loss::default());
    assert_conservation(&snapshot);
    let outcome = &report.traffic[0];
    assert!(ran(outcome));
    let wrong = differences(outcome, &snapshot.processes, strictness(&snapshot));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
