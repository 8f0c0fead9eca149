//! What `zctrace advise` says, and whether it comes true.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use zctrace::advise::{
    Advice, Document,
    weigh::{Interval, Verdict},
};

use crate::common::{
    nginx::{BODY, Nginx},
    run,
};

/// Seconds of processor time of a process.
fn cpu_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it lives");
    let ns = text.split(' ').next().expect("a number");
    ns.parse::<f64>().expect("a number") / 1e9
}

/// What a server takes for a GiB of the file.
fn price(server: &Nginx, pid: u32, path: &str) -> f64 {
    const TIMES: u64 = 48;
    let before = cpu_seconds(pid);
    server.throw_away(path, TIMES);
    #[expect(clippy::cast_precision_loss, reason = "some MiB")]
    let gib = (TIMES * BODY) as f64 / (1_u64 << 30) as f64;
    (cpu_seconds(pid) - before) / gib
}

/// Advice about a server while this file is fetched.
fn advised(server: &Nginx, path: &str) -> Document {
    let is_over = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                server.throw_away(path, 4);
            }
        });
        let port = server.port.to_string();
        let output = run(&["advise", "--json", "--port", &port, "--duration", "4s"]);
        is_over.store(true, Relaxed);
        output
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The first advice about a server that copies, which both tests are about.
fn about_copies(server: &Nginx) -> Advice {
    let document = advised(server, "/copied");
    let advice = document.advice.into_iter().next().expect("advice");
    println!("{advice:#?}");
    assert_eq!(advice.instead.as_deref(), Some("sendfile"));
    advice
}

fn server(directory: &Path) -> Option<Nginx> {
    Nginx::start(directory, "sendfile on; keepalive_requests 100000;")
}

#[test]
#[ignore = "needs root and BPF"]
fn a_server_that_copies_is_advised_to_use_sendfile_and_one_that_does_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(server) = server(directory.path()) else {
        return;
    };
    let advice = about_copies(&server);
    assert!((advice.copies_per_byte - 2.0).abs() < 0.05, "{advice:#?}");
    let saving = advice.saving.expect("both were run");
    assert!(
        saving
            .copies_per_byte
            .is_none_or(|saved| (saved - 2.0).abs() < 0.05)
    );
    // With sendfile there is nothing to advise.
    let document = advised(&server, "/body");
    let others = document.advice.iter();
    let others = others.filter(|advice| advice.verdict != Verdict::Stay);
    assert_eq!(others.count(), 0, "{document:#?}");
}

/// This compares processor times, which other work on the machine changes. So it runs only when asked for.
#[test]
#[ignore = "needs root and BPF"]
fn what_sendfile_saves_nginx_is_what_was_advised() {
    if std::env::var_os("ZCTRACE_TEST_TIMES").is_none() {
        println!(
            "SKIP: what_sendfile_saves_nginx_is_what_was_advised: it needs a quiet machine, and ZCTRACE_TEST_TIMES=1"
        );
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let Some(server) = server(directory.path()) else {
        return;
    };
    let advice = about_copies(&server);
    let Interval { low, high } = advice.saving.expect("both were run").cpu_seconds_per_gib;
    let mut within = 0;
    let mut saved = Vec::new();
    for _ in 0..10 {
        let copied = price(&server, advice.pid, "/copied");
        let sent = price(&server, advice.pid, "/body");
        saved.push(copied - sent);
        within += u32::from((low..=high).contains(&(copied - sent)));
    }
    println!("{within} of 10 within {low:.3} to {high:.3}: {saved:.3?}");
    assert!(within >= 9, "{low} to {high}: {saved:?}");
}
