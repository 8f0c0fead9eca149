//! More calls under way at once than a kretprobe has room for: every byte is explained, or the loss is
//! told by number and place.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

use crate::common::{eventually, shared};
use caps::{CapSet, Capability};
use nix::unistd::{Pid, gettid};
use zctrace::{
    kernel::doctor::ProbeStatus,
    ledger::{Loss, Process, Totals},
    tracer::{Config, Reading, Session},
    workload::{
        Skip,
        scene::mounts::{Fs, Mount},
        traffic::ktls::connection,
    },
};

/// A kretprobe has room for twice as many calls as there are processors, and for at least ten.
const THREADS: usize = 40;
/// An odd number, in one record of TLS.
const BYTES: usize = 3001;

/// How a probe is attached; empty where it is not.
fn kind(session: &Session, probe: &str) -> String {
    let probes = session.survey().probes;
    let mut probes = probes
        .into_iter()
        .filter(|one| one.name == probe && one.status == ProbeStatus::Attached);
    probes.next().map(|probe| probe.kind).unwrap_or_default()
}

/// The sum of the rows of one operation on one kind of object.
fn sum(reading: &Reading, op: &str, object: &str) -> Totals {
    let mut totals = Totals::default();
    let paths = reading
        .processes
        .iter()
        .flat_map(|process: &Process| &process.paths);
    for path in paths.filter(|path| path.op == op && path.object.as_str().ends_with(object)) {
        totals.add(&path.totals);
    }
    totals
}

fn missed_at(loss: &Loss, probe: &str) -> u64 {
    loss.missed_at.get(probe).copied().unwrap_or(0)
}

/// Waits until a thread of this process is in the system call of this number, and sleeps there.
fn await_call(tid: Pid, number: libc::c_long) {
    let at = |name| fs::read_to_string(format!("/proc/self/task/{tid}/{name}")).unwrap_or_default();
    eventually(Duration::from_secs(60), "the call waits", || {
        at("syscall").starts_with(&format!("{number} "))
    });
}

/// What was measured of threads that all wait in `recv` on kernel TLS, and how the probe is attached;
/// `None` without kernel TLS.
fn receive_at_once(session: &mut Session) -> Option<(Totals, Loss, String)> {
    let pairs: Result<Vec<_>, _> = (0..THREADS).map(|_| connection()).collect();
    let pairs = match pairs {
        Ok(pairs) => pairs,
        Err(error) if error.is::<Skip>() => {
            println!("SKIP: {error}");
            return None;
        }
        Err(error) => panic!("{error:#}"),
    };
    let before = session.read().expect("the maps");
    let (tell, told) = mpsc::channel();
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for (near, mut far) in pairs {
        let tell = tell.clone();
        receivers.push(thread::spawn(move || {
            tell.send(gettid()).expect("somebody listens");
            let mut bytes = [0; BYTES];
            far.read_exact(&mut bytes).expect("the bytes");
            assert_eq!(bytes, [7; BYTES]);
        }));
        senders.push(near);
    }
    for tid in told.iter().take(THREADS) {
        await_call(tid, libc::SYS_recvfrom);
    }
    for near in &mut senders {
        near.write_all(&[7; BYTES]).expect("sending");
    }
    for receiver in receivers {
        receiver.join().expect("the bytes");
    }
    let reading = session.read().expect("the maps");
    let mut received = sum(&reading, "recv", "tcp");
    received.subtract(&sum(&before, "recv", "tcp"));
    assert_eq!(received.moved, (THREADS * BYTES) as u64);
    let kind = kind(session, "tls_sw_recvmsg");
    Some((received, reading.loss.since(&before.loss), kind))
}

#[test]
#[ignore = "needs root and BPF"]
fn every_receiver_that_waits_on_kernel_tls_is_seen() {
    let Some((received, loss, kind)) = receive_at_once(&mut shared::session()) else {
        return;
    };
    println!("{kind}: {received:?}, {loss:?}");
    match kind.as_str() {
        "fexit" if missed_at(&loss, "tls_sw_recvmsg") == 0 => {
            assert_eq!(received.encrypted, received.moved);
        }
        "fexit" | "kretprobe" => told(&received, &loss),
        _ => assert_eq!(received.encrypted, 0),
    }
}

/// Without the privilege to look for the types of modules there are kretprobes.
#[test]
#[ignore = "needs root and BPF"]
fn returns_that_a_kretprobe_has_no_room_for_are_told() {
    const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";
    // Debian's 3 refuses perf events to all without that privilege.
    let before = fs::read_to_string(PARANOID).expect("a setting");
    fs::write(PARANOID, "2").expect("changing it");
    caps::drop(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).expect("fewer privileges");
    shared::end();
    let config = Config {
        tasks: vec![gettid().as_raw().cast_unsigned()],
        ..Config::default()
    };
    let mut session = Session::start(&config).expect("a session");
    let measured = receive_at_once(&mut session);
    caps::raise(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).expect("more privileges");
    fs::write(PARANOID, before).expect("changing it back");
    let Some((received, loss, kind)) = measured else {
        return;
    };
    println!("{kind}: {received:?}, {loss:?}");
    if kind.is_empty() {
        println!("SKIP: returns_that_a_kretprobe_has_no_room_for_are_told: none can be attached");
        return;
    }
    assert_eq!(kind, "kretprobe");
    // As long as this machine has fewer than twenty processors.
    assert!(missed_at(&loss, "tls_sw_recvmsg") > 0, "{loss:?}");
    told(&received, &loss);
}

/// What is missing is as much as the calls that are told.
fn told(received: &Totals, loss: &Loss) {
    let unseen = (received.moved - received.encrypted).div_ceil(BYTES as u64);
    let told = missed_at(loss, "tls_sw_recvmsg");
    assert!(told >= unseen, "{told} of {unseen}: {loss:?}");
    assert!(loss.lost() >= unseen);
}

/// All of them wait for the file within the function that copies.
#[test]
#[ignore = "needs root and BPF"]
fn every_writer_to_one_file_of_btrfs_is_seen() {
    let directory = tempfile::tempdir().expect("a directory");
    let mount = match Mount::new(Fs::Btrfs, directory.path()) {
        Ok(mount) => mount,
        Err(error) if error.is::<Skip>() => {
            println!("SKIP: {error}");
            return;
        }
        Err(error) => panic!("{error:#}"),
    };
    let file = Arc::new(File::create(mount.path().join("file")).expect("a file"));
    let work = move |index| {
        let bytes = vec![index as u8; 1 << 20];
        file.write_all_at(&bytes, (index << 20) as u64)
            .expect("writing");
    };
    let (written, loss, kind) = at_once("btrfs_buffered_write", ["write", "file:btrfs"], work);
    println!("{kind}: {written:?}, {loss:?}");
    assert_eq!(written.moved, (THREADS << 20) as u64);
    if matches!(kind.as_str(), "fexit" | "kretprobe") {
        let unseen = written.unexplained >> 20;
        assert_eq!(
            written.copied_from_user + written.unexplained,
            written.moved
        );
        let told = missed_at(&loss, "btrfs_buffered_write");
        assert!(told >= unseen, "{loss:?}");
    }
}

/// A disk does one after the other.
#[test]
#[ignore = "needs root and BPF"]
fn every_direct_reader_is_seen() {
    const LENGTH: usize = 1 << 20;
    let directory = tempfile::tempdir().expect("a directory");
    let mount = match Mount::new(Fs::Ext4, directory.path()) {
        Ok(mount) => mount,
        Err(error) if error.is::<Skip>() => {
            println!("SKIP: {error}");
            return;
        }
        Err(error) => panic!("{error:#}"),
    };
    let path = mount.path().join("file");
    fs::write(&path, vec![3; THREADS * LENGTH]).expect("a file");
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path);
    let file = Arc::new(file.expect("a file"));
    file.sync_all().expect("on the disk");
    let work = move |index: usize| {
        let mut memory = vec![0; LENGTH + 4096];
        let begin = memory.as_ptr().align_offset(4096);
        let buffer = &mut memory[begin..begin + LENGTH];
        file.read_exact_at(buffer, (index * LENGTH) as u64)
            .expect("reading");
        assert!(buffer.iter().all(|&byte| byte == 3));
    };
    let (read, loss, kind) = at_once("iomap_dio_rw", ["read", "file:ext4"], work);
    println!("{kind}: {read:?}, {loss:?}");
    assert_eq!(read.moved, (THREADS * LENGTH) as u64);
    if matches!(kind.as_str(), "fexit" | "kretprobe") {
        assert_eq!(read.direct, read.moved);
    }
}

/// What is measured of an operation on an object while that many threads do the same, what was lost,
/// and how a probe is attached.
fn at_once(
    probe: &str,
    [op, object]: [&str; 2],
    work: impl Fn(usize) + Clone + Send + 'static,
) -> (Totals, Loss, String) {
    let mut session = shared::session();
    let before = session.read().expect("the maps");
    let barrier = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|index| {
            let (work, barrier) = (work.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                work(index);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("its work");
    }
    let reading = session.read().expect("the maps");
    let mut totals = sum(&reading, op, object);
    totals.subtract(&sum(&before, op, object));
    let kind = kind(&session, probe);
    (totals, reading.loss.since(&before.loss), kind)
}
