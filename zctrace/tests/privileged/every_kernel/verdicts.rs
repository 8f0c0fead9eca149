//! Every line of the table of claims, on this kernel: the traffic runs once, and each case is judged
//! on the rows of its own processes.

use std::env;

use crate::common::{only, ran, trace_whole};
use zctrace::{
    claims::{
        Circumstances, Verdict, judge,
        table::{Case, Expected, LINES},
    },
    ledger::Snapshot,
    workload::{
        scene::block_device::SCRATCH_DISKS,
        truth::report::{Outcome, Status},
    },
};

/// Enough for every row of a family to be judged by itself.
const BYTES: &str = "2097152";

/// Whether the kernel told the sender by itself what only functions show: that a device without
/// scatter-gather had its pages copied. On tracepoints the verdict follows that, and the kernel does
/// so in some runs only.
fn is_notified(case: &Case, own: &Snapshot) -> bool {
    let mut claimed = own.processes.iter().flat_map(|process| &process.claims);
    own.backend == "tracepoints"
        && case.traffic == "zc-tcp-nosg"
        && claimed.any(|claimed| {
            claimed
                .claims
                .iter()
                .any(|name| name == "copied_notification")
        })
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
    let own = only(snapshot, |process| pids.contains(&process.pid));
    let (verdict, code) = if is_notified(case, &own) {
        (Verdict::Fail, "zerocopy-copied-later")
    } else {
        (verdict, code)
    };
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
    let (snapshot, report) = trace_whole(&[(SCRATCH_DISKS, None)], &arguments);
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

/// What the table has for a loop device, on a disk.
#[test]
#[ignore = "needs root and BPF"]
fn direct_reads_of_a_disk_pass() {
    if env::var_os(SCRATCH_DISKS).is_none() {
        println!("SKIP: no disk may be overwritten here ({SCRATCH_DISKS})");
        return;
    }
    let (snapshot, report) = trace_whole(&[], &["--bytes", BYTES, "direct-ext4"]);
    assert!(ran(&report.traffic[0]));
    let case = LINES
        .iter()
        .flat_map(|line| line.cases)
        .find(|case| case.traffic == "direct-ext4")
        .expect("a line of the table");
    let judgement = judge(&case.claim(), &snapshot, Circumstances::default());
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
}
