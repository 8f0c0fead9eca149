//! A verdict rests on probes: what `zctrace check` says without them.

mod common;

use std::process::Command;

use common::{trace_traffic, zctrace};

/// Bytes of a case.
const BYTES: &str = "2097152";

/// `zctrace check` of a server's sendfile, and the exit code.
fn check(options: &[&str]) -> Option<i32> {
    let output = Command::new(zctrace())
        .args([
            "check",
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
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.code()
}

#[test]
#[ignore = "needs root and BPF"]
fn a_missing_probe_takes_the_verdict_of_a_pass_away() {
    let (snapshot, _) = trace_traffic(&[], &["demo-pipe"]);
    let functions = snapshot.backend == "functions";
    assert_eq!(check(&[]), Some(if functions { 0 } else { 3 }));
    for probe in ["skb_copy_ubufs", "tcp_sendmsg_locked", "filemap_read"] {
        assert_eq!(check(&["--without-probe", probe]), Some(3), "{probe}");
    }
}
