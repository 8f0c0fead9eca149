//! Receive rings of packet sockets: what the kernel copies into them is in no call, so on the tracepoints backend a
//! process that has one is told of.

use std::{
    num::NonZeroUsize,
    os::fd::{AsFd as _, OwnedFd},
};

use nix::{
    sys::{
        mman::{MapFlags, ProtFlags, mmap, munmap},
        socket::{AddressFamily, SockFlag, SockType, socket},
    },
    unistd::gettid,
};
use zctrace::{
    claims::{Document, Reason, Verdict},
    tracer::{Config, Session},
};

use crate::common::{run, set_option, zctrace};

const LENGTH: usize = 1 << 16;

fn packet_socket() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Packet, SockType::Raw, flags, None).expect("packet sockets")
}

/// Asks for a ring of one block.
fn ring(socket: &OwnedFd, block: u32) -> nix::Result<()> {
    let ring = libc::tpacket_req {
        tp_block_size: block,
        tp_block_nr: 1,
        tp_frame_size: 1 << 12,
        tp_frame_nr: block >> 12,
    };
    set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &ring)
}

fn packet_socket_with_ring() -> OwnedFd {
    let socket = packet_socket();
    ring(&socket, LENGTH as u32).expect("a ring");
    socket
}

/// How many rings a session that begins now tells of, and after a further one was set up and one was refused. Where
/// functions are traced, none.
fn told() -> (bool, u64, u64) {
    let tid = u32::try_from(gettid().as_raw()).expect("an id");
    let mut session = Session::start(&Config {
        tasks: vec![tid],
        ..Config::default()
    })
    .expect("the probes attach");
    let mut rings = || {
        session
            .read()
            .expect("the maps")
            .loss
            .unfollowed_calls
            .rings
    };
    let before = rings();
    drop(packet_socket_with_ring());
    ring(&packet_socket(), 3).expect_err("blocks are of whole pages");
    let after = rings();
    (session.backend() == "tracepoints", before, after)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_ring_is_told_of_whether_it_was_there_before_or_not() {
    let (unseen, before, after) = told();
    assert_eq!((before, after), if unseen { (0, 1) } else { (0, 0) });
    let socket = packet_socket_with_ring();
    let (length, flags) = (
        NonZeroUsize::new(LENGTH).expect("not 0"),
        MapFlags::MAP_SHARED,
    );
    // SAFETY: memory that nobody else refers to.
    let ring = unsafe { mmap(None, length, ProtFlags::PROT_READ, flags, socket.as_fd(), 0) };
    let ring = ring.expect("the memory of the ring");
    let (unseen, before, after) = told();
    assert_eq!((before, after), if unseen { (1, 2) } else { (0, 0) });
    // SAFETY: as it was mapped, and nothing refers to it.
    unsafe { munmap(ring, LENGTH) }.expect("what was mapped");
}

/// Judges a program that copies a file, and then works with `traffic`.
fn judge(traffic: &str) -> Document {
    let zctrace = zctrace();
    let zctrace = zctrace.to_str().expect("a path of the build");
    let script = "\"$0\" traffic --bytes 4194304 file-tmpfs && \"$0\" traffic --bytes 65536 \"$1\"";
    let command = ["--", "sh", "-c", script, zctrace, traffic];
    let mut arguments = vec![
        "check",
        "--json",
        "--accept-inferred",
        "--max-copies-per-byte",
        "1.1",
    ];
    arguments.extend(command);
    let output = run(&arguments);
    serde_json::from_slice(&output.stderr)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[ignore = "needs root and BPF"]
fn a_claim_does_not_pass_beside_a_ring() {
    let document = judge("unix-stream");
    assert_eq!(document.verdict, Verdict::Pass, "{:#?}", document.reasons);
    // What is sent from a ring is in calls.
    let document = judge("packet-send-raw");
    let is_ring = |reason: &Reason| reason.evidence.contains(" ring");
    assert!(
        !document.reasons.iter().any(is_ring),
        "{:#?}",
        document.reasons
    );
    let document = judge("packet-ring-v2");
    let reasons = &document.reasons;
    if document.stat.backend != "tracepoints" {
        let of_ring = reasons
            .iter()
            .any(|reason| reason.code == "unfollowed-calls");
        assert!(!of_ring, "{reasons:#?}");
        return;
    }
    assert_eq!(document.verdict, Verdict::Inconclusive, "{reasons:#?}");
    let reason = reasons
        .iter()
        .find(|reason| reason.code == "unfollowed-calls");
    let evidence = &reason.expect("the ring is a reason").evidence;
    assert_eq!(evidence, "packets of sockets or virtual machines, 1 ring");
}
