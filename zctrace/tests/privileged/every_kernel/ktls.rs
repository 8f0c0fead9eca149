//! Kernel TLS in software: every byte is encrypted and decrypted, whatever else happens to it.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    net::TcpStream,
    os::fd::AsRawFd as _,
};

use crate::common::shared;
use io_uring::{opcode, types::Fd};
use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    sendfile::sendfile,
};
use zctrace::{
    ledger::{End, Process, Totals},
    tracer::Reading,
    workload::{
        Skip,
        traffic::{
            ktls::connection,
            uring::ring::{Issue, Ring, result},
        },
    },
};

const BYTES: usize = 500_000;

/// Sends [`BYTES`] by io_uring, and returns how many it were.
fn send_by_requests(mut ring: Ring, socket: &TcpStream) -> usize {
    let bytes = vec![5; BYTES];
    let mut sent = 0;
    while sent < BYTES {
        let rest = &bytes[sent..];
        let length = u32::try_from(rest.len()).expect("a length");
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), rest.as_ptr(), length).build();
        // SAFETY: the bytes live until the request has completed, below.
        unsafe { ring.submit(entry, 1) }.expect("a request");
        sent += result(&ring.completion().expect("its completion")).expect("its result");
    }
    sent
}

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
        let mut bytes = vec![0; 3 * BYTES];
        far.read_exact(&mut bytes).expect("the bytes");
        (bytes, far)
    });
    near.write_all(&[5; BYTES]).expect("sending");
    let mut left = BYTES;
    while left > 0 {
        left -= sendfile(&near, &file, None, left).expect("sendfile");
    }
    // A ring of a kernel without io_uring is not there.
    let ring = Ring::new(Issue::Inline).ok();
    let uring = ring.map_or(0, |ring| send_by_requests(ring, &near));
    if uring == 0 {
        near.write_all(&[5; BYTES]).expect("sending");
    }
    let (bytes, mut far) = receiver.join().expect("the receiver");
    assert_eq!(bytes, vec![5; 3 * BYTES]);

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
            .filter(|path| path.op == op && path.object.ends()[1] == End::Tcp)
        {
            totals.add(&path.totals);
        }
        totals
    };
    let times = |op: &str| match op {
        "recv" => 3,
        "send" if uring == 0 => 2,
        _ => 1,
    };
    let row = |op: &str| {
        let mut totals = sum(process, op);
        if let Some(process) = &before {
            totals.subtract(&sum(process, op));
        }
        assert_eq!(totals.moved, BYTES as u64 * times(op), "{op}");
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
        // What becomes of the bytes, the call does not say.
        for totals in [sent, sent_file, received] {
            assert_eq!(totals.unexplained, totals.moved);
        }
        return;
    }
    if uring != 0 {
        let requests = row("uring.send");
        assert_eq!(requests.encrypted, requests.moved);
        assert_eq!(
            requests.copied_from_user + requests.spliced,
            requests.moved,
            "{requests:?}"
        );
        assert_eq!(requests.unexplained + requests.wasted, 0, "{requests:?}");
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
    assert_eq!(received.copied_to_user + received.spliced, received.moved);
    assert_ne!(received.spliced, 0, "the buffer had room for whole records");
    assert_eq!(received.wasted + received.recopied, 0, "{received:?}");

    // Without the site at the cipher, nobody sees where it wrote.
    assert!(session.unplug("tls_rx_one_record"), "it is attached");
    let sender = std::thread::spawn(move || near.write_all(&[5; BYTES]));
    far.read_exact(&mut vec![0; BYTES]).expect("the bytes");
    sender.join().expect("the sender").expect("sending");
    let reading = session.read().expect("the maps");
    assert!(session.plug("tls_rx_one_record"), "it is attached again");
    let mut blind = sum(&own(&reading).expect("it has rows"), "recv");
    blind.subtract(&sum(process, "recv"));
    assert_eq!(blind.moved, BYTES as u64);
    assert_eq!(blind.copied_to_user + blind.unexplained, blind.moved);
    assert_ne!(blind.unexplained, 0, "{blind:?}");
}
