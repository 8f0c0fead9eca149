//! Copies into the receive ring of a packet socket, which no call returns.

use crate::common::{claim, shared};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::Snapshot,
};

const RECEIVED: u64 = 1_056_000;
const TRAFFIC: [&str; 4] = ["--bytes", "1056000", "sendfile-sg", "packet-ring-v3"];

/// The verdict on everything that was sent with `sendfile`, and what stands against it.
fn verdict(snapshot: &Snapshot) -> (Verdict, Vec<String>) {
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("sendfile".to_owned()),
        ..claim()
    };
    let judgement = judge(&claim, snapshot, Circumstances::default());
    let codes = judgement.reasons.into_iter().map(|reason| reason.code);
    (judgement.verdict, codes.collect())
}

fn in_rings(snapshot: &Snapshot) -> u64 {
    let works = snapshot.unattributed.iter();
    works
        .filter(|work| work.thread == "tpacket_rcv")
        .map(|work| work.totals.deferred)
        .sum()
}

/// A ring of the target is a row. One of which nobody is known is a copy that may be the target's.
#[test]
#[ignore = "needs root and BPF"]
fn no_claim_passes_beside_a_ring_that_is_nobodys() {
    let mut session = shared::session();
    let (snapshot, _) = session.trace_traffic(&[], &TRAFFIC);
    if snapshot.backend != "functions" {
        let not_seen = snapshot.coverage.not_seen();
        let is_ring = |name: &str| name == "receive rings of packet sockets";
        assert!(not_seen.iter().any(|one| is_ring(one.name)));
        return;
    }
    assert_eq!(in_rings(&snapshot), 0);
    let (own, codes) = verdict(&snapshot);
    assert_eq!(own, Verdict::Pass, "{codes:?}");

    // Without them nobody is known to have the ring.
    let owners = ["packet_mmap", "packet_poll"];
    for probe in owners {
        assert!(session.unplug(probe), "{probe} is attached");
    }
    let (snapshot, _) = session.trace_traffic(&[], &TRAFFIC);
    for probe in owners {
        assert!(session.plug(probe), "{probe} can be attached again");
    }
    assert_eq!(in_rings(&snapshot), RECEIVED);
    let (foreign, codes) = verdict(&snapshot);
    assert_ne!(foreign, Verdict::Pass, "{codes:?}");
    let is_named = |code: &String| code == "unattributed-copies";
    assert!(codes.iter().any(is_named), "{codes:?}");
}
