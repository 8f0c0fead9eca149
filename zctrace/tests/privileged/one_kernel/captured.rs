//! Packets that the kernel copies for programs that look at them.

use std::{
    env, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process::Command,
    thread,
};

use nix::{
    libc,
    sys::socket::{
        AddressFamily, Backlog, MsgFlags, SockFlag, SockType, VsockAddr, accept, bind, connect,
        listen, recv, socket,
    },
};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::Snapshot,
};

use crate::common::{claim, is_emulated, name_of, set_option, shared};

/// Set in the process that sends.
const SENDS: &str = "ZCTRACE_TEST_CAPTURED";
const BYTES: usize = 4 << 20;
const CHUNK: usize = 1 << 16;

/// Sends over vsock to a thread of its own, with `MSG_ZEROCOPY`.
#[test]
#[ignore = "a part of the next test"]
fn sends_over_vsock() {
    if env::var_os(SENDS).is_none() {
        return;
    }
    let new = || {
        socket(
            AddressFamily::Vsock,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )
        .expect("a socket of vsock")
    };
    let address = VsockAddr::new(libc::VMADDR_CID_LOCAL, 1234);
    let listener = new();
    bind(listener.as_raw_fd(), &address).expect("an address");
    listen(&listener, Backlog::new(1).expect("one")).expect("it listens");
    let near = new();
    let on: libc::c_int = 1;
    if let Err(errno) = set_option(&near, libc::SOL_SOCKET, libc::SO_ZEROCOPY, &on) {
        eprintln!("vsock without MSG_ZEROCOPY: {errno}");
        return;
    }
    let receives = thread::spawn(move || {
        let far = accept(listener.as_raw_fd()).expect("a connection");
        // SAFETY: it is a new descriptor, which nothing else has.
        let far = unsafe { OwnedFd::from_raw_fd(far) };
        let mut room = vec![0; CHUNK];
        let mut received = 0;
        while received < BYTES {
            received += recv(far.as_raw_fd(), &mut room, MsgFlags::empty()).expect("bytes");
        }
    });
    connect(near.as_raw_fd(), &address).expect("connecting");
    let from = vec![7; CHUNK];
    let mut sent = 0;
    while sent < BYTES {
        // SAFETY: the buffer outlives the receiver, which is waited for.
        let result = unsafe {
            libc::send(
                near.as_raw_fd(),
                from.as_ptr().cast(),
                CHUNK,
                libc::MSG_ZEROCOPY,
            )
        };
        sent +=
            usize::try_from(result).unwrap_or_else(|_| panic!("{}", io::Error::last_os_error()));
    }
    receives.join().expect("everything arrives");
}

/// What was judged of the sends, and what was copied for captures.
fn trace() -> (Verdict, Vec<String>, u64) {
    let program = env::current_exe().expect("this program");
    // What the other process prints is no result of this one.
    let script = format!(
        "{SENDS}=1 exec '{}' --exact {} --ignored >/dev/null",
        program.to_str().expect("a name"),
        name_of(module_path!(), "sends_over_vsock"),
    );
    let snapshot: Snapshot = shared::session().trace_command(&["sh", "-c", &script]);
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        path: Some("send.zerocopy".to_owned()),
        ..claim()
    };
    let judgement = judge(&claim, &snapshot, Circumstances::default());
    let codes = judgement.reasons.into_iter().map(|reason| reason.code);
    let works = snapshot.unattributed.iter();
    let captured = works
        .filter(|work| work.thread == "virtio_transport_build_skb")
        .map(|work| work.totals.deferred)
        .sum();
    (judgement.verdict, codes.collect(), captured)
}

#[test]
#[ignore = "needs root and BPF"]
fn no_claim_passes_beside_a_capture_of_vsock() {
    const NAME: &str = "no_claim_passes_beside_a_capture_of_vsock";
    if !is_emulated() || shared::session().backend() != "functions" {
        println!("SKIP: {NAME}: it would make a device, or copies after a send are not seen here");
        return;
    }
    let (verdict, codes, captured) = trace();
    if verdict != Verdict::Pass {
        println!("SKIP: {NAME}: vsock without MSG_ZEROCOPY: {codes:?}");
        return;
    }
    assert_eq!(captured, 0);
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        assert!(status.expect("ip starts").success(), "{arguments}");
    };
    ip("link add zctcapture type vsockmon");
    ip("link set zctcapture up");
    let (verdict, codes, captured) = trace();
    ip("link del zctcapture");
    assert!(captured >= BYTES as u64, "{captured}");
    assert_eq!(verdict, Verdict::Inconclusive, "{codes:?}");
    let is_named = |code: &String| code == "unattributed-copies";
    assert!(codes.iter().any(is_named), "{codes:?}");
}
