//! Metrics, whatever the backend: they are what `stat` counts, what comes and goes leaves nothing
//! behind, and no privilege is kept.

use std::{collections::BTreeSet, fs, process::Command};

use crate::common::{
    attached::Attached,
    is_emulated,
    serve::{await_served, bytes_of, eventually, generator, get, serve, sum, worker},
};
use zctrace::ledger::Snapshot;

/// The same processes over the same time, counted twice.
#[test]
#[ignore = "needs root and BPF"]
fn it_serves_what_stat_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = "zcserve-same";
    let (_instance, address) = serve(name, &[]);
    let file = dir.path().join("stat.json");
    let path = file.display().to_string();
    let stat = Attached::start(&["stat", "--json", "--no-faults", "--comm", name, "-o", &path]);
    let load = Command::new(generator(dir.path(), name))
        .args(["traffic", "--bytes", "4194304"])
        .args(["sendfile-tcp", "tcp", "pipe", "file-tmpfs", "splice-tcp"])
        .output();
    assert!(load.expect("it starts").status.success());
    assert!(stat.interrupt().status.success());
    let stat: Snapshot =
        serde_json::from_str(&fs::read_to_string(file).expect("a file")).expect("a document");
    let expected = bytes_of(&stat);
    assert!(
        expected.values().sum::<u64>() > 5 * (4 << 20),
        "{expected:#?}"
    );
    await_served(&address, &expected);
    assert_eq!(
        sum(
            &get(&address, "/metrics").1,
            "zctrace_lost_events_total",
            &[]
        ),
        0
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn processes_that_come_and_go_leave_nothing() {
    const ROUNDS: usize = 2;
    // What one process in some hundred does, such as a fault beside a copy, becomes a series when it happens first.
    const RARE: usize = 8;
    let dir = tempfile::tempdir().expect("a directory");
    let worker = worker(dir.path(), "zcserve-many");
    let (instance, address) = serve("zcserve-many", &[]);
    let series = || {
        get(&address, "/metrics")
            .1
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
            .collect::<BTreeSet<_>>()
    };
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", instance.0.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap()
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let many = |count: u32| {
        let script = format!(
            "i=0; while [ $i -lt {count} ]; do {worker} if=/dev/zero of=/dev/null bs=1 count=1 2>/dev/null; i=$((i+1)); done"
        );
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
    };
    let counted = |count: u64| {
        eventually("counted", || {
            let labels = ["op=\"write\"", "object=\"char:mem\"", "zcserve-many"];
            // dd writes once to its output; what it says goes to /dev/null too, in one write or more.
            sum(
                &get(&address, "/metrics").1,
                "zctrace_operations_total",
                &labels,
            ) >= count
        });
    };
    let first = if is_emulated() { 100 } else { 1000 };
    many(first);
    counted(first.into());
    let series_before = series();
    many(9 * first);
    counted(10 * u64::from(first));
    // What grows with processes grows in every round. The code of what is sampled is read once, in any of them.
    let mut done = 10;
    let grown = [(); ROUNDS].map(|()| {
        let before = memory();
        many(9 * first);
        done += 9;
        counted(done * u64::from(first));
        memory().saturating_sub(before)
    });
    let new: Vec<_> = series().difference(&series_before).cloned().collect();
    assert!(new.len() <= RARE, "{new:#?}");
    assert!(grown.iter().any(|kib| *kib < 4096), "KiB: {grown:?}");
    let text = get(&address, "/metrics").1;
    assert_eq!(sum(&text, "zctrace_lost_events_total", &["map_full"]), 0);
}
