//! A whole family's truth beside what was measured for its processes.

use crate::ledger::{Coverage, Process};

use super::{
    compare::{Strictness, compare},
    expected::ExpectedRow,
    report::Outcome,
};

/// What a backend with this coverage must know.
#[must_use]
pub fn strictness(backend: &str, coverage: &Coverage) -> Strictness {
    if backend == "functions" {
        return Strictness::Measured;
    }
    let faults = coverage
        .attached
        .iter()
        .any(|probe| probe == "file_fault_exit");
    Strictness::Inferred { faults }
}

/// How one family's truth differs from what was measured, a line each.
#[must_use]
pub fn differences(
    outcome: &Outcome,
    processes: &[Process],
    strictness: Strictness,
) -> Vec<String> {
    let mut lines = Vec::new();
    for member in &outcome.processes {
        let expected = outcome.expected.of_process(&member.process);
        let Some(process) = processes.iter().find(|process| process.pid == member.pid) else {
            let without_faults = strictness == Strictness::Inferred { faults: false };
            let demanded = |row: &ExpectedRow| {
                let nothing = row.totals.is_empty() || row.at_most;
                let unseen = row.needs_functions && strictness != Strictness::Measured;
                !(nothing || unseen || without_faults && row.op.is_fault())
            };
            if expected.iter().any(demanded) {
                lines.push(format!("process {} has no row", member.comm));
            }
            continue;
        };
        for difference in compare(&expected, process, strictness) {
            lines.push(format!("{}: {difference}", member.comm));
        }
    }
    lines
}
