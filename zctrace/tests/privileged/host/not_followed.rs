//! Copies in a call that zctrace does not follow: no row has them, so the samples of where time goes must
//! stand against a PASS.

use crate::common::{run, zctrace};
use zctrace::claims::{Document, Verdict};

/// Judges a program that copies a file, and then reads so many bytes of a key.
fn judge(keys: u64) -> Document {
    let zctrace = zctrace();
    let script =
        "\"$0\" traffic --bytes 4194304 file-tmpfs; [ $1 = 0 ] || \"$0\" traffic --bytes $1 keys";
    let keys = keys.to_string();
    let output = run(&[
        "check",
        "--json",
        "--max-copies-per-byte",
        "1.1",
        "--accept-inferred",
        "--",
        "sh",
        "-c",
        script,
        zctrace.to_str().expect("a path of the build"),
        &keys,
    ]);
    serde_json::from_slice(&output.stderr)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[ignore = "needs root and BPF"]
fn copying_in_a_call_that_is_not_followed_is_no_pass() {
    let document = judge(0);
    assert_eq!(document.verdict, Verdict::Pass, "{:#?}", document.reasons);

    // How much the samples see depends on how fast this machine copies.
    let (document, named) = [29, 31, 33]
        .into_iter()
        .find_map(|shift| {
            let document = judge(1 << shift);
            let mut all = document.stat.processes.iter();
            let named = all.find_map(|process| process.not_followed.first().cloned())?;
            Some((document, named))
        })
        .expect("the report names a call");
    assert_eq!(named.call, "keyctl");
    assert!(named.copy_cpu_seconds > 0.0, "{named:?}");
    let reasons = &document.reasons;
    assert_eq!(document.verdict, Verdict::Inconclusive, "{reasons:#?}");
    let reason = reasons
        .iter()
        .find(|reason| reason.code == "copying-not-followed")
        .expect("the copying is a reason");
    assert!(reason.evidence.contains("keyctl"), "{}", reason.evidence);
}
