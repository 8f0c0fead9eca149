//! Ways out of the machine on which pages that were sent by reference are copied after the call, and others on which they
//! are not: the ledger equals the truth, and so do the verdicts. The traffic itself sees what happened: a page that is
//! changed after the call arrives as it was, or as it is now.

use crate::common::{assert_conservation, claim, differences, only, ran, strictness, trace_whole};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::Snapshot,
    workload::truth::report::{Outcome, Report},
};

/// Enough for a verdict, and not whole chunks.
const BYTES: u64 = 1_056_768;
/// Nobody copies the pages. The other end copies what `MSG_ZEROCOPY` borrows, whatever the route.
const BY_REFERENCE: [&str; 8] = [
    "sendfile-nogso",
    "splice-nogso",
    "sendfile-twice",
    "splice-twice",
    "sendfile-bridge",
    "splice-bridge",
    "sendfile-queuedwhole",
    "splice-queuedwhole",
];
const COPIED_LATER: [&str; 21] = [
    "zc-nogso",
    "zc-bridge",
    "zc-captured-late",
    "zc-nocsum",
    "sendfile-macvlan",
    "splice-macvlan",
    "zc-macvlan",
    "sendfile-queued",
    "splice-queued",
    "zc-queued",
    "zc-queuedwhole",
    "sendfile-bridgequeued",
    "splice-bridgequeued",
    "zc-bridgequeued",
    "sendfile-wireguard",
    "splice-wireguard",
    "zc-wireguard",
    "sendfile-ipsec",
    "splice-ipsec",
    "zc-ipsec",
    "zc-macsec",
];
/// Packets are segmented first, and the segments do not say whose they are.
const COPIED_FOR_NOBODY: [&str; 4] = [
    "sendfile-nocsum",
    "splice-nocsum",
    "sendfile-macsec",
    "splice-macsec",
];

fn trace(families: &[&str]) -> (Snapshot, Report) {
    let bytes = BYTES.to_string();
    let arguments = [&["--bytes", bytes.as_str()], families].concat();
    let (snapshot, report) = trace_whole(&[], &arguments);
    assert_conservation(&snapshot);
    (snapshot, report)
}

/// The verdict on what one family sent, and the codes of its reasons.
fn verdict(outcome: &Outcome, snapshot: &Snapshot) -> (Verdict, Vec<String>) {
    let (kind, _) = outcome.name.split_once('-').expect("a kind and a route");
    let path = if kind == "zc" { "send.zerocopy" } else { kind };
    let claim = Claim {
        name: outcome.name.clone(),
        max_copies_per_byte: Some(0.02),
        path: Some(path.to_owned()),
        accept_inferred: true,
        ..claim()
    };
    let own = only(snapshot, |process| {
        let mut members = outcome.processes.iter();
        members.any(|member| member.pid == process.pid)
    });
    let judgement = judge(&claim, &own, Circumstances::default());
    let codes = judgement.reasons.into_iter().map(|reason| reason.code);
    (judgement.verdict, codes.collect())
}

/// No PASS where copies were made, and no other verdict where none was made and everything was seen.
fn wrong_verdict(outcome: &Outcome, snapshot: &Snapshot) -> Option<String> {
    let (verdict, codes) = verdict(outcome, snapshot);
    let has = |code: &str| codes.iter().any(|one| one == code);
    let is_by_reference = BY_REFERENCE.contains(&outcome.name.as_str());
    let is_right = match (is_by_reference, snapshot.backend == "functions") {
        (true, true) => verdict == Verdict::Pass,
        // Nothing after the call is seen there.
        (true, false) => verdict != Verdict::Fail,
        (false, true) => {
            verdict == Verdict::Fail && (has("splice-copied-later") || has("zerocopy-copied-later"))
        }
        (false, false) => {
            verdict != Verdict::Pass && (outcome.name.starts_with("zc-") || has("route-may-copy"))
        }
    };
    (!is_right).then(|| format!("{}: {} {codes:?}", outcome.name, verdict.word()))
}

#[test]
#[ignore = "needs root and BPF"]
fn every_route_is_accounted_for_to_the_byte() {
    let (snapshot, report) = trace(&[&BY_REFERENCE[..], &COPIED_LATER].concat());
    let strictness = strictness(&snapshot);
    let mut wrong = Vec::new();
    for outcome in report.traffic.iter().filter(|outcome| ran(outcome)) {
        wrong.extend(differences(outcome, &snapshot.processes, strictness));
        wrong.extend(wrong_verdict(outcome, &snapshot));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Copies that cannot be attributed are in nobody's row, and no claim passes beside them.
#[test]
#[ignore = "needs root and BPF"]
fn copies_of_segments_without_an_owner_are_no_pass() {
    let (snapshot, report) = trace(&COPIED_FOR_NOBODY);
    let mut sent = 0;
    for outcome in report.traffic.iter().filter(|outcome| ran(outcome)) {
        sent += BYTES;
        let (verdict, codes) = verdict(outcome, &snapshot);
        let code = if snapshot.backend == "functions" {
            "unattributed-copies"
        } else {
            "route-may-copy"
        };
        assert_eq!(
            verdict,
            Verdict::Inconclusive,
            "{}: {codes:?}",
            outcome.name
        );
        assert!(
            codes.iter().any(|one| one == code),
            "{}: {codes:?}",
            outcome.name
        );
    }
    let nobodys = snapshot.unattributed.iter();
    let nobodys: u64 = nobodys.map(|work| work.totals.deferred).sum();
    if snapshot.backend == "functions" {
        let deferred = snapshot.total.deferred + nobodys;
        assert!(deferred >= sent, "{:?}", snapshot.unattributed);
    }
}
