//! The ledger beside the truth, to the byte, for every family of traffic.

use std::{fs, process::Command};

use zctrace::{
    ledger::Process,
    tracer::{Config, Reading, Session},
    workload::{
        Strictness, compare,
        report::{Outcome, Report, SCHEMA, Status},
    },
};

/// Families that this kernel must not skip are none; but where nothing runs nothing is tested.
const MOST_SKIPPED: usize = 20;

fn traffic(arguments: &[&str]) -> Report {
    let output = Command::new(env!("CARGO_BIN_EXE_zctrace"))
        .args(["traffic", "--json"])
        .args(arguments)
        .output()
        .expect("zctrace runs");
    let report: Report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report.schema, SCHEMA);
    report
}

#[test]
#[ignore = "root"]
fn every_family_works_and_leaves_nothing_behind() {
    let report = traffic(&["--all", "--bytes", "100001"]);
    let mut wrong = Vec::new();
    for outcome in &report.traffic {
        match (outcome.status, &outcome.reason) {
            (Status::Ok, _) => wrong.extend(not_conserved(outcome)),
            (Status::Skipped, reason) => println!("{}: not here: {reason:?}", outcome.name),
            (Status::Failed, reason) => wrong.push(format!("{}: {reason:?}", outcome.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let skipped = |outcome: &&Outcome| outcome.status == Status::Skipped;
    assert!(report.traffic.iter().filter(skipped).count() <= MOST_SKIPPED);

    let left: Vec<_> = fs::read_dir(std::env::temp_dir())
        .expect("the directory for temporary files")
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with("zctrace-traffic-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Every moved byte of the truth is explained by a class, none is unexplained.
fn not_conserved(outcome: &Outcome) -> Vec<String> {
    let wrong = outcome.expected.rows.iter().filter(|row| {
        row.totals.explained_and_unexplained() != row.totals.moved || row.totals.unexplained != 0
    });
    wrong
        .map(|row| {
            format!(
                "{}: {} {} does not add up",
                outcome.name, row.op, row.object
            )
        })
        .collect()
}

#[test]
#[ignore = "root"]
fn the_ledger_is_the_truth() {
    let config = Config {
        tasks: vec![nix::unistd::gettid().as_raw().cast_unsigned()],
        ..Config::default()
    };
    let mut session = Session::start(&config).expect("something can be traced");
    let strictness = strictness(&session);
    println!("backend: {}, {strictness:?}", session.backend());
    let report = traffic(&["--all"]);
    let reading = session.read().expect("the maps can be read");
    println!("{:?}", reading.loss);

    let mut wrong = Vec::new();
    for outcome in &report.traffic {
        match outcome.status {
            Status::Ok => wrong.extend(differences(outcome, &reading, strictness)),
            _ => println!("{}: not here: {:?}", outcome.name, outcome.reason),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn strictness(session: &Session) -> Strictness {
    if session.backend() == "functions" {
        return Strictness::Measured;
    }
    let refused = &session.coverage().refused;
    let faults = !refused.iter().any(|refused| refused.lost.contains("fault"));
    Strictness::Inferred { faults }
}

fn differences(outcome: &Outcome, reading: &Reading, strictness: Strictness) -> Vec<String> {
    let mut wrong = Vec::new();
    for member in &outcome.processes {
        let rows = outcome.expected.of_process(&member.process);
        let nothing = nobody(member.pid);
        let process = reading
            .processes
            .iter()
            .find(|process| process.pid == member.pid)
            .unwrap_or(&nothing);
        for difference in compare(&rows, process, strictness) {
            wrong.push(format!("{} ({}): {difference}", outcome.name, member.comm));
        }
    }
    wrong
}

/// A process that did nothing has no row of its own.
fn nobody(pid: u32) -> Process {
    Process {
        pid,
        start_time: 0,
        comm: String::new(),
        cgroup: String::new(),
        total: zctrace::ledger::Totals::default(),
        sent: 0,
        received: 0,
        copies_per_sent_byte: None,
        copies_per_received_byte: None,
        pending: 0,
        in_flight: 0,
        paths: Vec::new(),
    }
}
