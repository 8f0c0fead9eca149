//! Verdicts about a real server.

use crate::common::{
    claim,
    nginx::{BODY, Nginx},
    only, shared,
};
use zctrace::{
    claims::{Circumstances, Claim, Judgement, Verdict, judge},
    ledger::Snapshot,
};

/// Responses.
const TIMES: u64 = 8;

/// The verdict about a server with these lines that sent the file [`TIMES`] times, and what it rests
/// on.
fn verdict(lines: &str, claim: &Claim) -> Option<(Judgement, Snapshot)> {
    let directory = tempfile::tempdir().expect("a directory");
    let (snapshot, server) = shared::session().of_new_processes(|| {
        let server = Nginx::start(directory.path(), lines)?;
        // It was fetched once to see whether it answers.
        server.fetch(TIMES - 1);
        Some(server)
    });
    server?;
    let snapshot = only(&snapshot, |process| process.comm == "nginx");
    Some((judge(claim, &snapshot, Circumstances::default()), snapshot))
}

fn codes(judgement: &Judgement) -> Vec<&str> {
    judgement.reasons.iter().map(|r| r.code.as_str()).collect()
}

/// What is measured in full passes; what is concluded does not.
fn passes(judgement: &Judgement, snapshot: &Snapshot) {
    let wanted = if snapshot.backend == "functions" {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    assert_eq!(judgement.verdict, wanted, "{:#?}", judgement.reasons);
}

/// At most so many copies per byte that was sent.
fn per_sent_byte(limit: f64) -> Claim {
    Claim {
        max_copies_per_sent_byte: Some(limit),
        ..claim()
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_sendfile() {
    if let Some((judgement, snapshot)) = verdict("sendfile on;", &per_sent_byte(0.02)) {
        passes(&judgement, &snapshot);
    }
}

/// Threads that read ahead for sendfile copy nothing of what is cached.
#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_sendfile_with_threads() {
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("sendfile".into()),
        ..claim()
    };
    if let Some((judgement, snapshot)) = verdict("sendfile on; aio threads;", &claim) {
        passes(&judgement, &snapshot);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_threads_without_sendfile() {
    let Some((judgement, _)) = verdict("sendfile off; aio threads;", &per_sent_byte(1.5)) else {
        return;
    };
    assert_eq!(judgement.verdict, Verdict::Fail, "{:#?}", judgement.reasons);
    assert!(codes(&judgement).contains(&"above-limit"));
    let whole = judgement.judged[0].ratio.expect("it sent something");
    assert!((1.98..=2.02).contains(&whole), "{whole}");
}

/// `directio` gives sendfile up: past the page cache into a buffer, and copied from there.
#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_direct_io() {
    let lines = "sendfile on; directio 1m; output_buffers 2 64k;";
    let Some((judgement, snapshot)) = verdict(lines, &per_sent_byte(0.02)) else {
        return;
    };
    assert_eq!(judgement.verdict, Verdict::Fail, "{:#?}", judgement.reasons);
    let rows = snapshot.processes.iter().flat_map(|p| &p.paths);
    let sent: u64 = rows
        .filter(|path| path.object == "tcp")
        .map(|path| path.totals.copied_from_user)
        .sum();
    assert!(sent >= TIMES * BODY, "{sent}");
}
