//! The ledger of io_uring and Linux AIO equals the truth.

use crate::common::{assert_conservation, differences, ran, skips, strictness, trace_whole};

#[test]
#[ignore = "needs root and BPF"]
fn every_request_is_accounted_for_to_the_byte() {
    let (snapshot, report) = trace_whole(&[], &["requests", "--bytes", "262368"]);
    assert_conservation(&snapshot);
    let strictness = strictness(&snapshot);
    let ran: Vec<_> = report.traffic.iter().filter(|one| ran(one)).collect();
    skips::assert_known(&report.traffic);
    let wrong: Vec<_> = ran
        .iter()
        .flat_map(|outcome| differences(outcome, &snapshot.processes, strictness))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let members = || ran.iter().flat_map(|outcome| &outcome.processes);
    for process in &snapshot.processes {
        let open = process.in_flight;
        if members().any(|member| member.pid == process.pid) {
            assert_eq!(open, 0, "{}: requests are open at the end", process.comm);
        }
    }
}
