//! A real server, attached to by its port.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use nix::sys::socket::{setsockopt, sockopt};
use zctrace::{
    claims::{Document, Verdict},
    ledger::{Process, Snapshot},
};

use crate::common::{
    assert_conservation,
    attached::Attached,
    nginx::{BODY, Nginx, free_port},
};

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

/// What a slow client cannot take yet, a proxy writes into a temporary file and sends from there: every
/// byte is copied twice, whichever way it goes.
#[test]
#[ignore = "needs root and BPF"]
fn a_proxy_that_spills_copies_each_byte_twice() {
    const BYTES: usize = 16 << 20;
    let directory = tempfile::tempdir().expect("a directory");
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let from = upstream.local_addr().expect("an address").port();
    let port = free_port();
    let lines = format!(
        "sendfile on; server {{ listen 127.0.0.1:{port}; location / {{
             proxy_pass http://127.0.0.1:{from}; proxy_buffers 8 64k; proxy_buffer_size 64k;
             proxy_busy_buffers_size 128k; proxy_temp_file_write_size 128k; }} }}"
    );
    let Some(_server) = Nginx::start(directory.path(), &lines) else {
        return;
    };
    let serving = thread::spawn(move || {
        let (mut connection, _) = upstream.accept().expect("the proxy");
        let mut request = BufReader::new(connection.try_clone().expect("a socket"));
        let mut line = String::new();
        while request.read_line(&mut line).expect("a request") > 2 {
            line.clear();
        }
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        connection.write_all(head.as_bytes()).expect("a head");
        connection.write_all(&vec![b'x'; BYTES]).expect("a body");
    });
    let name = port.to_string();
    let check = Attached::start(&[
        "check",
        "--json",
        "--max-copies-per-sent-byte",
        "2.05",
        "--accept-inferred",
        "--port",
        &name,
    ]);
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("nginx listens");
    setsockopt(&client, sockopt::RcvBuf, &(64 << 10)).expect("SO_RCVBUF");
    client
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("a request");
    // Not a byte is taken before the proxy has them all.
    serving.join().expect("a body");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("an answer");
    assert!(answer.len() > BYTES);
    let output = check.interrupt();
    let document: Document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let paths: Vec<_> = document
        .stat
        .processes
        .iter()
        .flat_map(|one| &one.paths)
        .collect();
    let spilled: u64 = paths
        .iter()
        .filter(|path| path.op == "sendfile")
        .map(|path| path.totals.moved)
        .sum();
    assert!(spilled > BYTES as u64 / 2, "{paths:#?}");
    assert!(paths.iter().all(|path| path.by.is_none()), "{paths:#?}");
    assert_eq!(document.verdict, Verdict::Pass, "{:#?}", document.reasons);
}
