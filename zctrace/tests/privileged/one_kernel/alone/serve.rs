//! Metrics, whatever the backend, are what `stat` counts.

use std::{fs, process::Command};

use crate::common::{
    attached::Attached,
    serve::{await_served, bytes_of, generator, get, serve, sum},
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
