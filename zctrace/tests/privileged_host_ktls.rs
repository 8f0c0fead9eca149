//! Kernel TLS in software: every byte is encrypted and decrypted, whatever else happens to it.

mod common;

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        sendfile::sendfile,
    },
    unistd::gettid,
};
use zctrace::{
    ledger::Totals,
    tracer::{Config, Session},
};

const BYTES: usize = 500_000;

fn set(socket: &TcpStream, level: i32, name: i32, value: &[u8]) -> nix::Result<()> {
    // SAFETY: the value outlives the call, which only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// A connection under TLS 1.2 with AES-GCM in both directions; the error of a kernel without it, or without the cipher.
fn connection() -> nix::Result<(TcpStream, TcpStream)> {
    const TLS_TX: i32 = 1;
    const TLS_RX: i32 = 2;
    const TLS_1_2: u16 = 0x0303;
    const AES_GCM_128: u16 = 51;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connecting");
    let (far, _) = listener.accept().expect("accepting");
    // Version and cipher; then initialization vector, key, salt and number, the same at both ends.
    let mut keys = Vec::new();
    keys.extend(TLS_1_2.to_ne_bytes());
    keys.extend(AES_GCM_128.to_ne_bytes());
    keys.extend([3; 8 + 16 + 4 + 8]);
    for end in [&near, &far] {
        set(end, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")?;
        for direction in [TLS_TX, TLS_RX] {
            set(end, libc::SOL_TLS, direction, &keys)?;
        }
    }
    Ok((near, far))
}

#[test]
#[ignore = "needs root and BPF"]
fn every_byte_is_encrypted_and_decrypted() {
    let (mut near, mut far) = match connection() {
        Ok(pair) => pair,
        Err(errno) => {
            println!("SKIP: every_byte_is_encrypted_and_decrypted: no kernel TLS: {errno}");
            return;
        }
    };
    let mut file = File::from(memfd_create("ktls", MFdFlags::MFD_CLOEXEC).expect("a file"));
    file.write_all(&[5; BYTES]).expect("writing it");
    file.rewind().expect("its beginning");
    let config = Config {
        tasks: vec![gettid().as_raw().cast_unsigned()],
        ..Config::default()
    };
    let mut session = Session::start(&config).expect("a session");
    let functions = session.backend() == "functions";
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
    let process = &reading.processes[0];
    let row = |op: &str| {
        let mut totals = Totals::default();
        for path in process
            .paths
            .iter()
            .filter(|path| path.op == op && path.object.ends_with("tcp"))
        {
            totals.add(&path.totals);
        }
        assert_eq!(
            totals.moved,
            BYTES as u64 * if op == "read" { 2 } else { 1 },
            "{op}"
        );
        assert_eq!(totals.moved, totals.explained_and_unexplained(), "{op}");
        totals
    };
    let (sent, sent_file, received) = (row("write"), row("sendfile"), row("read"));
    let is_claimed = |op: &str| {
        let mut of_op = process.claims.iter().filter(|claimed| claimed.op == op);
        of_op.any(|claimed| claimed.claims.iter().any(|name| name == "tls"))
    };
    for op in ["write", "sendfile", "read"] {
        assert!(is_claimed(op), "{op}: {:?}", process.claims);
    }
    if !functions {
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
