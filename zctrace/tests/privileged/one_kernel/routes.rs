//! Ways out of the machine on which pages that were sent by reference are copied after the call, and others on which they
//! are not: the ledger equals the truth, and so do the verdicts. The traffic itself sees what happened: a page that is
//! changed after the call arrives as it was, or as it is now.

use std::process::Command;

use crate::common::{
    assert_conservation, claim, differences, only, ran, shared, strictness, trace_whole, zctrace,
};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::Snapshot,
    tracer::{Config, Session},
    workload::truth::report::{Outcome, Report},
};

/// Enough for a verdict, and not whole chunks.
const BYTES: u64 = 1_056_768;
/// Nobody copies the pages. The other end copies what `MSG_ZEROCOPY` borrows, whatever the route.
const BY_REFERENCE: [&str; 10] = [
    "sendfile-nogso",
    "splice-nogso",
    "sendfile-twice",
    "splice-twice",
    "sendfile-bridge",
    "splice-bridge",
    "sendfile-queuedwhole",
    "splice-queuedwhole",
    "sendfile-relaywhole",
    "splice-relaywhole",
];
const COPIED_LATER: [&str; 25] = [
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
    "zc-fragmented",
    "zc-xdp",
    "zc-relay",
    "zc-relaywhole",
];
/// Packets are segmented first, and most segments do not say whose they are; or they have left their socket.
const COPIED_FOR_NOBODY: [&str; 8] = [
    "sendfile-nocsum",
    "splice-nocsum",
    "sendfile-macsec",
    "splice-macsec",
    "sendfile-xdp",
    "splice-xdp",
    "sendfile-relay",
    "splice-relay",
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
    judged(&claim, outcome, snapshot)
}

/// The verdict of a claim on what one family's processes did, and the codes of its reasons.
fn judged(claim: &Claim, outcome: &Outcome, snapshot: &Snapshot) -> (Verdict, Vec<String>) {
    let own = only(snapshot, |process| {
        let mut members = outcome.processes.iter();
        members.any(|member| member.pid == process.pid)
    });
    let judgement = judge(claim, &own, Circumstances::default());
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

/// A packet that fits is not cut into fragments, and its pages are not copied: the last ones of some sends.
#[test]
#[ignore = "needs root and BPF"]
fn what_goes_in_fragments_is_copied_but_for_packets_that_fit() {
    const FIT: u64 = BYTES / 100;
    let (snapshot, report) = trace(&["sendfile-fragmented", "splice-fragmented"]);
    for outcome in report.traffic.iter().filter(|outcome| ran(outcome)) {
        let wrong = wrong_verdict(outcome, &snapshot);
        assert!(wrong.is_none(), "{wrong:?}");
        let mut processes = snapshot.processes.iter();
        let sender = processes.find(|one| outcome.processes.iter().any(|own| own.pid == one.pid));
        let total = sender.expect("the sender").total;
        if snapshot.backend == "functions" {
            assert!(total.deferred >= BYTES - FIT, "{}: {total:?}", outcome.name);
        }
    }
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
        assert_ne!(verdict, Verdict::Pass, "{}: {codes:?}", outcome.name);
        let is_said = |one: &String| one == code || one == "splice-copied-later";
        assert!(codes.iter().any(is_said), "{}: {codes:?}", outcome.name);
    }
    let nobodys = snapshot.unattributed.iter();
    let nobodys: u64 = nobodys.map(|work| work.totals.deferred).sum();
    if snapshot.backend == "functions" {
        let deferred = snapshot.total.deferred + nobodys;
        assert!(deferred >= sent, "{:?}", snapshot.unattributed);
    }
}

/// What an ordinary send copied is copied again on these ways. Nobody knows whose bytes they are, and no claim to have
/// copied once passes beside them.
#[test]
#[ignore = "needs root and BPF"]
fn what_is_copied_twice_is_not_said_to_be_copied_once() {
    let once = Claim {
        max_copies_per_sent_byte: Some(1.05),
        path: Some("send".to_owned()),
        accept_inferred: true,
        ..claim()
    };
    let (snapshot, report) = trace(&["send-sg"]);
    let [outcome] = &report.traffic[..] else {
        panic!("one outcome: {report:?}");
    };
    if snapshot.backend != "functions" {
        return println!("SKIP: what is copied after a call is not seen with tracepoints");
    }
    assert_eq!(judged(&once, outcome, &snapshot), (Verdict::Pass, vec![]));
    for family in ["send-nosg", "send-wireguard", "send-fragmented"] {
        let (snapshot, report) = trace(&[family]);
        for outcome in report.traffic.iter().filter(|outcome| ran(outcome)) {
            let again = snapshot
                .unattributed
                .iter()
                .find(|work| work.thread == "sent_again");
            let again = again.map_or(0, |work| work.totals.deferred);
            assert!(again >= BYTES, "{family}: {:?}", snapshot.unattributed);
            let (verdict, codes) = judged(&once, outcome, &snapshot);
            assert_eq!(verdict, Verdict::Inconclusive, "{family}: {codes:?}");
            let named = codes.iter().any(|code| code == "unattributed-copies");
            assert!(named, "{family}: {codes:?}");
        }
    }
}

/// A socket on which no send of the target is known: its copies are not thrown away, because they may be the target's.
#[test]
#[ignore = "needs root and BPF"]
fn copies_of_packets_of_an_unknown_sender_are_told() {
    shared::end();
    let mut waits = Command::new("sleep").arg("600").spawn().expect("sleep");
    let config = Config {
        tasks: vec![waits.id()],
        ..Config::default()
    };
    let mut session = Session::start(&config).expect("a session");
    let bytes = BYTES.to_string();
    let sent = Command::new(zctrace())
        .args(["traffic", "--json", "--bytes", &bytes, "sendfile-nosg"])
        .output()
        .expect("traffic");
    let reading = session.read().expect("the maps");
    waits.kill().expect("it still waits");
    waits.wait().expect("it has ended");
    let report: Report = serde_json::from_slice(&sent.stdout).expect("a report");
    if session.backend() != "functions" {
        return println!("SKIP: what is copied after a call is not seen with tracepoints");
    }
    assert_eq!(reading.total.moved, 0);
    if report.traffic.iter().any(ran) {
        let unknown = reading.unattributed.iter();
        let unknown: u64 = unknown
            .filter(|work| work.thread == "unknown_sender")
            .map(|work| work.totals.deferred)
            .sum();
        assert!(unknown >= BYTES, "{:?}", reading.unattributed);
    }
}
