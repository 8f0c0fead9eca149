//! The ledger equals the truth, to the byte, for every family of traffic.

use crate::common::{assert_conservation, differences, ran, skips, strictness, trace_whole};

#[test]
#[ignore = "needs root and BPF"]
fn every_family_is_accounted_for_to_the_byte() {
    let (snapshot, report) = trace_whole(&[], &["--all"]);
    assert_conservation(&snapshot);
    let strictness = strictness(&snapshot);
    let mut wrong = Vec::new();
    let mut right = 0;
    for outcome in report.traffic.iter().filter(|outcome| ran(outcome)) {
        let lines = differences(outcome, &snapshot.processes, strictness);
        if lines.is_empty() {
            right += 1;
        }
        wrong.extend(lines);
    }
    println!(
        "{} on {}: {right} families right",
        snapshot.backend, snapshot.kernel
    );
    skips::assert_known(&report.traffic);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
