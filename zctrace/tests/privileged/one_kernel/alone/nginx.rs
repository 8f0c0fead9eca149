//! Real servers, attached to by their ports.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::OnceLock,
    thread,
};

use nix::sys::socket::{setsockopt, sockopt};
use zctrace::{
    claims::{Circumstances, Claim, Document, Judgement, Verdict, judge},
    ledger::{Process, Snapshot},
};

use crate::common::{
    assert_conservation,
    attached::Attached,
    claim,
    nginx::{BODY, Nginx, free_port},
    only,
};

/// Responses while it is watched.
const TIMES: u64 = 8;

const SENDFILE: &str = "sendfile on;";
const COPIED: &str = "sendfile off;";
/// Threads that read ahead for sendfile copy nothing of what is cached.
const SENDFILE_WITH_THREADS: &str = "sendfile on; aio threads;";
const THREADS: &str = "sendfile off; aio threads;";
/// `directio` gives sendfile up: past the page cache into a buffer, and copied from there.
const DIRECT: &str = "sendfile on; directio 1m; output_buffers 2 64k;";

/// What servers with these settings did while each sent the file [`TIMES`] times. One `stat` watches them all, because
/// attaching takes longer than they do.
fn watch() -> Option<Vec<(&'static str, Snapshot)>> {
    let all = [SENDFILE, COPIED, SENDFILE_WITH_THREADS, THREADS, DIRECT];
    let directories = all.map(|lines| (lines, tempfile::tempdir().expect("a directory")));
    let mut servers = Vec::new();
    for (lines, directory) in &directories {
        servers.push((*lines, Nginx::start(directory.path(), lines)?));
    }
    let ports: Vec<_> = servers.iter().map(|(_, s)| s.port.to_string()).collect();
    let mut options = vec!["stat", "--json"];
    options.extend(ports.iter().flat_map(|port| ["--port", port]));
    let stat = Attached::start(&options);
    for (_, server) in &servers {
        server.fetch(TIMES);
    }
    let output = stat.interrupt();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let snapshot: Snapshot = serde_json::from_slice(&output.stdout).expect("a stat document");
    assert_conservation(&snapshot);
    let of = |server: &Nginx| {
        let worker = server.worker();
        only(&snapshot, |process| process.pid == worker)
    };
    Some(servers.iter().map(|(lines, s)| (*lines, of(s))).collect())
}

/// The worker of the server with these settings, and what it did.
fn served(lines: &str) -> Option<(&'static Process, &'static Snapshot)> {
    static WATCHED: OnceLock<Option<Vec<(&str, Snapshot)>>> = OnceLock::new();
    let Some(watched) = WATCHED.get_or_init(watch) else {
        println!("SKIP: nginx is not installed");
        return None;
    };
    let (_, snapshot) = watched.iter().find(|(one, _)| *one == lines)?;
    let [worker] = &snapshot.processes[..] else {
        panic!("one worker: {snapshot:#?}");
    };
    assert_eq!(worker.comm, "nginx");
    // The bodies, and heads of a few hundred bytes each.
    let bodies = TIMES * BODY;
    assert!((bodies + 1..bodies + bodies / 1000).contains(&worker.sent));
    Some((worker, snapshot))
}

fn judged(claim: &Claim, snapshot: &Snapshot) -> Judgement {
    judge(claim, snapshot, Circumstances::default())
}

/// What is measured in full passes; what is concluded does not.
fn passes(claim: &Claim, snapshot: &Snapshot) {
    let wanted = if snapshot.backend == "functions" {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    let judgement = judged(claim, snapshot);
    assert_eq!(judgement.verdict, wanted, "{:#?}", judgement.reasons);
}

/// At most so many copies of each byte that is sent.
fn sent_at_most(limit: f64) -> Claim {
    Claim {
        max_copies_per_sent_byte: Some(limit),
        ..claim()
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn with_sendfile_nothing_of_the_file_is_copied() {
    let Some((worker, snapshot)) = served(SENDFILE) else {
        return;
    };
    let paths = worker.paths.iter();
    let sendfile: Vec<_> = paths.filter(|path| path.op == "sendfile").collect();
    assert_eq!(sendfile.len(), 1, "{:#?}", worker.paths);
    let totals = &sendfile[0].totals;
    assert_eq!(totals.moved, TIMES * BODY);
    assert_eq!(totals.spliced, totals.moved);
    assert_eq!(totals.copies(), 0, "{totals:#?}");
    // The heads are written, the requests received.
    let ratio = worker.copies_per_sent_byte.expect("something was sent");
    assert!(ratio < 0.001, "{ratio}");
    passes(&sent_at_most(0.02), snapshot);
}

#[test]
#[ignore = "needs root and BPF"]
fn without_sendfile_every_sent_byte_was_copied_twice() {
    let Some((worker, _)) = served(COPIED) else {
        return;
    };
    let ratio = worker.copies_per_sent_byte.expect("something was sent");
    assert!((1.98..=2.02).contains(&ratio), "{ratio}");
    let unexplained: u64 = worker.paths.iter().map(|p| p.totals.unexplained).sum();
    assert_eq!(unexplained, 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_sendfile_with_threads() {
    let Some((_, snapshot)) = served(SENDFILE_WITH_THREADS) else {
        return;
    };
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("sendfile".to_owned()),
        ..claim()
    };
    passes(&claim, snapshot);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_threads_without_sendfile() {
    let Some((_, snapshot)) = served(THREADS) else {
        return;
    };
    let judgement = judged(&sent_at_most(1.5), snapshot);
    let reasons = &judgement.reasons;
    assert_eq!(judgement.verdict, Verdict::Fail, "{reasons:#?}");
    assert!(reasons.iter().any(|reason| reason.code == "above-limit"));
    let whole = judgement.judged[0].ratio.expect("it sent something");
    assert!((1.98..=2.02).contains(&whole), "{whole}");
}

#[test]
#[ignore = "needs root and BPF"]
fn the_verdict_on_direct_io() {
    let Some((worker, snapshot)) = served(DIRECT) else {
        return;
    };
    let judgement = judged(&sent_at_most(0.02), snapshot);
    assert_eq!(judgement.verdict, Verdict::Fail, "{:#?}", judgement.reasons);
    let sent: u64 = worker
        .paths
        .iter()
        .filter(|path| path.object == "tcp")
        .map(|path| path.totals.copied_from_user)
        .sum();
    assert!(sent >= TIMES * BODY, "{sent}");
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
