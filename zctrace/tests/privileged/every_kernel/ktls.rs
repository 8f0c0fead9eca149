//! Kernel TLS in software: every byte is encrypted and decrypted, whatever else happens to it.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
};

use crate::common::shared;
use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    sendfile::sendfile,
};
use zctrace::{
    ledger::{Process, Totals},
    tracer::Reading,
    workload::{Skip, ktls::connection},
};

const BYTES: usize = 500_000;

#[test]
#[ignore = "needs root and BPF"]
fn every_byte_is_encrypted_and_decrypted() {
    let (mut near, mut far) = match connection() {
        Ok(pair) => pair,
        Err(error) if error.is::<Skip>() => {
            println!("SKIP: every_byte_is_encrypted_and_decrypted: {error}");
            return;
        }
        Err(error) => panic!("{error:#}"),
    };
    let mut file = File::from(memfd_create("ktls", MFdFlags::MFD_CLOEXEC).expect("a file"));
    file.write_all(&[5; BYTES]).expect("writing it");
    file.rewind().expect("its beginning");
    let mut session = shared::session();
    let functions = session.backend() == "functions";
    // The session tries its probes with sends of its own, in this thread.
    let before = session.read().expect("the maps");
    // A thread of a traced process is traced: its receives are the rows of reads.
    let receiver = std::thread::spawn(move || {
        let mut bytes = vec![0; 2 * BYTES];
        far.read_exact(&mut bytes).expect("the bytes");
        bytes
    });
    near.write_all(&[5; BYTES]).expect("sending");
    let mut left = BYTES;
    while left > 0 {
        left -= sendfile(&near, &file, None, left).expect("sendfile");
    }
    assert_eq!(receiver.join().expect("the receiver"), vec![5; 2 * BYTES]);

    let reading = session.read().expect("the maps");
    let own = |reading: &Reading| {
        let mut processes = reading.processes.iter();
        let own = processes.find(|process| process.pid == std::process::id());
        own.cloned()
    };
    let process = &own(&reading).expect("it has rows");
    let before = own(&before);
    let sum = |process: &Process, op: &str| {
        let mut totals = Totals::default();
        for path in process
            .paths
            .iter()
            .filter(|path| path.op == op && path.object.ends_with("tcp"))
        {
            totals.add(&path.totals);
        }
        totals
    };
    let row = |op: &str| {
        let mut totals = sum(process, op);
        if let Some(process) = &before {
            totals.subtract(&sum(process, op));
        }
        assert_eq!(
            totals.moved,
            BYTES as u64 * if op == "recv" { 2 } else { 1 },
            "{op}"
        );
        assert_eq!(totals.moved, totals.explained_and_unexplained(), "{op}");
        totals
    };
    let (sent, sent_file, received) = (row("send"), row("sendfile"), row("recv"));
    let is_claimed = |op: &str| {
        let mut of_op = process.claims.iter().filter(|claimed| claimed.op == op);
        of_op.any(|claimed| claimed.claims.iter().any(|name| name == "tls"))
    };
    if !functions {
        for op in ["send", "sendfile", "recv"] {
            assert!(is_claimed(op), "{op}: {:?}", process.claims);
        }
        // What becomes of the bytes, the call does not tell.
        for totals in [sent, sent_file, received] {
            assert_eq!(totals.unexplained, totals.moved);
        }
        return;
    }
    // Whether plaintext is copied first depends on the cipher's driver.
    assert_eq!(sent.encrypted, sent.moved);
    assert_eq!(sent.copied_from_user + sent.spliced, sent.moved);
    assert_eq!(sent_file.encrypted, sent_file.moved);
    assert_eq!(
        sent_file.spliced + sent_file.copied_in_kernel,
        sent_file.moved
    );
    // Decrypted into the application's pages, or into others and copied.
    assert_eq!(received.encrypted, received.moved);
    assert_eq!(
        received.copied_to_user + received.unexplained,
        received.moved
    );
}
