//! Verdicts about a real server, attached to by its port.

use crate::common::{
    attached::Attached,
    nginx::{BODY, Nginx},
};
use zctrace::claims::{Document, Verdict};

/// Responses while it is watched.
const TIMES: u64 = 8;

/// The verdict about a server with these lines while it sent the file [`TIMES`] times.
fn verdict(lines: &str, claim: &[&str]) -> Option<Document> {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Nginx::start(directory.path(), lines)?;
    let port = server.port.to_string();
    let options = [&["check", "--json", "--port", &port], claim].concat();
    let check = Attached::start(&options);
    server.fetch(TIMES);
    let output = check.interrupt();
    Some(serde_json::from_slice(&output.stdout).expect("a check document"))
}

fn codes(document: &Document) -> Vec<&str> {
    document.reasons.iter().map(|r| r.code.as_str()).collect()
}

/// What is measured in full passes; what is concluded does not.
fn passes(document: &Document) {
    let wanted = if document.stat.backend == "functions" {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    assert_eq!(document.verdict, wanted, "{:#?}", document.reasons);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_sendfile() {
    let claim = ["--max-copies-per-sent-byte", "0.02"];
    if let Some(document) = verdict("sendfile on;", &claim) {
        passes(&document);
    }
}

/// Threads that read ahead for sendfile copy nothing of what is cached.
#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_sendfile_with_threads() {
    let claim = ["--max-copies-per-byte", "0.02", "--path", "sendfile"];
    if let Some(document) = verdict("sendfile on; aio threads;", &claim) {
        passes(&document);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_threads_without_sendfile() {
    let claim = ["--max-copies-per-sent-byte", "1.5"];
    let Some(document) = verdict("sendfile off; aio threads;", &claim) else {
        return;
    };
    assert_eq!(document.verdict, Verdict::Fail, "{:#?}", document.reasons);
    assert!(codes(&document).contains(&"above-limit"));
    let whole = document.claims[0].judged[0]
        .ratio
        .expect("it sent something");
    assert!((1.98..=2.02).contains(&whole), "{whole}");
}

/// `directio` gives sendfile up: past the page cache into a buffer, and copied from there.
#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_direct_io() {
    let claim = ["--max-copies-per-sent-byte", "0.02"];
    let lines = "sendfile on; directio 1m; output_buffers 2 64k;";
    let Some(document) = verdict(lines, &claim) else {
        return;
    };
    assert_eq!(document.verdict, Verdict::Fail, "{:#?}", document.reasons);
    let rows = document.stat.processes.iter().flat_map(|p| &p.paths);
    let sent: u64 = rows
        .filter(|path| path.object == "tcp")
        .map(|path| path.totals.copied_from_user)
        .sum();
    assert!(sent >= TIMES * BODY, "{sent}");
}
