//! Programs that are preempted and interrupted as often as possible. What the kernel skips is counted: the
//! ledger and the told loss together are the truth.
//!
//! Eight threads read as fast as they can; real-time threads wake up among them and read as well; a timer
//! sends signals; datagrams over loopback make interrupts. So a program is preempted within its run, and the
//! next thread runs the same one on the same processor.

use std::{
    fs::{self, File},
    io::Write as _,
    net::UdpSocket,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use nix::{
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
        socket::{MsgFlags, recv, send},
    },
};
use zctrace::{ledger::Totals, tracer::Reading};
use zctrace_common::Op;

use crate::common::{is_emulated, own_totals, shared};

const READERS: usize = 8;
/// The largest read; sizes differ, so that a byte that is booked to another operation shows.
const LARGEST: usize = 4096;

/// What threads did.
#[derive(Default)]
struct Truth {
    reads: AtomicU64,
    read: AtomicU64,
}

impl Truth {
    fn add(&self, bytes: usize) {
        self.reads.fetch_add(1, Relaxed);
        self.read.fetch_add(bytes as u64, Relaxed);
    }
}

/// What this process has read of files in memory.
fn reads(reading: &Reading) -> Totals {
    own_totals(reading, Op::Read, "file:tmpfs")
}

/// Sends this process a signal every millisecond, or stops doing so.
fn rain_signals(on: bool) {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &action) }.expect("a handler");
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: if on { 1000 } else { 0 },
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: a valid timer, and nobody wants the old one.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// The current thread goes before all others.
fn become_real_time() {
    let parameter = libc::sched_param { sched_priority: 10 };
    // SAFETY: the current thread, and a valid parameter.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// Reads and wakes and floods until every reader has read so often.
fn explode(each: usize, truth: &Arc<Truth>) {
    let mut file = File::from(memfd_create(c"bomb", MFdFlags::empty()).expect("a file in memory"));
    file.write_all(&[7; LARGEST]).expect("room");
    let file = Arc::new(file);
    let over = Arc::new(AtomicBool::new(false));
    let begin = Arc::new(Barrier::new(READERS));

    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (file, truth, begin) = (file.clone(), truth.clone(), begin.clone());
            thread::spawn(move || {
                let mut buffer = [0; LARGEST];
                begin.wait();
                for i in 0..each {
                    let bytes = 1 + (i * 31 + reader * 7) % LARGEST;
                    truth.add(file.read_at(&mut buffer[..bytes], 0).expect("a read"));
                }
            })
        })
        .collect();
    let wakers: Vec<_> = (0..2)
        .map(|_| {
            let (file, truth, over) = (file.clone(), truth.clone(), over.clone());
            thread::spawn(move || {
                become_real_time();
                let mut bytes = [0; 3];
                while !over.load(Relaxed) {
                    thread::sleep(Duration::from_micros(50));
                    truth.add(file.read_at(&mut bytes, 0).expect("a read"));
                }
            })
        })
        .collect();
    let flood = {
        let over = over.clone();
        thread::spawn(move || {
            let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            sender
                .connect(receiver.local_addr().expect("an address"))
                .expect("a peer");
            let mut buffer = [0; 512];
            while !over.load(Relaxed) {
                let _ = send(sender.as_raw_fd(), &buffer, MsgFlags::MSG_DONTWAIT);
                let _ = recv(receiver.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT);
            }
        })
    };
    rain_signals(true);
    for reader in readers {
        reader.join().expect("no panic");
    }
    over.store(true, Relaxed);
    rain_signals(false);
    for waker in wakers {
        waker.join().expect("no panic");
    }
    flood.join().expect("no panic");
}

#[test]
#[ignore = "needs root and BPF"]
fn the_ledger_and_the_told_loss_are_the_truth() {
    let model = fs::read_to_string("/sys/kernel/debug/sched/preempt").unwrap_or_default();
    if model.contains("(none)") || model.contains("(voluntary)") {
        println!(
            "SKIP: this kernel does not preempt programs: {}",
            model.trim()
        );
        return;
    }
    let each = if is_emulated() { 1_500 } else { 60_000 };
    let truth = Arc::new(Truth::default());
    let mut session = shared::session();
    let before = session.read().expect("a reading");
    explode(each, &truth);
    let reading = session.read().expect("a reading");
    let mut row = reads(&reading);
    row.subtract(&reads(&before));
    let told = reading.loss.since(&before.loss).lost();
    let (reads, read) = (truth.reads.load(Relaxed), truth.read.load(Relaxed));
    println!(
        "{} backend: {reads} reads, {} in the ledger, {told} runs lost, {} B unexplained",
        session.backend(),
        row.ops,
        row.unexplained,
    );
    assert!(reads >= (READERS * each) as u64);
    assert!(row.ops <= reads, "{} of {reads} reads", row.ops);
    assert!(
        reads - row.ops <= told,
        "{} of {reads}, told {told}",
        row.ops
    );
    assert_eq!(row.copied_to_user + row.unexplained, row.moved);
    if told == 0 {
        assert_eq!((row.ops, row.moved), (reads, read));
        assert_eq!(row.unexplained, 0);
    } else {
        assert!(row.moved <= read);
        // Each skipped run hides one read at most.
        assert!(read - row.moved <= told * LARGEST as u64);
        assert!(row.unexplained <= told * LARGEST as u64);
    }
}
