//! With a site probe unplugged, exactly its bytes become `unexplained`, and nothing else changes. What each
//! probe is left out for, or why it is not, the catalog says.

use std::{collections::BTreeSet, process::Command};

use zctrace_common::Op;

use crate::common::{differences, ran, shared, zctrace};
use zctrace::{
    catalog::{self, Probe, Proof},
    ledger::{End, Process, Totals},
    tracer::Session,
    workload::truth::{
        compare::Strictness,
        expected::Wanted,
        report::{Outcome, Report},
    },
};

/// Runs one family under the session, whose target is this thread's children.
fn traffic(name: &str) -> Outcome {
    let output = Command::new(zctrace())
        .args(["traffic", "--json", "--bytes", "262175", name])
        .output()
        .expect("the program starts");
    let report: Report = serde_json::from_slice(&output.stdout).expect("a report");
    report.traffic.into_iter().next().expect("one family")
}

/// Those that a site explains.
#[derive(Clone, Copy)]
enum Bytes {
    Of(&'static [Op]),
    Between(Op, [End<'static>; 2]),
}

/// The same truth with the classes of some operations unknown.
fn with_unexplained(mut outcome: Outcome, bytes: Bytes) -> Outcome {
    let rows = &mut outcome.expected.rows;
    for row in rows.iter_mut().filter(|row| match bytes {
        Bytes::Of(ops) => row.op.is(|op| ops.contains(&op)),
        Bytes::Between(op, [source, sink]) => {
            row.op == op && row.object.joined() == Some((source, sink))
        }
    }) {
        let Totals {
            ops, errors, moved, ..
        } = row.totals;
        row.totals = Totals {
            ops,
            errors,
            moved,
            unexplained: moved,
            ..Totals::default()
        };
        // What is not known is no conclusion from a device either.
        row.evidence = Wanted::Any;
    }
    outcome
}

/// The same truth without what was copied later.
fn without_deferred(mut outcome: Outcome) -> Outcome {
    for row in &mut outcome.expected.rows {
        if row.totals.deferred != 0 {
            row.totals.deferred = 0;
            row.evidence = Wanted::Inferred;
        }
    }
    outcome
}

/// What the server of a FUSE filesystem did with `op` while somebody used its files; `None` where
/// there is no FUSE.
fn served(session: &mut Session, op: Op) -> Option<Totals> {
    let before: Vec<u32> = servers(session).iter().map(|server| server.pid).collect();
    if !ran(&traffic("file-fuse")) {
        return None;
    }
    let server = servers(session)
        .into_iter()
        .find(|server| !before.contains(&server.pid))
        .expect("a server that was not there before");
    let row = server
        .paths
        .iter()
        .find(|row| row.op == op && row.object == "char:fuse");
    Some(row.expect("a row of the device").totals)
}

/// What a process of this name mapped of files on ext4.
fn faults_of(session: &mut Session, comm: &str, before: &BTreeSet<u32>) -> Option<Totals> {
    let processes = session.read().expect("the maps").processes;
    let process = processes
        .iter()
        .find(|process| process.comm == comm && !before.contains(&process.pid))?;
    let row = process
        .paths
        .iter()
        .find(|row| row.op == "fault.map" && row.object == "file:ext4");
    row.map(|row| row.totals)
}

/// The processes that the session has seen so far: in a session that is shared, those of other tests too.
fn pids(session: &mut Session) -> BTreeSet<u32> {
    let processes = session.read().expect("the maps").processes;
    processes.iter().map(|process| process.pid).collect()
}

fn servers(session: &mut Session) -> Vec<Process> {
    let mut processes = session.read().expect("the maps").processes;
    processes.retain(|process| process.comm == "zct-fuse-daemon");
    processes
}

/// A probe that is left out, and those that are left out with it.
fn together(probe: &'static Probe) -> Vec<&'static str> {
    let with = catalog::probes().filter(|other| other.proof == Proof::With(probe.name));
    std::iter::once(probe)
        .chain(with)
        .map(|probe| probe.name)
        .collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn an_unplugged_site_makes_its_bytes_unexplained() {
    let mut session = shared::session();
    if session.backend() != "functions" {
        println!(
            "SKIP: an_unplugged_site_makes_its_bytes_unexplained: the {} backend has no sites",
            session.backend()
        );
        return;
    }
    let mut tested = 0;
    let mut wrong = Vec::new();
    let explaining = catalog::probes().flat_map(|probe| {
        let traffic = match probe.proof {
            Proof::Unplugged(traffic) => traffic
                .iter()
                .map(|&(family, ops)| (family, Bytes::Of(ops)))
                .collect(),
            Proof::UnpluggedBetween(family, op, ends) => {
                vec![(family, Bytes::Between(op, ends))]
            }
            _ => Vec::new(),
        };
        traffic
            .into_iter()
            .map(move |(family, bytes)| (probe, family, bytes))
    });
    for (probe, family, bytes) in explaining {
        let mut unplugged = together(probe);
        let site = unplugged.join(" ");
        unplugged.retain(|site| session.unplug(site));
        if unplugged.is_empty() {
            println!("SKIP: unplug {site}: not attached on this kernel");
            continue;
        }
        let outcome = traffic(family);
        if ran(&outcome) {
            let processes = session.read().expect("the maps").processes;
            let expected = with_unexplained(outcome.clone(), bytes);
            let lines = differences(&expected, &processes, Strictness::Measured);
            wrong.extend(
                lines
                    .into_iter()
                    .map(|line| format!("without {site}: {line}")),
            );
            let same = differences(&outcome, &processes, Strictness::Measured);
            if same.is_empty() {
                wrong.push(format!(
                    "without {site}, {family} is explained all the same"
                ));
            }
            tested += 1;
        }
        for site in unplugged {
            assert!(session.plug(site), "{site} can be attached again");
        }
    }
    let later = catalog::probes().filter_map(|probe| match probe.proof {
        Proof::Later(traffic) => Some(traffic.iter().map(move |&family| (probe, family))),
        _ => None,
    });
    for (probe, family) in later.flatten() {
        let unplugged = together(probe);
        let site = unplugged.join(" ");
        for site in &unplugged {
            assert!(session.unplug(site), "{site} is attached");
        }
        let outcome = traffic(family);
        if ran(&outcome) {
            let processes = session.read().expect("the maps").processes;
            let expected = without_deferred(outcome.clone());
            let lines = differences(&expected, &processes, Strictness::Measured);
            wrong.extend(
                lines
                    .into_iter()
                    .map(|line| format!("without {site}: {line}")),
            );
            assert!(
                !differences(&outcome, &processes, Strictness::Measured).is_empty(),
                "without {site}, {family} is the same"
            );
            tested += 1;
        }
        for site in unplugged {
            assert!(session.plug(site), "{site} can be attached again");
        }
    }
    let of_servers = catalog::probes().filter_map(|probe| match probe.proof {
        Proof::Server(op) => Some((probe.name, op)),
        _ => None,
    });
    // How much a server reads and writes for `file-fuse` is its own affair: the rest of its row is held
    // against what its calls reported.
    for (site, op) in of_servers {
        let [with, without] = [true, false].map(|plugged| {
            assert!(plugged || session.unplug(site), "{site} is attached");
            served(&mut session, op)
        });
        let Some((with, without)) = with.zip(without) else {
            println!("SKIP: unplug {site}: no FUSE");
            continue;
        };
        assert!(session.plug(site), "{site} can be attached again");
        assert!(with.moved > 0 && without.moved > 0);
        assert_eq!(with.unexplained, 0, "{site} is there: {with:?}");
        assert_eq!(without.unexplained, without.moved, "without {site}");
        tested += 1;
    }
    // How many pages a fault maps is the kernel's choice: without the site, only the one that was asked for is known.
    if session.unplug("set_pte") {
        let before = pids(&mut session);
        let outcome = traffic("fault-shared");
        if ran(&outcome) {
            let row = faults_of(&mut session, "zct-f-shared", &before);
            assert!(
                row.is_some_and(|row| row.moved > 0),
                "without set_pte: {row:?}"
            );
            assert_eq!(
                row.map(|row| row.unexplained),
                row.map(|row| row.moved),
                "without set_pte"
            );
            tested += 1;
        }
        assert!(session.plug("set_pte"), "set_pte can be attached again");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{tested} sites unplugged");
    assert!(tested > 10, "only {tested} sites");
}
