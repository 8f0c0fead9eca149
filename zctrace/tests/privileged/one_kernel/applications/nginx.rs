//! What a real server does.

use crate::common::{
    assert_conservation,
    nginx::{BODY, Nginx},
    shared,
};
use zctrace::ledger::{Process, Snapshot};

/// Responses.
const TIMES: u64 = 8;

/// What the server did while it sent the file [`TIMES`] times.
fn serve(lines: &str) -> Option<Snapshot> {
    let directory = tempfile::tempdir().expect("a directory");
    let (snapshot, server) = shared::session().of_new_processes(|| {
        let server = Nginx::start(directory.path(), lines)?;
        // It was fetched once to see whether it answers.
        server.fetch(TIMES - 1);
        Some(server)
    });
    server?;
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
    // The rest is what a worker reads at its start.
    let bodies: Vec<_> = worker
        .paths
        .iter()
        .filter(|path| path.totals.moved >= TIMES * BODY)
        .collect();
    assert_eq!(bodies.len(), 2, "{:#?}", worker.paths);
    for path in bodies {
        assert_eq!(path.totals.unexplained, 0, "{path:#?}");
    }
}
