//! Descriptors that another thread closes while a call is under way on them: its bytes are counted.

use std::{
    fs,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    ptr,
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::common::{eventually, shared};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        socket::{MsgFlags, recv, send},
    },
    unistd::{gettid, read, write},
};
use zctrace::{
    ledger::{Process, Totals},
    tracer::Reading,
};

const BYTES: usize = 3001;

/// Makes `call` in a thread, closes `files` as soon as it waits in the kernel, and lets it go on by
/// `release`. Returns what `call` returned.
fn closed_meanwhile<F: FnOnce() -> isize + Send + 'static>(
    files: Vec<OwnedFd>,
    call: F,
    release: impl FnOnce(),
) -> isize {
    let (tell, told) = mpsc::channel();
    let caller = thread::spawn(move || {
        tell.send(gettid()).expect("somebody listens");
        call()
    });
    let tid = told.recv().expect("a thread");
    let state = format!("/proc/self/task/{tid}/syscall");
    let numbers = [
        libc::SYS_recvfrom,
        libc::SYS_sendto,
        libc::SYS_sendfile,
        libc::SYS_vmsplice,
    ];
    eventually(Duration::from_secs(20), "the call waits", || {
        let syscall = fs::read_to_string(&state).unwrap_or_default();
        numbers
            .iter()
            .any(|number| syscall.starts_with(&format!("{number} ")))
    });
    drop(files);
    release();
    caller.join().expect("no panic")
}

/// Fills a socket until nothing more fits, and returns how much that was.
fn stuff(socket: RawFd) -> usize {
    let mut sum = 0;
    loop {
        match send(socket, &[1; BYTES], MsgFlags::MSG_DONTWAIT) {
            Ok(some) => sum += some,
            Err(Errno::EAGAIN) => return sum,
            Err(errno) => panic!("{errno}"),
        }
    }
}

/// Reads until the other end is gone.
fn drain(end: impl AsFd) {
    let mut buffer = [0; 65536];
    while read(&end, &mut buffer).expect("bytes") > 0 {}
}

#[test]
#[ignore = "needs root and BPF"]
fn a_descriptor_that_is_closed_meanwhile_takes_no_bytes_along() {
    let mut session = shared::session();
    let before = session.read().expect("the maps");
    let bytes = BYTES as isize;

    let (near, far) = UnixStream::pair().expect("sockets");
    let fd = near.as_raw_fd();
    let received = closed_meanwhile(
        vec![near.into()],
        move || recv(fd, &mut [0; BYTES], MsgFlags::MSG_WAITALL).map_or(-1, usize::cast_signed),
        || assert_eq!(write(&far, &[1; BYTES]), Ok(BYTES)),
    );
    assert_eq!(received, bytes);

    let (near, far) = UnixStream::pair().expect("sockets");
    let fd = near.as_raw_fd();
    let stuffed = stuff(fd);
    let sent = closed_meanwhile(
        vec![near.into()],
        move || send(fd, &[1; BYTES], MsgFlags::empty()).map_or(-1, usize::cast_signed),
        || drain(&far),
    );
    assert_eq!(sent, bytes);

    // A full pipe: before 6.5 a unix socket takes pages however full it is.
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("a pipe");
    let fd = writer.as_raw_fd();
    while write(&writer, &[1; BYTES]).is_ok() {}
    for end in [&reader, &writer] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::empty())).expect("its flags");
    }
    let file = memfd_create("zct-closed", MFdFlags::empty()).expect("a file");
    write(&file, &[1; BYTES]).expect("a file");
    let source = file.as_raw_fd();
    let sent = closed_meanwhile(
        vec![writer, file],
        // SAFETY: the kernel writes to the offset only.
        move || unsafe { libc::sendfile(fd, source, &raw mut *Box::new(0), BYTES) },
        || drain(&reader),
    );
    assert_eq!(sent, bytes);

    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let fd = writer.as_raw_fd();
    // SAFETY: the memory is never given back.
    let vmsplice = move |flags| unsafe {
        let memory = Box::leak(Box::new([1_u8; BYTES]));
        let piece = libc::iovec {
            iov_base: ptr::from_mut(memory).cast(),
            iov_len: BYTES,
        };
        libc::vmsplice(fd, &raw const piece, 1, flags)
    };
    let mut lent = 0;
    while let some @ 1.. = vmsplice(libc::SPLICE_F_NONBLOCK) {
        lent += some;
    }
    let some = closed_meanwhile(vec![writer], move || vmsplice(0), || drain(&reader));
    assert_eq!(some, bytes);

    let after = session.read().expect("the maps");
    let sum = |reading: &Reading, op: &str| {
        let own = |process: &&Process| process.pid == std::process::id();
        let paths = reading
            .processes
            .iter()
            .filter(own)
            .flat_map(|one| &one.paths);
        let mut totals = Totals::default();
        for path in paths.filter(|path| path.op == op) {
            totals.add(&path.totals);
        }
        totals
    };
    let moved = |op: &str| -> u64 {
        let mut totals = sum(&after, op);
        totals.subtract(&sum(&before, op));
        println!("{op}: {totals:?}");
        assert_eq!(totals.moved, totals.explained_and_unexplained(), "{op}");
        totals.moved
    };
    assert_eq!(moved("recv"), BYTES as u64);
    assert_eq!(moved("send"), (stuffed + BYTES) as u64);
    assert_eq!(moved("sendfile"), BYTES as u64);
    assert_eq!(moved("vmsplice"), (lent + bytes) as u64);
}
