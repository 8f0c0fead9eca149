//! A real server, attached to by its port.

use crate::common::{
    assert_conservation,
    attached::Attached,
    nginx::{BODY, Nginx},
};
use zctrace::ledger::{Process, Snapshot};

/// Responses while it is watched.
const TIMES: u64 = 8;

/// What the server did while it sent the file [`TIMES`] times.
fn serve(lines: &str) -> Option<Snapshot> {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Nginx::start(directory.path(), lines)?;
    let port = server.port.to_string();
    let stat = Attached::start(&["stat", "--json", "--port", &port]);
    server.fetch(TIMES);
    let output = stat.interrupt();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let snapshot: Snapshot = serde_json::from_slice(&output.stdout).expect("a stat document");
    assert_conservation(&snapshot);
    Some(snapshot)
}

/// The process that sent the bodies: the worker.
fn worker(snapshot: &Snapshot) -> &Process {
    let senders: Vec<_> = snapshot.processes.iter().filter(|p| p.sent > 0).collect();
    assert_eq!(senders.len(), 1, "{snapshot:#?}");
    assert_eq!(senders[0].comm, "nginx");
    // The bodies, and heads of a few hundred bytes each.
    let bodies = TIMES * BODY;
    assert!((bodies + 1..bodies + bodies / 1000).contains(&senders[0].sent));
    senders[0]
}

#[test]
#[ignore = "needs root and BPF"]
fn with_sendfile_nothing_of_the_file_is_copied() {
    let Some(snapshot) = serve("sendfile on;") else {
        return;
    };
    let worker = worker(&snapshot);
    let sendfile: Vec<_> = worker
        .paths
        .iter()
        .filter(|path| path.op == "sendfile")
        .collect();
    assert_eq!(sendfile.len(), 1, "{:#?}", worker.paths);
    let totals = &sendfile[0].totals;
    assert_eq!(totals.moved, TIMES * BODY);
    assert_eq!(totals.spliced, totals.moved);
    assert_eq!(totals.copies(), 0, "{totals:#?}");
    // The heads are written, the requests received.
    let ratio = worker.copies_per_sent_byte.expect("something was sent");
    assert!(ratio < 0.001, "{ratio}");
}

#[test]
#[ignore = "needs root and BPF"]
fn without_sendfile_every_sent_byte_was_copied_twice() {
    let Some(snapshot) = serve("sendfile off;") else {
        return;
    };
    let worker = worker(&snapshot);
    let ratio = worker.copies_per_sent_byte.expect("something was sent");
    assert!((1.98..=2.02).contains(&ratio), "{ratio}");
    let unexplained: u64 = worker.paths.iter().map(|p| p.totals.unexplained).sum();
    assert_eq!(unexplained, 0);
}
