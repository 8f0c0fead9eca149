//! Every line of the table of claims, on this kernel: the traffic runs once, and each case is judged
//! on the rows of its own processes.

mod common;

use std::process::Command;

use common::{ran, trace_traffic, zctrace};
use zctrace::{
    claims::{
        Circumstances, judge,
        table::{Case, Expected, LINES},
    },
    ledger::Snapshot,
    workload::report::{Outcome, Status},
};

/// Enough for every row of a family to be judged by itself.
const BYTES: &str = "2097152";

/// What of the document is about these processes.
fn only(snapshot: &Snapshot, pids: &[u32]) -> Snapshot {
    let mut snapshot = snapshot.clone();
    snapshot
        .processes
        .retain(|process| pids.contains(&process.pid));
    snapshot
}

fn wrong(case: &Case, snapshot: &Snapshot, outcome: &Outcome) -> Option<String> {
    let expected = case.expected(&snapshot.kernel, &snapshot.backend)?;
    let Expected::Says(verdict, code) = expected else {
        return (outcome.status != Status::Skipped)
            .then(|| format!("{}: the kernel does it after all", case.traffic));
    };
    if !ran(outcome) {
        return None;
    }
    let pids: Vec<_> = outcome
        .processes
        .iter()
        .filter(|member| member.process == case.process)
        .map(|member| member.pid)
        .collect();
    let own = only(snapshot, &pids);
    let judgement = judge(&case.claim(), &own, Circumstances::default());
    let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
    let right = judgement.verdict == verdict && (code.is_empty() || codes.contains(&code));
    (!right).then(|| {
        format!(
            "{} {:?}: {} {codes:?} instead of {} {code}: {:#?}",
            case.traffic,
            case.path,
            judgement.verdict.word(),
            verdict.word(),
            judgement.judged
        )
    })
}

#[test]
#[ignore = "needs root and BPF"]
fn every_line_of_the_table_gets_its_verdict_and_reason() {
    let cases: Vec<_> = LINES.iter().flat_map(|line| line.cases).collect();
    let mut families: Vec<_> = cases.iter().map(|case| case.traffic).collect();
    families.sort_unstable();
    families.dedup();
    let mut arguments = vec!["--bytes", BYTES];
    arguments.extend(&families);
    let (snapshot, report) = trace_traffic(&[], &arguments);
    let mut told = 0;
    let mut lines = Vec::new();
    for case in cases {
        let outcome = report
            .traffic
            .iter()
            .find(|outcome| outcome.name == case.traffic)
            .expect("every family reports");
        if case.expected(&snapshot.kernel, &snapshot.backend).is_some() {
            told += 1;
        }
        lines.extend(wrong(case, &snapshot, outcome));
    }
    if told == 0 {
        println!(
            "SKIP: the table does not know {} with {}",
            snapshot.kernel, snapshot.backend
        );
    }
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

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
