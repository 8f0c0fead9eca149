//! A verdict rests on probes: what `zctrace check` says without them.

mod common;

use std::process::Command;

use common::zctrace;
use zctrace::claims::{Document, Verdict};

/// Bytes of a case.
const BYTES: &str = "2097152";

/// `zctrace check` of a server's sendfile.
fn check(options: &[&str]) -> Document {
    let output = Command::new(zctrace())
        .args([
            "check",
            "--json",
            "--max-copies-per-byte",
            "0.02",
            "--path",
            "sendfile",
        ])
        .args(options)
        .arg("--")
        .arg(zctrace())
        .args(["traffic", "--bytes", BYTES, "sendfile-tcp"])
        .output()
        .expect("the program starts");
    // A traced command has standard output for itself.
    let document: Document = serde_json::from_slice(&output.stderr)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let code = if document.verdict == Verdict::Pass {
        0
    } else {
        3
    };
    assert_eq!(output.status.code(), Some(code), "{:#?}", document.reasons);
    document
}

#[test]
#[ignore = "needs root and BPF"]
fn a_missing_probe_takes_the_verdict_of_a_pass_away() {
    let whole = check(&[]);
    let expected = match whole.stat.backend.as_str() {
        "functions" => Verdict::Pass,
        _ => Verdict::Inconclusive,
    };
    assert_eq!(whole.verdict, expected);
    for probe in ["skb_copy_ubufs", "tcp_sendmsg_locked", "filemap_read"] {
        let without = check(&["--without-probe", probe]);
        assert_eq!(without.verdict, Verdict::Inconclusive, "{probe}");
    }
}
