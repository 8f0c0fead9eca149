//! What `sendfile` has passed to a socket that still has it when the sender, or the measurement, ends.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use crate::common::{claim, send_and_end, shared};
use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        sendfile::sendfile,
        socket::{setsockopt, sockopt},
    },
    unistd::Pid,
};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::{Process, Snapshot},
    workload::{
        Skip,
        scene::{route::Route, veth::Veth},
    },
};

const BYTES: usize = 2 << 20;

/// A new process sends a file, closes the socket and ends.
fn send_file_and_end(near: TcpStream) -> nix::Result<Pid> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&vec![7; BYTES]).expect("room");
    file.seek(SeekFrom::Start(0)).expect("a file");
    setsockopt(&near, sockopt::SndBufForce, &(16 << 20))?;
    Ok(send_and_end(near, |near| send_all(near, &file)))
}

fn send_all(near: &TcpStream, file: &File) -> nix::Result<()> {
    let mut sent = 0;
    while sent < BYTES {
        sent += sendfile(near, file, None, BYTES - sent)?;
    }
    Ok(())
}

fn receive_all(mut far: TcpStream) -> thread::JoinHandle<usize> {
    thread::spawn(move || far.read_to_end(&mut Vec::new()).expect("the bytes"))
}

fn process(snapshot: &Snapshot, pid: Pid) -> &Process {
    let mut processes = snapshot.processes.iter();
    let process = processes.find(|process| process.pid == pid.as_raw().cast_unsigned());
    process.expect("the sender")
}

/// A receiver that does not read: what `sendfile` has passed to the socket may still be copied at the end, and the sender
/// is not forgotten, although it has ended. Once everything is received, the same bytes are a PASS.
#[test]
#[ignore = "needs root and BPF"]
fn a_file_that_is_still_in_the_socket_is_no_pass() {
    let mut session = shared::session();
    if session.backend() != "functions" {
        println!("SKIP: what a socket still has is not known with tracepoints");
        return;
    }
    for reads in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        if !reads {
            setsockopt(&listener, sockopt::RcvBuf, &8192).expect("SO_RCVBUF");
        }
        let near =
            TcpStream::connect(listener.local_addr().expect("an address")).expect("connecting");
        let (far, _) = listener.accept().expect("accepting");
        let (snapshot, (sender, receiver)) = session.trace_new_processes(|| {
            let sender = send_file_and_end(near).expect("a sender");
            // Until then: a receiver that closes would throw the bytes away.
            let far = if reads {
                Ok(receive_all(far))
            } else {
                Err(far)
            };
            (sender, far)
        });
        if let Ok(receiver) = receiver {
            assert_eq!(receiver.join().expect("a receiver"), BYTES);
        }
        let pending = process(&snapshot, sender).pending;
        let claim = Claim {
            max_copies_per_byte: Some(0.5),
            path: Some("sendfile".to_owned()),
            ..claim()
        };
        let judgement = judge(&claim, &snapshot, Circumstances::default());
        let codes: Vec<_> = judgement.reasons.iter().map(|r| r.code.as_str()).collect();
        if reads {
            assert_eq!(
                (judgement.verdict, pending),
                (Verdict::Pass, 0),
                "{codes:?}"
            );
        } else {
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{codes:?}");
            assert!(codes.contains(&"zerocopy-pending"), "{codes:?}");
            assert!(pending > BYTES as u64 / 2, "{pending}");
        }
    }
}

/// A process sends over a device that holds packets back and does not gather pages, and ends before they leave. Until
/// this returns, they have arrived.
fn held_back() -> anyhow::Result<(Pid, Veth)> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let (veth, listener) = Veth::apart(Route::Held)?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    let sender = send_file_and_end(near)?;
    assert_eq!(receive_all(far).join().expect("a receiver"), BYTES);
    Ok((sender, veth))
}

/// What is copied of a file after its sender has ended is the sender's.
#[test]
#[ignore = "needs root and BPF"]
fn what_is_copied_of_a_file_after_its_senders_end_is_the_senders() {
    let mut session = shared::session();
    if session.backend() != "functions" {
        println!("SKIP: what is copied after a call is not seen with tracepoints");
        return;
    }
    let (snapshot, sent) = session.trace_new_processes(|| {
        let sender = thread::spawn(held_back);
        sender.join().expect("a sender")
    });
    let (sender, _veth) = match sent {
        Ok(sent) => sent,
        Err(error) => match error.downcast::<Skip>() {
            Ok(Skip(reason)) => return println!("SKIP: {reason}"),
            Err(error) => panic!("{error}"),
        },
    };
    let process = process(&snapshot, sender);
    assert_eq!(process.pending, 0);
    assert_eq!(process.total.spliced, BYTES as u64);
    // More if TCP sends anything again.
    assert!(process.total.deferred >= BYTES as u64, "{process:?}");
    let nobodys = snapshot.unattributed.iter();
    let nobodys: u64 = nobodys.map(|work| work.totals.deferred).sum();
    assert_eq!(nobodys, 0, "{:?}", snapshot.unattributed);
}
