//! The families of traffic themselves, with nobody watching.

use std::{fs, path::Path};

use crate::common::{ran, run, skips};
use zctrace::workload::truth::report::{Outcome, Report, SCHEMA};

/// What runs that have ended left behind. Another one may be under way.
fn left_over() -> Vec<String> {
    const PREFIX: &str = "zctrace-traffic-";
    let is_over = |name: &str| {
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('.').next());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };

    let entries = fs::read_dir(std::env::temp_dir()).expect("the directory for temporary files");
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| is_over(name))
        .collect()
}

#[test]
#[ignore = "needs root"]
fn every_family_works_and_leaves_nothing_behind() {
    let output = run(&["traffic", "--json", "--all", "--bytes", "100001"]);
    let report: Report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report.schema, SCHEMA);
    let ran: Vec<_> = report
        .traffic
        .iter()
        .filter(|outcome| ran(outcome))
        .collect();
    skips::assert_known(&report.traffic);
    let wrong: Vec<_> = ran.into_iter().flat_map(not_conserved).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(left_over(), [""; 0]);
}

/// Families of whose bytes some are copied or cleared where no probe is: the ledger must say that it does not know.
const COPIED_UNSEEN: [&str; 11] = [
    "sendfile-sysfs-tcp",
    "clone-btrfs",
    "clone-btrfs-inline",
    "clone-overlay",
    "copy-btrfs",
    "file-hugetlbfs",
    "sockmap-pulled",
    "uring-tmpfs",
    "uring-tmpfs-worker",
    "uring-tmpfs-sqpoll",
    "uring-tmpfs-taskwork",
];

/// Every moved byte of the truth is explained by a class, none is unexplained.
fn not_conserved(outcome: &Outcome) -> Vec<String> {
    let may_be_unexplained = COPIED_UNSEEN.contains(&outcome.name.as_str());
    let wrong = outcome.expected.rows.iter().filter(|row| {
        row.totals.explained_and_unexplained() != row.totals.moved
            || row.totals.unexplained != 0 && !may_be_unexplained
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
